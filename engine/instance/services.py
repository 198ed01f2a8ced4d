"""What a strategy may use: orders, position, risk and market data.

What a strategy asks for is recorded as intents of the present candle's decision; nothing is
executed here. Every request outside `on_candle`, `on_tick` and `on_order_filled` (warm-up, pause,
stop) is dropped and counted, so a hook may share its code between history and live candles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

from engine.config import RiskConfig, StrategyConfig
from engine.errors import StrategyError
from engine.instance.buffer import CandleBuffer
from engine.instance.position import Position
from engine.money import to_decimal
from engine.types import (
    Action,
    CancelRequest,
    Candle,
    Intent,
    OrderRequest,
    OrderType,
    Side,
    Signal,
)

if TYPE_CHECKING:
    from engine.instance.orders import WorkingOrder
    from indicators import IndicatorManager

__all__ = [
    "MarketDataServices",
    "OrderServices",
    "RiskServices",
    "StrategyServices",
]

Number = float | Decimal


class OrderServices:
    """Records what the strategy wants.

    Quantities are base currency, prices quote currency, stops and targets fractions of the entry
    price (0.02 is 2 %). None leaves the choice to `sizing` and `risk` of the configuration.

    Attributes:
        working: The strategy's own working orders by id, in order of acceptance. Read-only.
        dropped: Requests made where none is possible, so far.
    """

    __slots__ = ("_instance", "_positions", "_symbol", "dropped", "intents", "is_open", "working")

    def __init__(
        self,
        instance: str,
        positions: Mapping[str, Position],
        symbol: str,
        working: Mapping[str, WorkingOrder],
    ) -> None:
        self._instance = instance
        self._positions = positions
        self._symbol = symbol
        self.working = working
        self.intents: list[Intent] = []
        self.is_open = False
        self.dropped = 0

    def buy(
        self,
        symbol: str | None = None,
        quantity: Number | None = None,
        *,
        limit_price: Number | None = None,
        stop_loss: Number | None = None,
        take_profit: Number | None = None,
        trailing_stop: Number | None = None,
        confidence: float = 1.0,
        reason: str = "",
    ) -> None:
        """Ask for a long position; from short the short is closed by the same order.

        Raises:
            StrategyError: Unknown symbol, or a number out of range.
        """
        self._enter(
            Action.BUY,
            symbol,
            (quantity, limit_price, stop_loss, take_profit, trailing_stop),
            confidence,
            reason,
        )

    def sell(
        self,
        symbol: str | None = None,
        quantity: Number | None = None,
        *,
        limit_price: Number | None = None,
        stop_loss: Number | None = None,
        take_profit: Number | None = None,
        trailing_stop: Number | None = None,
        confidence: float = 1.0,
        reason: str = "",
    ) -> None:
        """Ask for a short position; from long the long is closed by the same order.

        To leave a long position without going short use `close`.

        Raises:
            StrategyError: Unknown symbol, or a number out of range.
        """
        self._enter(
            Action.SELL,
            symbol,
            (quantity, limit_price, stop_loss, take_profit, trailing_stop),
            confidence,
            reason,
        )

    def close(
        self, symbol: str | None = None, *, confidence: float = 1.0, reason: str = ""
    ) -> None:
        """Ask to be flat."""
        self._record(Signal(Action.CLOSE, self._known(symbol), self._sure(confidence), reason))

    def hold(self, symbol: str | None = None, *, confidence: float = 1.0, reason: str = "") -> None:
        """Record that nothing should change, with the reason; never an order."""
        self._record(Signal(Action.HOLD, self._known(symbol), self._sure(confidence), reason))

    def place(
        self,
        side: Side,
        type: OrderType,  # noqa: A002 - the field's name in `OrderRequest`
        quantity: Number,
        price: Number | None = None,
        symbol: str | None = None,
        *,
        reduce_only: bool = False,
        confidence: float = 1.0,
        reason: str = "",
    ) -> None:
        """Ask for a plain order, for styles that keep several orders at once.

        Args:
            side: Direction.
            type: Any but MARKET needs a `price`.
            quantity: Base currency, rounded down to whole lots.
            price: Limit or trigger, rounded to the tick.
            symbol: None: the main symbol.
            reduce_only: The order may make the position smaller only.
            confidence: 0 to 1.
            reason: For people.

        Raises:
            StrategyError: Unknown symbol, a number out of range, a missing price.
        """
        name = self._known(symbol)
        instrument = self._positions[name].instrument
        if price is None and type is not OrderType.MARKET:
            raise StrategyError(f"strategy {self._instance!r}: a {type} order needs a price")
        self._record(
            OrderRequest(
                symbol=name,
                side=side,
                type=type,
                quantity=instrument.quantity(self._positive("quantity", quantity)),
                price=None if price is None else instrument.price(self._positive("price", price)),
                reduce_only=reduce_only,
                reason=reason,
                confidence=self._sure(confidence),
            )
        )

    def cancel(self, order_id: str, reason: str = "") -> None:
        """Ask to cancel one of the `working` orders.

        Raises:
            StrategyError: No such order works.
        """
        if order_id not in self.working:
            raise StrategyError(
                f"strategy {self._instance!r}: order {order_id!r} does not work "
                f"(working: {', '.join(self.working) or 'none'})"
            )
        self._record(CancelRequest(order_id, reason))

    def _enter(
        self,
        action: Action,
        symbol: str | None,
        numbers: tuple[Number | None, ...],
        confidence: float,
        reason: str,
    ) -> None:
        name = self._known(symbol)
        if numbers == (None, None, None, None, None):
            self._record(Signal(action, name, self._sure(confidence), reason))
            return
        quantity, limit_price, stop_loss, take_profit, trailing_stop = numbers
        instrument = self._positions[name].instrument
        self._record(
            Signal(
                action=action,
                symbol=name,
                confidence=self._sure(confidence),
                reason=reason,
                quantity=None
                if quantity is None
                else instrument.quantity(self._positive("quantity", quantity)),
                limit_price=None
                if limit_price is None
                else instrument.price(self._positive("limit_price", limit_price)),
                stop_loss=self._fraction("stop_loss", stop_loss, 1),
                take_profit=self._fraction("take_profit", take_profit, None),
                trailing_stop=self._fraction("trailing_stop", trailing_stop, 1),
            )
        )

    def _record(self, intent: Intent) -> None:
        if self.is_open:
            self.intents.append(intent)
        else:
            self.dropped += 1

    def _known(self, symbol: str | None) -> str:
        if symbol is None:
            return self._symbol
        if symbol not in self._positions:
            raise StrategyError(
                f"strategy {self._instance!r}: symbol {symbol!r} is not one of its own "
                f"({', '.join(self._positions)})"
            )
        return symbol

    def _sure(self, confidence: float) -> float:
        if not 0.0 <= confidence <= 1.0:
            raise StrategyError(
                f"strategy {self._instance!r}: confidence must be 0 to 1, is {confidence!r}"
            )
        return confidence

    def _positive(self, name: str, value: Number) -> Decimal:
        exact = value if isinstance(value, Decimal) else to_decimal(value)
        if not exact.is_finite() or exact <= 0:
            raise StrategyError(
                f"strategy {self._instance!r}: {name} must be positive, is {value!r}"
            )
        return exact

    def _fraction(self, name: str, value: Number | None, most: int | None) -> Decimal | None:
        if value is None:
            return None
        exact = self._positive(name, value)
        if most is not None and exact > most:
            raise StrategyError(
                f"strategy {self._instance!r}: {name} is a fraction of the entry price "
                f"(0.02 is 2 %) of at most {most}, is {value!r}"
            )
        return exact


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
    """

    __slots__ = (
        "_random",
        "config",
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
