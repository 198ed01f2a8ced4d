"""What a participant has told the order manager, and whose releases it listens to."""

from __future__ import annotations

import msgspec

from engine.sequencing.messages import Answer, Release, SliceCommand, SliceDecision

__all__ = ["Conversation"]


class Conversation:
    """A participant's side of answers and releases.

    Attributes:
        host: Participant id.
        epoch: Number of this start; answers carry it.
        reign: Which life of the order manager was repeated to last.
        through: Newest slice answered; -1 where everything has to be told anew.
        announced: Slice the last answer said is waited for; -1 if none.
        is_to_repeat: Whether the next answer has to repeat everything.
    """

    __slots__ = ("_renewed", "announced", "epoch", "host", "is_to_repeat", "reign", "through")

    def __init__(self, host: str, epoch: int) -> None:
        self.host = host
        self.epoch = epoch
        self.reign = 0
        self.through = -1
        self.announced = -1
        self.is_to_repeat = False
        self._renewed = 0

    def heeds(self, release: Release) -> bool:
        """Tell whether a release is not of an earlier reign or epoch."""
        return release.reign >= self.reign and release.epoch >= self._renewed

    def renew(self, epoch: int, reign: int) -> None:
        """Speak under a new epoch from the next answer on, which repeats everything."""
        self.epoch = self._renewed = epoch
        self.reign = reign
        self.is_to_repeat = True

    def tell_anew(self) -> None:
        """Say how far everybody is with the next answer, whatever was said before."""
        self.through = -1
        self.announced = -1

    def answer(
        self,
        through: int,
        waiting: int,
        published_ns: int,
        decisions: list[SliceDecision],
        commands: list[SliceCommand],
    ) -> Answer:
        """Return an answer, and note what it says."""
        self.through = through
        self.announced = waiting
        return Answer(self.host, self.epoch, through, waiting, published_ns, decisions, commands)

    def repeat(
        self,
        reign: int,
        *,
        through: int,
        waiting: int,
        decisions: list[SliceDecision],
        commands: list[SliceCommand],
        taken: dict[str, int],
    ) -> Answer:
        """Return an answer that repeats everything, and note what it says.

        Args:
            reign: Number of the present order manager's life; releases of earlier ones are not
                listened to from here on.
            through: Newest slice answered.
            waiting: Slice that is waited for; -1 if none.
            decisions: All the order manager may not know.
            commands: All there are.
            taken: How many events each instance has taken.
        """
        self.reign = reign
        self.is_to_repeat = False
        answer = self.answer(through, waiting, 0, decisions, commands)
        return msgspec.structs.replace(answer, taken=taken, reign=reign)
