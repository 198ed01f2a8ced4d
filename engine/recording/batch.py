"""What some lines of a ledger change: rows to write, and events to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from engine.errors import ConfigError
from engine.money import ZERO, money
from engine.recording.errors import RecordingError
from engine.recording.events import Draft, of_fill, of_order, of_signal
from engine.recording.lines import (
    CanceledLine,
    CancelLine,
    FillLine,
    IntentLine,
    Line,
    NetLine,
    OrderLine,
    RequestLine,
    SignalLine,
    TradingLine,
    WithdrawnLine,
)
from engine.recording.owners import Owner
from engine.recording.rows import (
    Row,
    clean,
    fill_row,
    open_order,
    rejected_order,
    row_id,
    signal_row,
)
from engine.types import Side

__all__ = ["Batch", "PositionKey", "instances_of", "orders_of", "positions_of"]

PositionKey = tuple[str, str, str]
"""Strategy, account, symbol."""

_WORKED: Final = ("accepted", "recorded")


def instances_of(lines: Iterable[Line]) -> set[str]:
    """Return whom some lines are about."""
    return {line.instance for line in lines if not isinstance(line, NetLine | TradingLine)}


def orders_of(run_id: str, lines: Iterable[Line]) -> set[str]:
    """Return the orders, by the ids of their rows, that some lines change."""
    return {
        row_id(run_id, line.order_id)
        for line in lines
        if isinstance(line, OrderLine | FillLine | CanceledLine)
    }


def positions_of(owners: Mapping[str, Owner], lines: Iterable[Line]) -> set[PositionKey]:
    """Return the positions that some lines change."""
    return {
        (line.instance, owners[line.instance].account_id, line.symbol)
        for line in lines
        if isinstance(line, FillLine)
    }


class Batch:
    """Lines of a run, turned into rows and events one after another.

    Args:
        run_id: Of which run.
        recorded_ms: Now, in milliseconds UTC.
        owners: Whose each instance in the lines is.
        orders: Rows of `orders_of`, by id, as they were before; changed here.
        positions: Rows of `positions_of`, as they were before; changed here.

    Attributes:
        signals: New rows.
        fills: New rows.
        orders: New and changed rows.
        positions: New and changed rows.
        events: In the order things happened.
    """

    def __init__(
        self,
        run_id: str,
        recorded_ms: int,
        *,
        owners: Mapping[str, Owner],
        orders: dict[str, Row],
        positions: dict[PositionKey, Row],
    ) -> None:
        self.signals: list[Row] = []
        self.fills: list[Row] = []
        self.orders = orders
        self.positions = positions
        self.events: list[Draft] = []
        self._run_id = run_id
        self._recorded_ms = recorded_ms
        self._owners = owners
        self._number = 0
        self._steps: dict[type, Callable[[Any], None]] = {
            SignalLine: self._take_intent,
            RequestLine: self._take_intent,
            CancelLine: self._take_intent,
            OrderLine: self._take_order,
            FillLine: self._take_fill,
            CanceledLine: self._take_canceled,
            # No row tells of these: each child of a net order has fills of its own, and what else
            # happened is seen at orders and in the status of strategies and accounts.
            NetLine: _ignore,
            WithdrawnLine: _ignore,
            TradingLine: _ignore,
        }

    def take(self, number: int, line: Line) -> None:
        """Take the next line in.

        Raises:
            RecordingError: It does not follow from the lines before it.
        """
        self._number = number
        try:
            self._steps[type(line)](line)
        except (RecordingError, ConfigError) as error:
            raise RecordingError(f"ledger, line {number}: {error}") from error

    def _take_intent(self, line: IntentLine) -> None:
        owner = self._owners[line.instance]
        row = signal_row(self._run_id, line, self._recorded_ms)
        self.signals.append(row)
        self.events.append(of_signal(owner, row))
        if isinstance(line, RequestLine) and line.code not in _WORKED:
            order = rejected_order(self._run_id, line, owner.account_id)
            self.orders[order["id"]] = order
            self.events.append(of_order(owner, order))

    def _take_order(self, line: OrderLine) -> None:
        owner = self._owners[line.instance]
        row = open_order(self._run_id, line, owner.account_id)
        known = self.orders.get(row["id"])
        if known is not None:  # it works on new terms
            for column in ("slice", "created_ms", "filled"):
                row[column] = known[column]
        self.orders[row["id"]] = row
        self.events.append(of_order(owner, row))

    def _take_fill(self, line: FillLine) -> None:
        owner = self._owners[line.instance]
        order = self._order(line.order_id)
        closes = self._move(line, owner.account_id)
        row = fill_row(self._run_id, line, self._number, owner.account_id, closes=closes)
        self.fills.append(row)
        self.events.append(of_fill(owner, row))
        order["filled"] += line.quantity
        order["updated_ms"] = line.time
        if not line.leaves:
            order["status"] = "filled"
        self.events.append(of_order(owner, order))

    def _take_canceled(self, line: CanceledLine) -> None:
        # After its last fill, too, where an order was cut because the capital did not suffice.
        order = self._order(line.order_id)
        order.update(status="canceled", reason=clean(line.reason), updated_ms=line.time)
        self.events.append(of_order(self._owners[line.instance], order))

    def _order(self, name: str) -> Row:
        order = self.orders.get(row_id(self._run_id, name))
        if order is None:
            raise RecordingError(
                f"order {name!r} must have been accepted before, and never was; the ledger is not "
                "the one that was recorded so far, or was damaged"
            )
        return order

    def _move(self, line: FillLine, account_id: str) -> bool:
        """Take a fill into its position; tells whether it closes some of it.

        The signed cost moves by the notional, corrected by the profit, which is on the line: so
        it is exact however much is closed, and there is one place that works out profits.
        """
        key = line.instance, account_id, line.symbol
        row = self.positions.get(key)
        if row is None or row["run_id"] != self._run_id:
            row = self.positions[key] = _flat(self._run_id, key)
        held, cost = row["quantity"], row["cost"]
        is_buy = line.side is Side.BUY
        notional = money(line.price * line.quantity)
        signed_cost = (cost if held > ZERO else -cost) + line.realised
        signed_cost += notional if is_buy else -notional
        quantity = held + line.quantity if is_buy else held - line.quantity
        row["quantity"] = quantity
        row["cost"] = abs(signed_cost)
        row["entry_price"] = abs(signed_cost) / abs(quantity) if quantity else None
        row["realized"] += line.realised
        row["updated_ms"] = line.time
        return bool(held) and (held > ZERO) is not is_buy


def _flat(run_id: str, key: PositionKey) -> Row:
    strategy_id, account_id, symbol = key
    return {
        "strategy_id": strategy_id,
        "account_id": account_id,
        "symbol": symbol,
        "run_id": run_id,
        "quantity": ZERO,
        "cost": ZERO,
        "entry_price": None,
        "realized": ZERO,
        "updated_ms": 0,
    }


def _ignore(line: Line) -> None:
    """Take a line in that changes no row."""
