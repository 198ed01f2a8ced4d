"""What the engine has to offer to strategies."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from engine.money import Instrument

__all__ = ["Served"]


class Served(msgspec.Struct, frozen=True):
    """What an engine serves.

    Attributes:
        streams: Streams of its feed, e.g. ``paper:BTC/USDT:1m``.
        instruments: Configured trading rules by canonical symbol.
    """

    streams: frozenset[str]
    instruments: Mapping[str, Instrument]
