"""The MarketData actor: feed -> log -> DataDistributor -> ZeroMQ."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import zmq

from actors.ending import Ending
from actors.services import ServiceAwayError
from actors.wire import (
    MARK_TOPIC,
    SLICES_TOPIC,
    Endpoints,
    Mailbox,
    bind,
    codec,
    publish,
    receive_all,
    stream_topic,
)
from engine.crash_points import ARMED, CrashPoint, reach
from engine.errors import DataError
from engine.market import DataDistributor, Market, Pacer, open_market
from engine.sequencing import CandleBatch, Mark, SliceBatch
from engine.timeframes import timeframe_ms
from engine.types import Candle, MarketSlice, StreamId

if TYPE_CHECKING:
    from engine.config import MarketConfig

__all__ = ["MarketDataActor", "MarketFacts", "MarketProgress"]

BATCH_SLICES = 128
"""Slices per message at full speed; a paced feed sends each slice at once."""

WINDOW_SLICES = 1024
"""How far publishing may run ahead of the order manager; bounds every queue."""

LONGEST_WAIT_CANDLES = 2
"""A paced feed skips over holes in the data longer than this many of its longest candles."""

CONTROL_TIMEOUT_S = 15.0

_ATTACHED_PREFIX = b"\x01@"
_DETACHED_PREFIX = b"\x00@"


class MarketFacts(msgspec.Struct, frozen=True):
    """What the rest of the engine must know of the market before it starts; see `Market`."""

    base_streams: dict[str, str]
    streams: tuple[str, ...]
    uncovered: tuple[str, ...]
    total_candles: int
    missing: tuple[str, ...]

    @classmethod
    def none(cls) -> MarketFacts:
        """Return the facts of a market nobody has opened yet."""
        return cls({}, (), (), 0, ())


class MarketProgress(msgspec.Struct, frozen=True):
    """How far publishing has come.

    Attributes:
        published: Newest slice published; -1 before the first.
        finished: Nothing more will be published.
        failed: The error that ended it, empty otherwise.
    """

    published: int
    finished: bool
    failed: str


class MarketDataActor:
    """Owns the shared feed and its log; every candle is read, logged and published once.

    Ray starts it again when its process dies; it then opens the market again and goes on where
    deciding has come to. Whoever has a candle already ignores it.

    `run` is the publishing loop and occupies one thread of the actor for as long as its process
    lives, as `ended` does; all other methods are control calls and answer from other threads.
    """

    def __init__(
        self,
        config: MarketConfig,
        streams: Sequence[str],
        replay: Sequence[str],
        endpoints: Endpoints,
    ) -> None:
        self._config = config
        self._streams = list(streams)
        self._replay = list(replay)
        self._speed = config.speed
        self._distributor: DataDistributor[str] = DataDistributor()
        self._mailbox = Mailbox()
        self._context = zmq.Context()
        self._publisher = bind(self._context, zmq.XPUB, endpoints.candles)
        self._credit = bind(self._context, zmq.PULL, endpoints.credit)
        self._poller = zmq.Poller()
        for source in (self._publisher, self._credit, self._mailbox.fileno()):
            self._poller.register(source, zmq.POLLIN)
        self._batch = codec(CandleBatch)
        self._slices = codec(SliceBatch)
        self._mark = codec(Mark)
        self._attached: set[str] = set()
        self._decided = -1
        self._published = -1
        self._start = 0
        self._is_open = False
        self._finished = False
        self._failed = ""
        self._begin = threading.Event()
        self._ending = Ending()
        self._draining = False

    def open(self) -> MarketFacts:
        """Read the market; called first.

        Raises:
            ChorusError: It cannot be read.
        """
        if not self._is_open:
            self._market: Market = open_market(self._config, self._streams, self._replay)
            self._is_open = True
        return self._facts()

    def introduce(self) -> tuple[MarketFacts, bool, bool] | None:
        """Return what it serves, whether candles flow, and whether they are about to end.

        None if it has yet to be opened.
        """
        if not self._is_open:
            return None
        return self._facts(), self._begin.is_set(), self._draining

    def process(self) -> int:
        """Return its process id."""
        return os.getpid()

    def ended(self) -> None:
        """Return when the loop has ended, which it does with the process only; see `Ending`."""
        self._ending.wait()

    def _facts(self) -> MarketFacts:
        market = self._market
        return MarketFacts(
            base_streams=dict(market.base_streams),
            streams=tuple(market.streams),
            uncovered=tuple(sorted(market.uncovered)),
            total_candles=market.total_candles,
            missing=tuple(market.missing),
        )

    def subscribe(self, host: str, streams: Sequence[str]) -> None:
        """Register a participant's filter with the distributor; done when this returns."""
        self._require_open()
        self._mailbox.ask(
            lambda: self._distributor.subscribe(host, streams), timeout_s=CONTROL_TIMEOUT_S
        )

    def unsubscribe(self, host: str) -> None:
        """Forget a participant; its socket may be gone already."""
        self._mailbox.post(lambda: self._distributor.unsubscribe(host))

    def attached(self) -> set[str]:
        """Return the participants whose subscriptions are in force."""
        self._require_open()
        return set(self._attached)

    def progress(self) -> MarketProgress:
        """Return how far publishing has come."""
        self._require_open()
        return MarketProgress(self._published, self._finished, self._failed)

    def begin(self, start: int, known: int) -> None:
        """Let `run` publish; called once everybody is attached. Once it does, nothing happens.

        Args:
            start: First slice to publish.
            known: Newest slice anybody has seen of an earlier life.
        """
        if self._begin.is_set():
            return
        self._start = start
        self._decided = start - 1
        self._published = known
        self._begin.set()
        self._mailbox.post(lambda: None)

    def drain(self) -> None:
        """Publish nothing new after the slice in hand."""
        self._draining = True
        self._mailbox.post(lambda: None)

    def replay(self, stream: str, from_seq: int, to_seq: int) -> bytes:
        """Return the published candles ``[from_seq, to_seq)`` of a stream as a `CandleBatch`.

        Called by a participant that sees a gap, or joins late, in its own time. The market is its
        own log: whatever it has given out it can give out again.
        """
        self._require_open()
        return self._batch_of(stream, from_seq, to_seq - from_seq, self._published)

    def newest(self, stream: str, limit: int, before_ms: int | None) -> list[Candle]:
        """Return the newest published candles of a stream, oldest first; see `Market.newest`.

        Raises:
            DataError: The stream is not played.
        """
        self._require_open()
        return self._market.newest(stream, limit, published=self._published, before_ms=before_ms)

    def replay_all(self, wanted: Mapping[str, int], known: int) -> tuple[int, list[bytes]]:
        """Return the newest published slice, and everything of some streams up to it.

        Args:
            wanted: First seq wanted, by stream.
            known: Newest slice the order manager knows to have been published: market data that
                has just come back does not.
        """
        self._require_open()
        published = max(self._published, known)
        return published, [
            self._batch_of(stream, first, None, published) for stream, first in wanted.items()
        ]

    def replay_slices(self, start: int, limit: int, through: int | None = None) -> bytes:
        """Return slices from a number on, at most so many, as a `SliceBatch`.

        Args:
            start: Number of the first.
            limit: At most so many.
            through: Number of the last; None for the newest published. An order manager that
                lives through its journal knows which it has seen, when market data that was away
                with it does not.
        """
        self._require_open()
        last = self._published if through is None else through
        found: list[MarketSlice] = []
        for market_slice in self._market.slices(start):
            if market_slice.number > last or len(found) == limit:
                break
            found.append(market_slice)
        return msgspec.msgpack.encode(SliceBatch(time.monotonic_ns(), found))

    def _require_open(self) -> None:
        if not self._is_open:
            raise ServiceAwayError("market data: it has yet to open the market")

    def _batch_of(self, stream: str, from_seq: int, limit: int | None, published: int) -> bytes:
        batch = CandleBatch(stream, time.monotonic_ns(), [], [], [])
        # What is yet to come may be millions of candles.
        known = self._market.history(stream, from_seq, limit, published=published)
        for number, candle in known:
            batch.slices.append(number)
            # The slice's own time is not kept; one after the close makes the reader treat the
            # candle as a late one, which is always safe.
            batch.times.append(candle.close_time + 1)
            batch.candles.append(candle)
        return msgspec.msgpack.encode(batch)

    def run(self) -> None:
        """Publish the whole feed, then go on serving until the process is ended."""
        with self._ending.of():
            self._run()

    def _run(self) -> None:
        gc.freeze()  # as in the hosts: nothing built so far goes away
        while not self._begin.is_set():
            self._serve(timeout_ms=1000)
        try:
            self._publish_all(self._market.slices(self._start))
        except DataError as error:
            self._failed = str(error)
        self._finished = True
        while True:
            self._serve(timeout_ms=1000)

    def _publish_all(self, slices: Iterator[MarketSlice]) -> None:
        pacer = self._pacer()
        paced = self._speed != "max"
        pending: list[MarketSlice] = []
        for market_slice in slices:
            if paced:
                self._wait_until(pacer, market_slice)
            while market_slice.number > self._decided + WINDOW_SLICES and not self._draining:
                self._flush(pending)
                self._serve(timeout_ms=1000)
            # What an earlier life has published somebody may have acted on: that comes again.
            if self._draining and market_slice.number > self._published:
                break
            pending.append(market_slice)
            if paced or len(pending) >= BATCH_SLICES:
                self._flush(pending)
                self._serve(timeout_ms=0)
        self._flush(pending)
        end = SliceBatch(time.monotonic_ns(), [], last=True)
        publish(self._publisher, SLICES_TOPIC, self._slices.encode(end))

    def _pacer(self) -> Pacer:
        """Return the pacer of the feed; a hole in the data is not waited out."""
        if self._speed == "max":
            return Pacer("max", time.monotonic)
        longest_ms = max(
            (timeframe_ms(StreamId.parse(s).timeframe) for s in self._market.base_streams.values()),
            default=0,
        )
        longest_wait_s = LONGEST_WAIT_CANDLES * longest_ms / 1000 / self._speed
        return Pacer(self._speed, time.monotonic, longest_wait_s=longest_wait_s)

    def _wait_until(self, pacer: Pacer, market_slice: MarketSlice) -> None:
        while not self._draining:
            wait_s = pacer.wait_s(market_slice.time)
            if wait_s <= 0:
                return
            self._serve(timeout_ms=max(1, int(wait_s * 1000)))

    def _flush(self, pending: list[MarketSlice]) -> None:
        """Publish; from then on it can be replayed too."""
        if not pending:
            return
        now, last = time.monotonic_ns(), pending[-1].number
        routes = self._distributor.routes
        batches: dict[str, CandleBatch] = {}
        for market_slice in pending:
            for candle in market_slice.candles:
                stream = candle.stream
                batch = batches.get(stream)
                if batch is None:
                    batch = batches[stream] = CandleBatch(stream, now, [], [], [])
                batch.slices.append(market_slice.number)
                batch.times.append(market_slice.time)
                batch.candles.append(candle)
        self._published = max(self._published, pending[-1].number)
        if ARMED:
            reach(CrashPoint.MARKET_LOGGED)
        publisher = self._publisher
        # The order manager first: it can match while the instances wake up, and those with an
        # order in the market have to hear it before they may look at the candle.
        publish(publisher, SLICES_TOPIC, self._slices.encode(SliceBatch(now, pending)))
        for stream, batch in batches.items():
            if not routes(stream):
                continue
            publish(publisher, stream_topic(stream), self._batch.encode(batch))
        publish(publisher, MARK_TOPIC, self._mark.encode(Mark(now, last)))
        pending.clear()

    def _serve(self, *, timeout_ms: int) -> None:
        """Take subscriptions, credit and control calls; wait for one at most `timeout_ms`."""
        for source, _ in self._poller.poll(timeout_ms):
            if source is self._publisher:
                self._take_subscriptions()
            elif source is self._credit:
                for decided in receive_all(self._credit):
                    self._decided = max(self._decided, int.from_bytes(decided, "big"))
            else:
                self._mailbox.drain()

    def _take_subscriptions(self) -> None:
        for change in receive_all(self._publisher):
            if change.startswith(_ATTACHED_PREFIX):
                self._attached.add(change[2:-1].decode())
            elif change.startswith(_DETACHED_PREFIX):
                self._attached.discard(change[2:-1].decode())
