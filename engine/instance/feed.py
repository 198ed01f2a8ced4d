"""One of an instance's streams: its buffer, the seq it expects and the position it prices."""

from __future__ import annotations

from engine.errors import CandleError, ChorusError
from engine.instance.buffer import CandleBuffer
from engine.instance.position import Position
from engine.instance.snapshot import FeedState
from engine.types import Candle

__all__ = ["Feed"]


class Feed:
    """A stream an instance listens to.

    Attributes:
        stream: Text form of its id.
        symbol: Instrument of the stream.
        is_main: Whether indicators, metrics and limits follow it.
        position: The instance's position in the symbol.
        buffer: Its newest candles.
        anchor: Seq of the first candle; -1 before it. What indicators are rebuilt from.
        next_seq: Seq of the next candle; -1 before the first, which may have any.
        learns_from: First seq the present strategy object has seen.
        duplicates: Candles ignored because their seq was already seen.
    """

    __slots__ = (
        "anchor",
        "append",
        "buffer",
        "duplicates",
        "is_main",
        "learns_from",
        "next_seq",
        "position",
        "stream",
        "symbol",
    )

    def __init__(self, stream: str, *, position: Position, capacity: int, is_main: bool) -> None:
        self.stream = stream
        self.symbol = position.symbol
        self.is_main = is_main
        self.position = position
        self.buffer = CandleBuffer(capacity)
        self.append = self.buffer.append
        self.anchor = -1
        self.next_seq = -1
        self.learns_from = -1
        self.duplicates = 0

    def admit(self, candle: Candle, *, instance: str) -> bool:
        """Judge a candle that is not the next one.

        Returns:
            Whether to process it: True for the first of the stream, False for one already seen.

        Raises:
            CandleError: Candles are missing before it; the transport has to replay them.
        """
        if self.next_seq < 0:
            self.anchor = candle.seq
            return True
        if candle.seq < self.next_seq:
            self.duplicates += 1
            return False
        raise CandleError(
            f"instance {instance!r}: stream {self.stream!r}: candle {candle.seq} arrived, "
            f"{self.next_seq} is missing; replay it from the log first"
        )

    def state(self) -> FeedState:
        """Return everything a restore needs beside the candles."""
        return FeedState(self.anchor, self.next_seq, self.learns_from, self.duplicates)

    def load(self, state: FeedState, *, instance: str) -> None:
        """Take back what `state` returned, after the candles have been replayed.

        Raises:
            ChorusError: The candles replayed are not the ones the state needs. A stream without
                indicators may start later, if its buffer is full.
        """
        enough = self.anchor == state.anchor or (
            not self.is_main and len(self.buffer) == self.buffer.capacity
        )
        if self.next_seq != state.next_seq or not enough:
            raise ChorusError(
                f"instance {instance!r}: history of {self.stream!r} holds candles "
                f"[{self.anchor}, {self.next_seq}), the snapshot needs "
                f"[{state.anchor}, {state.next_seq})"
            )
        self.anchor = state.anchor
        self.learns_from = state.learns_from
        self.duplicates = state.duplicates
