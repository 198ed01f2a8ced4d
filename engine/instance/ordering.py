"""How a strategy asks for orders: every request is recorded, checked, and nothing is executed."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from engine.errors import StrategyError
from engine.instance.orders import WorkingOrder
from engine.instance.position import Position
from engine.money import to_decimal
from engine.types import (
    Action,
    CancelRequest,
    Intent,
    OrderRequest,
    OrderType,
    Side,
    Signal,
)

__all__ = ["OrderServices"]

Number = float | Decimal

# Bound once: reading a member off its enum class costs more than a function call.
_BUY = Action.BUY
_SELL = Action.SELL
_CLOSE = Action.CLOSE
_HOLD = Action.HOLD


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
            _BUY,
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
            _SELL,
            symbol,
            (quantity, limit_price, stop_loss, take_profit, trailing_stop),
            confidence,
            reason,
        )

    def close(
        self, symbol: str | None = None, *, confidence: float = 1.0, reason: str = ""
    ) -> None:
        """Ask to be flat."""
        self._record(Signal(_CLOSE, self._known(symbol), self._sure(confidence), reason))

    def hold(self, symbol: str | None = None, *, confidence: float = 1.0, reason: str = "") -> None:
        """Record that nothing should change, with the reason; never an order."""
        self._record(Signal(_HOLD, self._known(symbol), self._sure(confidence), reason))

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
        reason = intent.reason
        if not (isinstance(reason, str) and reason.isascii()):
            self._require_text(reason)
        if self.is_open:
            self.intents.append(intent)
        else:
            self.dropped += 1

    def _require_text(self, reason: object) -> None:
        """Refuse here what could not be written to the ledger later, in the order manager."""
        try:
            str.encode(reason)  # type: ignore[arg-type]  # whatever the strategy has passed
        except (TypeError, UnicodeEncodeError) as error:
            raise StrategyError(
                f"strategy {self._instance!r}: reason must be text that UTF-8 can hold, is "
                f"{ascii(reason)[:80]}"
            ) from error

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
        return float(confidence)

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
