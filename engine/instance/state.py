"""Everything an instance consists of, how it is reported, stored and taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from engine.catalog.plugin import StrategyPlugin
from engine.config import StrategyConfig
from engine.errors import ChorusError, StrategyError
from engine.instance.faults import Fault, FaultLog
from engine.instance.feed import Feed
from engine.instance.guard import Guard
from engine.instance.lifecycle import Status
from engine.instance.log import LogServices
from engine.instance.metrics import InstanceView, Metrics
from engine.instance.orders import OrderMirror
from engine.instance.parameters import check_update
from engine.instance.performance import Performance
from engine.instance.position import Position, added
from engine.instance.services import (
    MarketDataServices,
    OrderServices,
    RiskServices,
    StrategyServices,
)
from engine.instance.snapshot import SCHEMA_VERSION, Snapshot
from engine.instance.summary import Activity, summarise
from engine.money import Instrument
from engine.types import Candle, Fill
from indicators import IndicatorManager

__all__ = ["InstanceState"]

_ENCODE = msgspec.msgpack.encode


class InstanceState:
    """The parts of an instance and what does not depend on how candles move them.

    Args:
        config: The strategy.
        strategy: A fresh object of its type.
        instruments: Trading rules by symbol, as the strategy spells it.
        capital: What it starts with, quote currency.
        indicators: Its indicators on the main stream.
        parameters: Checked parameters with defaults filled in.
        code_hash: SHA-256 of the plugin's source; empty where it is not from a file.

    Attributes:
        id: Id of the strategy.
        status: Where it is in its life.
        cause: Why it is in `error`; empty otherwise.
    """

    __slots__ = (
        "_activity",
        "_attention",
        "_capital",
        "_cash",
        "_code_hash",
        "_config",
        "_exposed",
        "_faults",
        "_feeds",
        "_forced",
        "_guard",
        "_indicators",
        "_intents",
        "_is_holding",
        "_is_liquidating",
        "_is_live",
        "_is_running",
        "_main",
        "_market",
        "_mirror",
        "_missed_fills",
        "_on_strategy_candle",
        "_order",
        "_parameters",
        "_parameters_version",
        "_pending",
        "_performance",
        "_positions",
        "_present",
        "_services",
        "_strategy",
        "_ticks",
        "_update_indicators",
        "_warmup_left",
        "cause",
        "id",
        "status",
    )

    def __init__(
        self,
        config: StrategyConfig,
        strategy: StrategyPlugin,
        *,
        instruments: Mapping[str, Instrument],
        capital: Decimal,
        indicators: IndicatorManager,
        parameters: Mapping[str, Any],
        code_hash: str = "",
    ) -> None:
        self.id = config.id
        self.status = Status.CREATED
        self.cause = ""
        self._config = config
        self._code_hash = code_hash
        self._capital = capital
        self._positions = {
            symbol: Position(symbol, instruments[symbol]) for symbol in config.symbols
        }
        self._present = tuple(self._positions.values())
        self._feeds = {
            f"{config.venue}:{symbol}:{timeframe}": Feed(
                f"{config.venue}:{symbol}:{timeframe}",
                position=self._positions[symbol],
                capacity=config.buffer_candles,
                is_main=symbol == config.symbol and timeframe == config.timeframe,
            )
            for symbol in config.symbols
            for timeframe in config.timeframes
        }
        self._main = self._feeds[config.main_stream]
        self._mirror = OrderMirror({symbol: instruments[symbol] for symbol in config.symbols})
        self._performance = Performance(float(capital))
        self._guard = Guard(config.risk, float(capital))
        self._faults = FaultLog()
        self._activity = Activity()
        self._indicators = indicators
        self._update_indicators: Callable[[Candle], None] | None = (
            indicators.update if indicators.slots else None
        )
        self._parameters = dict(parameters)
        self._parameters_version = 1
        self._pending: dict[str, Any] | None = None
        self._cash = float(capital)
        self._exposed = False
        self._is_live = False
        self._is_running = False
        self._attention = False
        self._is_liquidating = False
        self._is_holding = False
        self._forced: dict[str, str] = {}
        self._missed_fills: list[Fill] = []
        self._warmup_left = 0
        self._ticks = 0
        self._order = OrderServices(self.id, self._positions, config.symbol, self._mirror.working)
        self._intents = self._order.intents
        self._market = MarketDataServices(
            self.id,
            indicators,
            {stream: feed.buffer for stream, feed in self._feeds.items()},
            config.main_stream,
        )
        self._services = StrategyServices(
            config=config,
            parameters=self._parameters,
            order=self._order,
            positions=self._positions,
            risk=RiskServices(
                config.risk,
                capital,
                equity=self.equity,
                drawdown=lambda: self._performance.drawdown,
                cooldown=self._cooldown_left,
            ),
            market_data=self._market,
        )
        self._strategy = strategy
        self._on_strategy_candle = strategy.on_candle

    @property
    def config(self) -> StrategyConfig:
        """Return the configuration of the strategy."""
        return self._config

    @property
    def candles(self) -> int:
        """Return how many candles of all streams were processed."""
        return sum(feed.next_seq - feed.anchor for feed in self._feeds.values())

    @property
    def warmup(self) -> int:
        """Return how many candles of the main stream it takes before it is live, at least.

        Known once it is started: a type may find out in `on_init`.
        """
        return self._indicators.warmup + self._strategy.warmup_candles

    @property
    def trace(self) -> str:
        """Return the traceback of the newest contained exception, empty without one."""
        recent = self._faults.recent()
        return recent[-1].trace if recent else ""

    @property
    def log(self) -> LogServices:
        """Return what its code says to people."""
        return self._services.log

    @property
    def errors(self) -> int:
        """Return how many exceptions were contained."""
        return self._faults.total

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Return the newest contained exceptions with their traces, oldest first."""
        return self._faults.recent()

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Return the parameters in force."""
        return self._parameters

    def equity(self) -> float:
        """Return capital + realised - fees + unrealised at the last closes, quote currency."""
        return self._cash + added(position.unrealised for position in self._present)

    def _settled(self) -> float:
        settled = self._capital
        for position in self._present:
            settled += position.realised - position.fees
        return float(settled)

    def _cooldown_left(self) -> int:
        return self._guard.cooldown_left(self._main.next_seq - 1)

    def equity_curve(self) -> list[tuple[int, float]]:
        """Return at most 2048 (close time in ms UTC, equity) pairs, evenly spaced in candles."""
        return self._performance.curve.points()

    def view(self) -> InstanceView:
        """Return what a live table shows; cheap enough to ask for several times a second."""
        capital = float(self._capital)
        pnl = self.equity() - capital
        last = self._activity.last_signal
        return InstanceView(
            status=str(self.status),
            position=self._present[0].quantity,
            pnl=pnl,
            return_pct=100.0 * pnl / capital if capital else 0.0,
            trades=self._performance.trades,
            open_orders=len(self._mirror.working),
            last_signal="" if last is None else f"{last.action} @ {last.time}",
            candles=self.candles,
            errors=self._faults.total,
            cause=self.cause,
        )

    def metrics(self) -> Metrics:
        """Return everything that is reported about this instance; see `Metrics`."""
        last = self._market.last
        return summarise(
            config=self._config,
            status=self.status,
            cause=self.cause,
            capital=self._capital,
            equity=self.equity(),
            positions=self._present,
            performance=self._performance,
            activity=self._activity,
            last_update=0 if last is None else last.close_time,
            dropped=self._order.dropped,
            errors=self._faults.total,
            duplicates=sum(feed.duplicates for feed in self._feeds.values()),
            parameters_version=self._parameters_version,
        )

    def _dump(self) -> Snapshot:
        plugin = type(self._strategy)
        last = self._market.last
        return Snapshot(
            schema=SCHEMA_VERSION,
            instance=self.id,
            type=plugin.metadata.type,
            plugin_version=plugin.metadata.version,
            code_hash=self._code_hash,
            status=self.status,
            cause=self.cause,
            parameters=self._parameters,
            parameters_version=self._parameters_version,
            pending_parameters=self._pending,
            feeds={stream: feed.state() for stream, feed in self._feeds.items()},
            last_stream="" if last is None else last.stream,
            positions={position.symbol: position.state() for position in self._present},
            orders=self._mirror.state(),
            performance=self._performance.state(),
            guard=self._guard.state(),
            faults=self._faults.state(),
            activity=self._activity.state(),
            is_exposed=self._exposed,
            is_live=self._is_live,
            is_liquidating=self._is_liquidating,
            warmup_left=self._warmup_left,
            ticks=self._ticks,
            dropped=self._order.dropped,
            intents=list(self._intents),
            missed_fills=list(self._missed_fills),
            random=self._services.random_state(),
            strategy_state=self._own_state(),
        )

    def _own_state(self) -> dict[str, Any]:
        if self.status is Status.CREATED:
            return {}
        try:
            return self._strategy.get_state()
        except (Exception, SystemExit) as error:  # strategy code may raise anything
            raise StrategyError(f"instance {self.id!r}: get_state raised {error!r}") from error

    def _check_origin(self, snapshot: Snapshot) -> None:
        plugin = type(self._strategy)
        for name, stored, present in (
            ("strategy", snapshot.instance, self.id),
            ("type", snapshot.type, plugin.metadata.type),
            ("version of the type", snapshot.plugin_version, plugin.metadata.version),
            ("code hash", snapshot.code_hash, self._code_hash),
            ("set of streams", sorted(snapshot.feeds), sorted(self._feeds)),
        ):
            if stored != present:
                raise ChorusError(
                    f"instance {self.id!r}: the snapshot's {name} is {stored!r}, this instance's "
                    f"is {present!r}; start it anew from the log instead"
                )
        # Its own parameters were checked when it was built. As bytes, since True == 1 == 1.0.
        if _ENCODE(snapshot.parameters) != _ENCODE(self._parameters):
            check_update(plugin, self._config, self._parameters, snapshot.parameters)

    def _load(self, snapshot: Snapshot) -> None:
        """Take everything back that does not follow from candles; those are replayed already."""
        for stream, feed in self._feeds.items():
            feed.load(snapshot.feeds[stream], instance=self.id)
        for position in self._present:
            position.load(snapshot.positions[position.symbol])
        self._cash = self._settled()
        self._mirror.load(snapshot.orders)
        self._performance.load(snapshot.performance)
        self._guard.load(snapshot.guard)
        self._faults.load(snapshot.faults)
        self._activity.load(snapshot.activity)
        self._parameters_version = snapshot.parameters_version
        self._pending = snapshot.pending_parameters
        self._exposed = snapshot.is_exposed
        self._is_live = snapshot.is_live
        self._is_liquidating = snapshot.is_liquidating
        self._warmup_left = snapshot.warmup_left
        self._ticks = snapshot.ticks
        self._order.dropped = snapshot.dropped
        self._intents[:] = snapshot.intents
        self._missed_fills = snapshot.missed_fills
        self._attention = self._pending is not None or bool(self._missed_fills)
        self._services.load_random_state(snapshot.random)
        self.cause = snapshot.cause
        self.status = Status(snapshot.status)
        self._is_running = self._order.is_open = self.status is Status.RUNNING
        if self.status is Status.CREATED:
            return
        try:
            self._strategy.set_state(snapshot.strategy_state)
        except (Exception, SystemExit) as error:  # strategy code may raise anything
            raise StrategyError(f"instance {self.id!r}: set_state raised {error!r}") from error
