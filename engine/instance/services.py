"""What a strategy may use: orders, position, risk, market data and a log.

What a strategy asks for is recorded as intents of the present candle's decision; nothing is
executed here. Every request outside `on_candle`, `on_tick` and `on_order_filled` (warm-up, pause,
stop) is dropped and counted, so a hook may share its code between history and live candles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from typing import Any

from engine.config import RiskConfig, StrategyConfig
from engine.errors import StrategyError
from engine.instance.buffer import CandleBuffer
from engine.instance.log import LogServices
from engine.instance.ordering import OrderServices
from engine.instance.position import Position
from engine.types import Candle
from indicators import IndicatorManager

__all__ = [
    "LogServices",
    "MarketDataServices",
    "OrderServices",
    "RiskServices",
    "StrategyServices",
]


class MarketDataServices:
    """What the strategy sees of the market.

    Attributes:
        indicators: The strategy's indicators on the main stream; `slot` once, then read `slots`.
        last: The newest candle of any of the strategy's streams; None before the first.
    """

    __slots__ = ("_buffers", "_instance", "_main", "indicators", "last")

    def __init__(
        self,
        instance: str,
        indicators: IndicatorManager,
        buffers: Mapping[str, CandleBuffer],
        main: str,
    ) -> None:
        self._instance = instance
        self.indicators = indicators
        self._buffers = buffers
        self._main = main
        self.last: Candle | None = None

    def candles(self, stream: str | None = None) -> CandleBuffer:
        """Return the buffer of a stream (None: the main one); the object never changes.

        Raises:
            StrategyError: The strategy does not listen to the stream.
        """
        try:
            return self._buffers[self._main if stream is None else stream]
        except KeyError:
            raise StrategyError(
                f"strategy {self._instance!r}: stream {stream!r} is not one of its own "
                f"({', '.join(self._buffers)})"
            ) from None


class RiskServices:
    """Limits of the strategy and how much of them is used.

    Attributes:
        config: The configured limits.
        capital: What the strategy started with, quote currency.
    """

    __slots__ = ("_cooldown", "_drawdown", "_equity", "capital", "config")

    def __init__(
        self,
        config: RiskConfig,
        capital: Decimal,
        *,
        equity: Callable[[], float],
        drawdown: Callable[[], float],
        cooldown: Callable[[], int],
    ) -> None:
        self.config = config
        self.capital = capital
        self._equity = equity
        self._drawdown = drawdown
        self._cooldown = cooldown

    @property
    def equity(self) -> float:
        """Return capital plus all profit at the last close, quote currency."""
        return self._equity()

    @property
    def drawdown(self) -> float:
        """Return how far equity is below its highest close, a fraction (0.1 is 10 %)."""
        return self._drawdown()

    @property
    def cooldown_left(self) -> int:
        """Return how many more candles entries are blocked, the present one included."""
        return self._cooldown()


class StrategyServices:
    """Everything a strategy may use; one object per instance, the same for its whole life.

    Attributes:
        config: Configuration of the strategy.
        parameters: Checked parameters, defaults filled in. Replaced by an update.
        order: Ask for orders.
        position: Position in the main symbol.
        positions: Position by symbol.
        risk: Limits.
        market_data: Candles and indicators.
        log: Lines for people, which decide nothing.
    """

    __slots__ = (
        "_random",
        "config",
        "log",
        "market_data",
        "order",
        "parameters",
        "position",
        "positions",
        "risk",
    )

    def __init__(
        self,
        *,
        config: StrategyConfig,
        parameters: Mapping[str, Any],
        order: OrderServices,
        positions: Mapping[str, Position],
        risk: RiskServices,
        market_data: MarketDataServices,
    ) -> None:
        self.config = config
        self.parameters = parameters
        self.order = order
        self.positions = positions
        self.position = positions[config.symbol]
        self.risk = risk
        self.market_data = market_data
        self.log = LogServices(config.id, market_data)
        self._random: Random | None = None

    @property
    def random(self) -> Random:
        """Return the strategy's own random source, seeded with its id and `seed`.

        Its state is part of every snapshot, so a restart goes on with the same numbers.
        """
        if self._random is None:
            self._random = Random(f"{self.config.id}|{self.config.seed}")  # noqa: S311 - not for secrets
        return self._random

    def random_state(self) -> list[Any] | None:
        """Return the state of `random` for a snapshot; None if it was never used."""
        if self._random is None:
            return None
        version, internal, gauss = self._random.getstate()
        return [version, list(internal), gauss]

    def load_random_state(self, state: list[Any] | None) -> None:
        """Take back what `random_state` returned."""
        if state is None:
            self._random = None
            return
        version, internal, gauss = state
        self.random.setstate((version, tuple(internal), gauss))
