"""What the reconcile loop has asked of hosts and does not wait for.

A host answers between two candles; one whose strategy hangs in its own code answers late or never.
So the loop asks, goes on with everything else, and plans again when the answer is there: a plan
repeats what is not done yet.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future

import msgspec

from actors.fleet import Fleet
from actors.members import HostProcess
from actors.requests import AskOutcomes, Obey, Reply
from engine.instance import Command, Pause, Resume, Stop
from engine.report import StrategyOutcome
from engine.supervision import (
    Action,
    Adopt,
    EndHost,
    Move,
    PauseStrategy,
    RecoverHost,
    ResumeStrategy,
    StartHost,
    StopStrategy,
)

__all__ = ["LAST_WORDS_WITHIN_S", "Errands", "put_off"]

LAST_WORDS_WITHIN_S = 5.0
"""How long a strategy that is stopped has to say what it knows; then it goes without."""

_COMMANDS: dict[type[Action], Command] = {
    StopStrategy: Stop(),
    PauseStrategy: Pause(),
    ResumeStrategy: Resume(),
}


class _Errand:
    """One command to one strategy in one start of a host.

    Attributes:
        host: The host.
        command: The command.
        reply: To `AskOutcomes` after a stop, to the command otherwise; None before it was sent.
    """

    def __init__(self, host: HostProcess, command: Command) -> None:
        self.host = host
        self.command = command
        self.reply: Future[Reply] | None = None
        self._until = time.monotonic() + LAST_WORDS_WITHIN_S

    @property
    def is_stop(self) -> bool:
        """Tell whether it is the strategy's last."""
        return isinstance(self.command, Stop)

    @property
    def is_over(self) -> bool:
        """Tell whether it was answered, or is not waited for any more."""
        is_answered = self.reply is not None and self.reply.done()
        return is_answered or (self.is_stop and time.monotonic() >= self._until)

    @property
    def can_be_sent(self) -> bool:
        """Tell whether its time has come: what is written to a stranger is lost without a word."""
        return self.reply is None and self.host.has_reported.is_set()

    def outcome(self) -> StrategyOutcome | None:
        """Return the last words, None if there are none."""
        reply = self.reply
        if reply is None or not reply.done() or reply.exception() is not None:
            return None
        return next(iter(reply.result().outcomes), None)

    def forget(self) -> None:
        """Wait no more."""
        if self.reply is not None:
            self.reply.cancel()


class Errands:
    """Has strategies in running hosts stop, pause and resume; used under the manager's lock.

    Args:
        fleet: The strategies and their hosts.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._errands: dict[str, _Errand] = {}

    @property
    def has_stops(self) -> bool:
        """Tell whether strategies are being stopped."""
        return any(errand.is_stop for errand in self._errands.values())

    @property
    def has_news(self) -> bool:
        """Tell whether planning again may get on."""
        return any(errand.is_over or errand.can_be_sent for errand in self._errands.values())

    def ready(self, planned: Sequence[Action]) -> list[Action]:
        """Return what of a plan can be carried out at once; asks nobody.

        The others wait: a stop, with all that relies on it, until the last words are there or
        their time is over. A pause or resume is done once the strategy obeys.
        """
        wanted = self._wanted(planned)
        silent = {
            name: host
            for name, (host, command) in wanted.items()
            if isinstance(command, Stop) and not self._is_over(name, host)
        }
        homes = {name: (host.id, host.start) for name, host in silent.items()}
        actions = put_off(planned, homes)
        return [
            action
            for action in actions
            if not isinstance(action, PauseStrategy | ResumeStrategy)
            or action.id not in wanted
            or isinstance(wanted[action.id][1], Stop)
        ]

    def ask(self, planned: Sequence[Action]) -> None:
        """Ask what a plan wants asked and was not asked yet; forget what it does not want."""
        before, self._errands = self._errands, {}
        for name, (host, command) in self._wanted(planned).items():
            errand = before.get(name)
            if errand is None or errand.host is not host or errand.command != command:
                errand = _Errand(host, command)
            elif errand.is_over and not errand.is_stop:
                errand = _Errand(host, command)  # it was refused, or its status is on its way
            else:
                del before[name]
            self._errands[name] = errand
            if errand.can_be_sent:
                self._send(name, errand)
        for errand in before.values():
            errand.forget()

    def take_outcome(self, name: str) -> StrategyOutcome | None:
        """Return a strategy's last words, None if there are none; that errand is done."""
        errand = self._errands.pop(name, None)
        if errand is None:
            return None
        outcome = errand.outcome()
        errand.forget()
        return outcome

    def _wanted(self, planned: Iterable[Action]) -> dict[str, tuple[HostProcess, Command]]:
        """Return the first command to every strategy that is in a running host."""
        wanted: dict[str, tuple[HostProcess, Command]] = {}
        for action in planned:
            if isinstance(action, StopStrategy | PauseStrategy | ResumeStrategy):
                host = self._fleet.host_of(action.id)
                if host is not None:
                    wanted.setdefault(action.id, (host, _COMMANDS[type(action)]))
        return wanted

    def _is_over(self, name: str, host: HostProcess) -> bool:
        errand = self._errands.get(name)
        return errand is not None and errand.is_stop and errand.host is host and errand.is_over

    def _send(self, name: str, errand: _Errand) -> None:
        reply = self._fleet.post(errand.host, Obey(name, errand.command))
        if errand.is_stop:
            # Requests are carried out in order. One that was stopped before knows it, too.
            reply.cancel()
            reply = self._fleet.post(errand.host, AskOutcomes([name]))
            reply.add_done_callback(lambda _: self._fleet.wake())
        errand.reply = reply


def put_off(planned: Sequence[Action], silent: Mapping[str, tuple[str, int]]) -> list[Action]:
    """Return a plan without the stops of some strategies and without all that relies on them.

    Args:
        planned: The plan.
        silent: The host of each strategy that is to stay where it is for now, with its start.
    """
    homes: set[tuple[str, int]] = set()
    staying: set[str] = set()
    kept: list[Action] = []
    for action in planned:
        if isinstance(action, StopStrategy) and action.id in silent:
            staying.add(action.id)
            homes.add(silent[action.id])
        elif isinstance(action, StartHost | RecoverHost):
            others = tuple(name for name in action.instances if name not in staying)
            is_taken = any(action.id == host for host, _ in homes)
            if not is_taken and (others or not action.instances):
                kept.append(msgspec.structs.replace(action, instances=others))
        elif not _relies(action, staying, homes):
            kept.append(action)
    return kept


def _relies(action: Action, staying: set[str], homes: set[tuple[str, int]]) -> bool:
    if isinstance(action, EndHost):
        return (action.id, action.epoch) in homes
    if isinstance(action, Move):
        return action.instance in staying
    return not isinstance(action, Adopt) and action.id in staying
