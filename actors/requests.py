"""What a host is asked to do, and what it returns: plain msgpack, see `actors.control`."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from engine.instance import Command
from engine.report import StrategyOutcome
from engine.sequencing import Past, SliceEvent

__all__ = [
    "Admit",
    "AskOutcomes",
    "Begin",
    "CatchUp",
    "Dismiss",
    "GoLive",
    "Hello",
    "Obey",
    "Recover",
    "Repeat",
    "Reply",
    "Request",
    "StrategySpec",
]


class StrategySpec(msgspec.Struct, frozen=True):
    """One strategy a host is to carry.

    Attributes:
        config: Its `StrategyConfig` as JSON.
        plugin_file: File its type is loaded from.
        capital: What it may use, quote currency.
    """

    config: str
    plugin_file: str
    capital: Decimal


class Hello(msgspec.Struct, frozen=True, tag="hello", tag_field="kind"):
    """Say hello to the order manager again: the one that was told may be gone."""


class AskOutcomes(msgspec.Struct, frozen=True, tag="outcomes", tag_field="kind"):
    """Return state, metrics and errors, once order events are heard through a slice.

    The end of a run is decided while the last releases are still under way; asking for the
    outcomes through the last slice is what makes them complete. -1 asks for them as they are now.
    """

    instances: list[str]
    through: int = -1


class Obey(msgspec.Struct, frozen=True, tag="obey", tag_field="kind"):
    """Have an instance carry out an operator's command."""

    instance: str
    command: Command


class Admit(msgspec.Struct, frozen=True, tag="admit", tag_field="kind"):
    """Build further instances and attach to their streams under a name."""

    strategies: list[StrategySpec]
    name: str


class Dismiss(msgspec.Struct, frozen=True, tag="dismiss", tag_field="kind"):
    """Let instances go that are carried elsewhere from here on."""

    instances: list[str]


class Begin(msgspec.Struct, frozen=True, tag="begin", tag_field="kind"):
    """Start instances nothing has happened to, one after another.

    With their first candle they would start by themselves, but then everybody waits for them.
    """

    instances: list[str]


class CatchUp(msgspec.Struct, frozen=True, tag="catch_up", tag_field="kind"):
    """Read what was published so far and live through it up to a slice.

    `events` are each instance's order events of earlier starts up to and including that slice.
    """

    through: int
    events: dict[str, list[SliceEvent]]


class GoLive(msgspec.Struct, frozen=True, tag="go_live", tag_field="kind"):
    """Take part from a slice on, speaking under an epoch from now on.

    Attributes:
        epoch: The epoch.
        reign: Life of the order manager that was told so.
        live_from: The slice.
        events: All order events of earlier starts, by instance.
        paused: Who is to be paused at once.
    """

    epoch: int
    reign: int
    live_from: int
    events: dict[str, list[SliceEvent]]
    paused: list[str] = []


class Recover(msgspec.Struct, frozen=True, tag="recover", tag_field="kind"):
    """Have instances live through everything again and go on where they left off elsewhere.

    Attributes:
        epoch: To speak under from now on.
        reign: Life of the order manager that was told so.
        past: What they have to live through.
    """

    epoch: int
    reign: int
    past: Past


class Repeat(msgspec.Struct, frozen=True, tag="repeat", tag_field="kind"):
    """Tell the order manager again what it may have lost, in its present life."""

    reign: int


Request = Hello | AskOutcomes | Obey | Admit | Dismiss | Begin | CatchUp | GoLive | Recover | Repeat


class Reply(msgspec.Struct, frozen=True):
    """What a host returns.

    Attributes:
        outcomes: To `AskOutcomes`.
        failures: Why instances could not be built or restored, by id.
        left: To `Begin` and `CatchUp`, which take a moment at most: who has yet to get there. Ask
            again for those.
        unwritten: To `AskOutcomes`: why states could not be stored; empty if they could.
    """

    outcomes: list[StrategyOutcome] = []
    failures: dict[str, str] = {}
    left: list[str] = []
    unwritten: str = ""
