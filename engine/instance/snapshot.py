"""The stored form of an instance: msgpack, versioned, data only.

Buffer and indicators are not in it: they are rebuilt from the stream log, from the anchor to the
last candle processed, bit-equal to having streamed all along. `Snapshot.needs` says which candles
that takes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.errors import ChorusError
from engine.types import Fill, Intent

__all__ = ["SCHEMA_VERSION", "FeedState", "Snapshot", "decode", "encode"]

SCHEMA_VERSION = 2


class FeedState(msgspec.Struct, frozen=True):
    """Where a stream stands.

    Attributes:
        anchor: Seq of the first candle; -1 before it.
        next_seq: Seq of the next candle; -1 before the first.
        learns_from: First seq the present strategy object has seen (a restart makes a new one).
    """

    anchor: int
    next_seq: int
    learns_from: int
    duplicates: int


class Snapshot(msgspec.Struct, frozen=True):
    """Everything of an instance that does not follow from candles alone.

    Attributes:
        schema: `SCHEMA_VERSION` it was written with.
        instance: Id of the strategy.
        type: Strategy type.
        plugin_version: `metadata.version` of the type.
        code_hash: SHA-256 of the plugin's source; empty for a class not loaded from a file.
        last_stream: Stream of the candle processed last; empty before the first.
        strategy_state: What the plugin's `get_state` returned.
    """

    schema: int
    instance: str
    type: str
    plugin_version: str
    code_hash: str
    status: str
    cause: str
    parameters: dict[str, Any]
    parameters_version: int
    pending_parameters: dict[str, Any] | None
    feeds: dict[str, FeedState]
    last_stream: str
    positions: dict[str, list[Any]]
    orders: dict[str, Any]
    performance: dict[str, Any]
    guard: list[Any]
    faults: dict[str, Any]
    activity: dict[str, Any]
    is_exposed: bool
    is_live: bool
    is_liquidating: bool
    warmup_left: int
    ticks: int
    dropped: int
    intents: list[Intent]
    missed_fills: list[Fill]
    random: list[Any] | None
    strategy_state: dict[str, Any]

    def needs(self) -> dict[str, tuple[int, int]]:
        """Return per stream the candles a restore takes: first seq and end (exclusive)."""
        return {
            stream: (feed.anchor, feed.next_seq)
            for stream, feed in self.feeds.items()
            if feed.next_seq >= 0
        }


def encode(snapshot: Snapshot) -> bytes:
    """Return the bytes of a snapshot.

    Raises:
        ChorusError: `strategy_state` holds something that would not come back as it was.
    """
    odd = _not_plain(snapshot.strategy_state, "state")
    try:
        if not odd:
            return msgspec.msgpack.encode(snapshot)
    except OverflowError as error:
        odd = str(error)
    raise ChorusError(
        f"instance {snapshot.instance!r}: get_state of {snapshot.type!r} cannot be stored: {odd}; "
        "it may hold numbers, text, booleans, None, lists and dicts with text keys"
    )


def _not_plain(value: Any, place: str) -> str:
    """Return where a value is not JSON-able and what it is; empty if all of it is."""
    if value is None or type(value) in (bool, int, float, str):
        return ""
    if type(value) is list:
        items = ((f"{place}[{index}]", item) for index, item in enumerate(value))
    elif type(value) is dict and all(type(key) is str for key in value):
        items = ((f"{place}.{key}", item) for key, item in value.items())
    else:
        return f"{place} is a {type(value).__name__}"
    return next((found for name, item in items if (found := _not_plain(item, name))), "")


class _Head(msgspec.Struct):
    schema: int
    instance: str


def decode(data: bytes) -> Snapshot:
    """Read a snapshot back.

    Raises:
        ChorusError: It is damaged, or written with another schema version.
    """
    try:
        head = msgspec.msgpack.decode(data, type=_Head)
        if head.schema == SCHEMA_VERSION:
            return msgspec.msgpack.decode(data, type=Snapshot)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ChorusError(f"snapshot of {len(data)} bytes is damaged: {error}") from error
    raise ChorusError(
        f"instance {head.instance!r}: snapshot has schema version {head.schema}, this program "
        f"reads {SCHEMA_VERSION}; start the instance anew from the log"
    )
