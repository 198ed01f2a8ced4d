"""What the process of a backtest is told, and what it says: one line of JSON each."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Done", "Failed", "Playing", "Said", "Task", "said_in"]


class Task(msgspec.Struct, frozen=True):
    """A backtest to be played.

    Attributes:
        config: A `RunConfig`.
        replay: Candle files in the process's folder; empty: what the configuration says.
        files: Where its strategy types are.
        niceness: Added to the process's own.
    """

    config: dict[str, Any]
    replay: list[str]
    files: list[str]
    niceness: int


class Playing(msgspec.Struct, frozen=True, tag=True):
    """It gets on.

    Attributes:
        progress: Part that is done, from 0 to 1.
    """

    progress: float


class Done(msgspec.Struct, frozen=True, tag=True):
    """It has been played; see `engine.backtest.Digest`."""

    summary: msgspec.Raw
    report: msgspec.Raw


class Failed(msgspec.Struct, frozen=True, tag=True):
    """It cannot be played.

    Attributes:
        error: Why, for whoever asked for it.
    """

    error: str


Said = Playing | Done | Failed

_decoder: msgspec.json.Decoder[Said] = msgspec.json.Decoder(Said)


def said_in(line: bytes) -> Said:
    """Return what a line says.

    Raises:
        msgspec.MsgspecError: It is none of these.
    """
    return _decoder.decode(line)
