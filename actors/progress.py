"""How far deciding has come, counted by the loop that decides."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator

import msgspec

from actors.wire import start_of
from engine.latency import LatencyHistogram
from engine.sequencing import Answer
from engine.sequencing.coordinator import Coordinator
from engine.types import MarketSlice

__all__ = ["DecisionCount", "DecisionProgress", "OwingHost", "Stretch"]


class OwingHost(msgspec.Struct, frozen=True):
    """A participant the slice in hand waits for. `waited_s`: since it could have answered."""

    host: str
    start: int
    slice: int
    waited_s: float


class Stretch(msgspec.Struct, frozen=True):
    """A run played without a break, whichever processes died meanwhile.

    Attributes:
        started_ns: Monotonic clock when its first slice arrived; 0 before.
        after: Base candles decided before it.
    """

    started_ns: int = 0
    after: int = 0


class DecisionProgress(msgspec.Struct, frozen=True):
    """How far deciding has come.

    Attributes:
        decided: Newest slice decided; -1 before the first.
        candles: Base candles decided.
        finished: Everything there will ever be is decided.
        stretch: Since when it has been going on.
        elapsed_s: Time since then, until everything was decided.
        through: Newest slice answered, by host.
        owing: Whom the slice in hand waits for.
        latency_ms: Percentiles since the order manager's present life began.
    """

    decided: int
    candles: int
    finished: bool
    stretch: Stretch
    elapsed_s: float
    through: dict[str, int]
    owing: list[OwingHost]
    latency_ms: dict[str, float]

    @classmethod
    def none(cls) -> DecisionProgress:
        """Return the progress of an order manager nobody has heard of yet."""
        return cls(-1, 0, False, Stretch(), 0.0, {}, [], {})


class DecisionCount:
    """Counts base candles and latencies, and knows since when whom is waited for.

    Owned by the loop that decides.

    Args:
        base_streams: The streams whose candles are counted.
        stretch: What an earlier life has begun; a new one if there was none.

    Attributes:
        stretch: Since when deciding has been going on.
        is_finished: Everything there will ever be is decided.
    """

    def __init__(self, base_streams: Iterable[str], stretch: Stretch) -> None:
        self.stretch = stretch
        self.is_finished = False
        self._base = frozenset(base_streams)
        self._candles = 0
        self._undecided: deque[tuple[int, int]] = deque()
        self._latency = LatencyHistogram()
        self._heard_ns: dict[str, int] = {}
        self._in_hand = -1
        self._in_hand_since_ns = 0
        self._finished_ns = 0

    def counted(self, slices: Iterable[MarketSlice]) -> Iterator[MarketSlice]:
        """Yield slices, and note how many base candles each has."""
        for market_slice in slices:
            base = sum(candle.stream in self._base for candle in market_slice.candles)
            self._undecided.append((market_slice.number, base))
            yield market_slice

    def begin(self) -> None:
        """Begin a stretch: its first slice has arrived."""
        self.stretch = Stretch(time.monotonic_ns(), self._candles)

    def heard_of(self, host: str) -> None:
        """Note that a participant is new, or lives on elsewhere: its time begins."""
        self._heard_ns[host] = time.monotonic_ns()

    def answered(self, answer: Answer, now_ns: int) -> None:
        """Note an answer that counts, and when it arrived; monotonic."""
        self._heard_ns[answer.host] = now_ns
        if answer.published_ns:
            self._latency.add((now_ns - answer.published_ns) / 1e6)

    def be_patient(self) -> None:
        """Give whoever owes an answer the full time again."""
        self._in_hand_since_ns = time.monotonic_ns()

    def note(self, decided: int, matched: int) -> None:
        """Count what was decided, and notice a new slice in hand."""
        undecided = self._undecided
        while undecided and undecided[0][0] <= decided:
            self._candles += undecided.popleft()[1]
        if matched != self._in_hand:
            self._in_hand = matched
            self._in_hand_since_ns = time.monotonic_ns()

    def finish(self) -> None:
        """Note that everything there will ever be is decided."""
        self.is_finished = True
        self._finished_ns = time.monotonic_ns()

    def progress(self, coordinator: Coordinator) -> DecisionProgress:
        """Return how far deciding has come and who holds it up."""
        now = time.monotonic_ns()
        owing = []
        for stall in coordinator.stalls():
            since = max(self._in_hand_since_ns, self._heard_ns.get(stall.host, 0))
            start = start_of(coordinator.epoch_of(stall.host))
            owing.append(OwingHost(stall.host, start, stall.slice, (now - since) / 1e9))
        until, began = self._finished_ns or now, self.stretch.started_ns
        return DecisionProgress(
            decided=coordinator.decided,
            candles=self._candles,
            finished=self.is_finished,
            stretch=self.stretch,
            elapsed_s=(until - began) / 1e9 if began else 0.0,
            through=coordinator.reached(),
            owing=owing,
            latency_ms=self._latency.percentiles(),
        )
