"""Metrics in the text format of Prometheus; names and units follow its conventions."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.server.services import Services
from api.server.system import SystemStatus
from engine.status import EngineStatus, ProcessStatus, StrategyStatus

__all__ = ["Exposition", "Measured", "Metrics"]

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_QUANTILES: Final = {"p50": "0.5", "p90": "0.9", "p99": "0.99"}

STATUSES: Final = ("created", "warming", "running", "paused", "stopped", "error", "no data")
"""Always shown, so that an alert on one of them finds it."""


class Exposition(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown to whom.

    Attributes:
        is_open: Programs of this machine need no key.
        strategies: How many strategies have series of their own, the first by id; all others are
            in the sums only.
    """

    is_open: bool = False
    strategies: int = 200


class Metrics:
    """All metrics of an application, in a registry of its own.

    Args:
        services: Returns what is measured.
        clients: Tells how many follow the event stream.
        exposition: What is shown to whom.

    Attributes:
        exposition: What is shown to whom.
    """

    def __init__(
        self,
        services: Callable[[], Services],
        clients: Callable[[], int],
        exposition: Exposition,
    ) -> None:
        self.exposition = exposition
        self._registry = CollectorRegistry()
        self._registry.register(_Present(services, clients, exposition.strategies))
        self._requests = Counter(
            "chorus_http_requests",
            "Requests by the route they were for; none: there is no such route",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._durations = Histogram(
            "chorus_http_request_duration_seconds",
            "From the request until its answer begins",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self._registry,
        )

    def text(self) -> bytes:
        """Return all of them as they are now. Asks nobody, so it takes milliseconds."""
        return generate_latest(self._registry)

    def count(self, method: str, route: str, status: int, duration_s: float) -> None:
        """Count a request that was answered.

        Args:
            method: Anything; what is not known counts as one.
            route: Its template.
            status: Of the answer.
            duration_s: Until that began, seconds.
        """
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._durations.labels(known, route).observe(duration_s)


class Measured:
    """The outermost layer: counts every request, whoever answers it.

    Args:
        app: What comes behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        metrics: Metrics = scope["app"].state.metrics
        began = time.perf_counter()

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                # By now it has been decided whose route it is.
                route = getattr(scope.get("route"), "path", "none")
                took_s = time.perf_counter() - began
                metrics.count(scope["method"], route, message["status"], took_s)
            await send(message)

        await self._app(scope, receive, counting)


class _Present(Collector):
    """What is as it is at the moment somebody looks."""

    def __init__(
        self, services: Callable[[], Services], clients: Callable[[], int], strategies: int
    ) -> None:
        self._services = services
        self._clients = clients
        self._strategies = strategies

    def collect(self) -> Iterator[Metric]:
        """Return it."""
        services = self._services()
        status = services.system.status()
        yield _one("chorus_uptime_seconds", "Time the service has run", status.uptime_s)
        yield _one("chorus_stream_clients", "Clients of the event stream", self._clients())
        yield from _of_engine(status)
        yield from _of_recording(status)
        yield from _of_machine(status)
        if (seen := services.engine.status()) is not None:
            yield from _of_trading(seen, self._strategies)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: that registers it without collecting."""
        return ()


def _of_engine(status: SystemStatus) -> Iterator[Metric]:
    engine = status.engine
    is_up = engine is not None and not engine.failure and not status.engine_error
    yield _one("chorus_engine_up", "1: the engine answers and goes on", int(is_up))
    if engine is None:
        return
    behind = max(0, engine.published - engine.decided)
    yield _one("chorus_feed_over", "1: there are no more candles", int(engine.is_feed_over))
    yield _one("chorus_slices_published", "Last slice of the feed", engine.published)
    yield _one("chorus_slices_decided", "Last slice decided", engine.decided)
    yield _one("chorus_slices_lag", "Slices published and not decided yet", behind)
    processes = GaugeMetricFamily(
        "chorus_engine_processes", "Processes of the engine", labels=("kind", "state")
    )
    counts = Tally((each.kind, each.state) for each in engine.processes)
    for (kind, state), count in sorted(counts.items()):
        processes.add_metric((kind, state), count)
    yield processes
    yield _by_kind(
        GaugeMetricFamily(
            "chorus_engine_memory_bytes", "Unique memory of the engine", labels=("kind",)
        ),
        engine.processes,
        lambda each: each.memory_bytes,
    )
    yield _by_kind(
        CounterMetricFamily(
            "chorus_engine_restarts",
            "Processes of the engine that were started again",
            labels=("kind",),
        ),
        engine.processes,
        lambda each: each.restarts,
    )


def _by_kind(
    family: GaugeMetricFamily | CounterMetricFamily,
    processes: Iterable[ProcessStatus],
    value: Callable[[ProcessStatus], int],
) -> Metric:
    sums: Tally[str] = Tally()
    for each in processes:
        sums[each.kind] += value(each)
    for kind, total in sorted(sums.items()):
        family.add_metric((kind,), total)
    return family


def _of_recording(status: SystemStatus) -> Iterator[Metric]:
    recording, events, recorded = status.recording, status.events, status.recorded
    yield _one("chorus_recording_lag_lines", "Ledger lines not on record yet", recording.lag)
    yield _one("chorus_recording_up", "1: recording goes on", int(not recording.error))
    executions = status.executions
    yield _one("chorus_executions_lag_lines", "Executions not on record yet", executions.lag)
    yield _one("chorus_executions_up", "1: recording executions goes on", int(not executions.error))
    for name, count in (
        ("signals", recorded.signals),
        ("orders", recorded.orders),
        ("fills", recorded.fills),
    ):
        yield CounterMetricFamily(f"chorus_{name}", f"{name.title()} put on record", value=count)
    yield _one("chorus_event_log_up", "1: events can be written", int(events.available))
    yield _one("chorus_events_waiting", "Events that are not in their log yet", events.waiting)
    for name, help_text, counts in (
        ("chorus_events_dropped", "Events that made room for newer ones", events.dropped),
        ("chorus_events_refused", "Events there was no room for", events.refused),
    ):
        family = CounterMetricFamily(name, help_text, labels=("kind",))
        # Streams of candles count together: there may be thousands.
        kinds: Tally[str] = Tally()
        for topic, count in counts.items():
            kinds[topic.partition(":")[0]] += count
        for kind in sorted({*kinds, "metrics"}):
            family.add_metric((kind,), kinds[kind])
        yield family


def _of_machine(status: SystemStatus) -> Iterator[Metric]:
    memory = GaugeMetricFamily(
        "chorus_memory_bytes", "Unique memory of the service and what it started", labels=("of",)
    )
    cpu = CounterMetricFamily(
        "chorus_cpu_seconds", "Processor time of the service and what it started", labels=("of",)
    )
    for name, use in (("service", status.service), ("children", status.children)):
        memory.add_metric((name,), use.memory_bytes)
        if name == "service":
            cpu.add_metric((name,), use.cpu_s)
    yield memory
    yield cpu
    yield _one("chorus_data_free_bytes", "Room where the data folder is", status.free_bytes)


def _of_trading(engine: EngineStatus, most: int) -> Iterator[Metric]:
    yield CounterMetricFamily("chorus_candles", "Candles of the feed decided", value=engine.candles)
    latency = GaugeMetricFamily(
        "chorus_decision_latency_seconds",
        "From a candle to the decision on it, over the whole run",
        labels=("quantile",),
    )
    for name, quantile in _QUANTILES.items():
        if name in engine.latency_ms:
            latency.add_metric((quantile,), engine.latency_ms[name] / 1000)
    yield latency
    by_status = GaugeMetricFamily(
        "chorus_strategies", "Strategies by what they do", labels=("status",)
    )
    counts = Tally(each.status for each in engine.strategies)
    for state in dict.fromkeys((*STATUSES, *sorted(counts))):
        by_status.add_metric((state,), counts[state])
    yield by_status
    errors = sum(each.errors for each in engine.strategies)
    yield _one("chorus_strategy_exceptions", "Exceptions of strategies, contained", errors)
    yield from _of_strategies(sorted(engine.strategies, key=lambda each: each.id)[:most])


def _of_strategies(strategies: list[StrategyStatus]) -> Iterator[Metric]:
    """Return what each strategy has a series of; amounts are in the currency it is quoted in."""
    values: dict[str, tuple[str, Callable[[StrategyStatus], float]]] = {
        "chorus_strategy_up": ("1: it is not in error", lambda each: each.status != "error"),
        "chorus_strategy_pnl": (
            "Realized and unrealized profit, quote currency",
            lambda each: each.pnl,
        ),
        "chorus_strategy_return_ratio": (
            "Profit as a part of the capital",
            lambda each: each.return_pct / 100,
        ),
        "chorus_strategy_position": ("Signed quantity, base currency", lambda each: each.position),
        "chorus_strategy_open_orders": ("Orders that work", lambda each: each.open_orders),
        "chorus_strategy_lag_candles": ("Candles it is behind", lambda each: each.lag),
    }
    for name, (help_text, value) in values.items():
        family = GaugeMetricFamily(name, help_text, labels=("strategy", "symbol"))
        for each in strategies:
            family.add_metric((each.id, each.symbol), float(value(each)))
        yield family
    trades = CounterMetricFamily(
        "chorus_strategy_trades", "Closed round trips", labels=("strategy", "symbol")
    )
    for each in strategies:
        trades.add_metric((each.id, each.symbol), each.trades)
    yield trades


def _one(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value=value)
