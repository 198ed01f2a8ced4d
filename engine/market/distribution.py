"""Who gets which candle: the pure part of the distributor.

The MarketData actor turns the routes into ZeroMQ topics, the backtest into calls.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

from engine.errors import ConfigError
from engine.types import Candle, MarketSlice, StreamId

__all__ = ["DataDistributor", "select_streams"]

SubscriberT = TypeVar("SubscriberT", bound=Hashable)


def select_streams(
    streams: Iterable[str],
    *,
    symbols: Iterable[str] | None = None,
    timeframes: Iterable[str] | None = None,
) -> tuple[str, ...]:
    """Return the streams that pass a symbol and a timeframe filter, in their order.

    Args:
        streams: Stream ids on offer.
        symbols: Symbols to keep, spelled as in the stream ids; None keeps all.
        timeframes: Timeframes to keep; None keeps all.

    >>> select_streams(["p:A/B:1m", "p:A/B:5m", "p:C/B:1m"], symbols=["A/B"], timeframes=["1m"])
    ('p:A/B:1m',)
    """
    wanted_symbols = None if symbols is None else frozenset(symbols)
    wanted_timeframes = None if timeframes is None else frozenset(timeframes)
    chosen = []
    for stream in streams:
        parts = StreamId.parse(stream)
        if wanted_symbols is not None and parts.symbol not in wanted_symbols:
            continue
        if wanted_timeframes is not None and parts.timeframe not in wanted_timeframes:
            continue
        chosen.append(stream)
    return tuple(chosen)


class DataDistributor(Generic[SubscriberT]):
    """Routes candles to subscribers in the order in which they registered.

    A subscriber is any hashable value: an instance id, a topic, an object to call. It keeps its
    place in the order until it unsubscribes, also when it changes its streams (a restart).
    """

    def __init__(self) -> None:
        self._streams: dict[SubscriberT, tuple[str, ...]] = {}
        self._routes: dict[str, tuple[SubscriberT, ...]] = {}
        self._routed: dict[str, int] = {}
        self._routed_before: dict[SubscriberT, int] = {}

    def subscribe(self, subscriber: SubscriberT, streams: Iterable[str]) -> None:
        """Register a subscriber for a set of streams, or replace the set it has.

        Raises:
            ConfigError: It names no stream.
        """
        wanted = tuple(dict.fromkeys(streams))
        if not wanted:
            raise ConfigError(f"subscriber {subscriber!r} needs at least one stream")
        before = self._streams.get(subscriber, ())
        self._streams[subscriber] = wanted
        for stream in dict.fromkeys((*before, *wanted)):
            self._routed.setdefault(stream, 0)
            if before:
                self._reroute(stream)
            else:  # the newest is last in every route: no need to look at the others
                self._routes[stream] = (*self.routes(stream), subscriber)
        self._routed_before[subscriber] = self._sum_routed(wanted)

    def unsubscribe(self, subscriber: SubscriberT) -> bool:
        """Take a subscriber out of every route; tell whether it was subscribed."""
        streams = self._streams.pop(subscriber, ())
        self._routed_before.pop(subscriber, None)
        for stream in streams:
            self._reroute(stream)
        return bool(streams)

    def _reroute(self, stream: str) -> None:
        route = tuple(who for who, streams in self._streams.items() if stream in streams)
        if route:
            self._routes[stream] = route
        else:
            self._routes.pop(stream, None)

    def routes(self, stream: str) -> tuple[SubscriberT, ...]:
        """Return the subscribers of a stream in registration order; O(1), counts nothing."""
        return self._routes.get(stream, ())

    def route(self, market_slice: MarketSlice) -> Iterator[tuple[Candle, tuple[SubscriberT, ...]]]:
        """Yield each candle somebody wants with its subscribers, in slice order, and count it."""
        routes, routed = self._routes, self._routed
        for candle in market_slice.candles:
            subscribers = routes.get(candle.stream)
            if subscribers:
                routed[candle.stream] += 1
                yield candle, subscribers

    @property
    def subscribers(self) -> tuple[SubscriberT, ...]:
        """Return all subscribers in registration order."""
        return tuple(self._streams)

    @property
    def wanted(self) -> tuple[str, ...]:
        """Return the streams that have a subscriber, by first registration."""
        return tuple(dict.fromkeys(s for streams in self._streams.values() for s in streams))

    def streams_of(self, subscriber: SubscriberT) -> tuple[str, ...]:
        """Return what a subscriber listens to.

        Raises:
            ConfigError: It is not subscribed.
        """
        try:
            return self._streams[subscriber]
        except KeyError:
            raise ConfigError(f"subscriber {subscriber!r} is not subscribed") from None

    def candles_of(self, stream: str) -> int:
        """Return how many candles of a stream `route` has handed out, to however many."""
        return self._routed.get(stream, 0)

    def delivered(self, subscriber: SubscriberT) -> int:
        """Return how many candles `route` has handed to a subscriber since it subscribed.

        Raises:
            ConfigError: It is not subscribed.
        """
        # The difference of two sums costs nothing per delivery, however many subscribers.
        return self._sum_routed(self.streams_of(subscriber)) - self._routed_before[subscriber]

    def _sum_routed(self, streams: tuple[str, ...]) -> int:
        return sum(self._routed[stream] for stream in streams)
