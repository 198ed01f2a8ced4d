"""What the order manager's side of the clock puts on record, so that it can be built again.

Slices, decisions and membership determine everything else: playing them again in their order gives
the same orders, fills and ledger. Every record carries its place in the order of slices.
"""

from __future__ import annotations

import msgspec

from engine.config import AccountConfig, StrategyConfig
from engine.sequencing.messages import SliceCommand
from engine.trading.modes import TradingMode
from engine.trading.registration import Registration
from engine.types import Decision

__all__ = [
    "Commanded",
    "Decided",
    "Joined",
    "Left",
    "Moved",
    "Reached",
    "Record",
    "Recorder",
    "Registered",
    "Rejoined",
    "Traded",
    "Withdrawn",
    "registered",
    "registration_of",
]


class _Record(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """At which point of the order of slices it happened.

    Attributes:
        matched: Newest slice matched then.
        decided: Newest slice decided then; one less where a slice was in hand.
    """

    matched: int
    decided: int


class Decided(_Record, frozen=True, array_like=True, tag=True):
    """The slice in hand was decided with these decisions; one without any leaves no record."""

    decisions: list[Decision]


class Registered(_Record, frozen=True, array_like=True, tag=True):
    """A strategy or a follower takes part in risk and arbitration from here on.

    Attributes:
        strategy: Its configuration as JSON.
        account: Of the account it comes with, likewise; empty: none does.
        follows: See `Registration`.
    """

    strategy: str
    account: str = ""
    follows: str = ""


class Joined(_Record, frozen=True, array_like=True, tag=True):
    """Instances, each with its streams, take part from the slice after `matched` on."""

    host: str
    epoch: int
    instances: dict[str, list[str]]


class Rejoined(_Record, frozen=True, array_like=True, tag=True):
    """A participant lives on in a new process."""

    host: str
    epoch: int


class Moved(_Record, frozen=True, array_like=True, tag=True):
    """An instance goes on as one of another participant's, which begins an epoch with it."""

    instance: str
    to: str
    epoch: int


class Left(_Record, frozen=True, array_like=True, tag=True):
    """Instances of a participant were taken out and withdrawn."""

    host: str
    instances: list[str]
    reason: str


class Withdrawn(_Record, frozen=True, array_like=True, tag=True):
    """Those who are no instances of a participant, such as followers, were withdrawn."""

    ids: list[str]
    reason: str


class Traded(_Record, frozen=True, array_like=True, tag=True):
    """From here on an account, or all (empty), trades, only gets out, or does nothing."""

    mode: TradingMode
    account: str


class Reached(_Record, frozen=True, array_like=True, tag=True):
    """Somebody was told of this place, at which nothing else is on record.

    What changes who takes part has to come after everything anybody has acted upon, also where the
    order manager was built again in between.
    """


class Commanded(_Record, frozen=True, array_like=True, tag=True):
    """An instance of a participant obeyed a command."""

    host: str
    command: SliceCommand


Record = (
    Decided
    | Registered
    | Joined
    | Rejoined
    | Moved
    | Left
    | Withdrawn
    | Traded
    | Reached
    | Commanded
)


class Recorder:
    """Takes records; this one forgets them.

    `add` is called before anything acts on a record, `commit` before anybody is told of it.
    """

    def add(self, record: Record) -> None:
        """Take a record."""

    def commit(self) -> None:
        """Make everything taken so far outlive this process."""


def registered(matched: int, decided: int, registration: Registration) -> Registered:
    """Return the record of a registration."""
    strategy, account = registration.strategy, registration.account
    return Registered(
        matched,
        decided,
        strategy.model_dump_json(by_alias=True, exclude_unset=True),
        "" if account is None else account.model_dump_json(by_alias=True, exclude_unset=True),
        registration.follows,
    )


def registration_of(record: Registered) -> Registration:
    """Return what was registered."""
    return Registration(
        StrategyConfig.model_validate_json(record.strategy),
        AccountConfig.model_validate_json(record.account) if record.account else None,
        record.follows,
    )
