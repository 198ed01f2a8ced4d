"""Rows of the store, made of single lines of a ledger."""

from __future__ import annotations

from functools import cache
from typing import Any

from engine.money import ZERO, parse_symbol, to_decimal
from engine.recording.lines import CancelLine, FillLine, IntentLine, OrderLine, RequestLine
from engine.types import OrderRole

__all__ = ["Row", "clean", "fill_row", "open_order", "rejected_order", "row_id", "signal_row"]

Row = dict[str, Any]
"""By column."""


def row_id(run_id: str, name: str) -> str:
    """Return the id of what a ledger calls so: two runs may use the same names.

    >>> row_id("r1", "macd|paper:BTC/USDT:1m|17|0")
    'r1|macd|paper:BTC/USDT:1m|17|0'
    """
    return f"{run_id}|{clean(name)}"


def signal_row(run_id: str, line: IntentLine, recorded_ms: int) -> Row:
    """Return what is kept of a signal, a plain order that was asked for, or a wish to cancel."""
    row: Row = {
        "id": row_id(run_id, line.intent_id),
        "run_id": run_id,
        "strategy_id": line.instance,
        "at_ms": line.time,
        "recorded_ms": recorded_ms,
        "stop_loss": None,
        "take_profit": None,
        "trailing_stop": None,
        "is_reduce_only": False,
        "reason": clean(line.reason),
        "code": line.code,
        "detail": clean(line.detail),
        "order_id": row_id(run_id, line.order_id) if line.order_id else None,
    }
    if isinstance(line, CancelLine):
        row.update(kind="cancel", action="CANCEL", symbol=None, order_type=None)
        row.update(quantity=None, price=None, confidence=None)
        return row
    row["symbol"] = clean(line.symbol)
    row["quantity"] = line.quantity
    row["confidence"] = None if line.confidence is None else to_decimal(line.confidence)
    if isinstance(line, RequestLine):
        row.update(kind="request", action=line.side.name, order_type=line.type.value)
        row.update(price=line.price, is_reduce_only=line.reduce_only)
    else:
        row.update(kind="signal", action=line.action.value, order_type=None)
        row.update(price=line.limit_price, stop_loss=line.stop_loss)
        row.update(take_profit=line.take_profit, trailing_stop=line.trailing_stop)
    return row


def open_order(run_id: str, line: OrderLine, account_id: str) -> Row:
    """Return an order that has just begun to work."""
    return {
        "id": row_id(run_id, line.order_id),
        "run_id": run_id,
        "strategy_id": line.instance,
        "account_id": account_id,
        "signal_id": row_id(run_id, line.intent_id),
        "slice": line.slice,
        "symbol": line.symbol,
        "side": line.side.value,
        "kind": line.type.value,
        "role": line.role.value,
        "quantity": line.quantity,
        "price": line.price,
        "trail": line.trail,
        "net_id": row_id(run_id, line.net) if line.net else None,
        "filled": ZERO,
        "status": "open",
        "reason": "",
        "created_ms": line.time,
        "updated_ms": line.time,
    }


def rejected_order(run_id: str, line: RequestLine, account_id: str) -> Row:
    """Return a plain order that was asked for and refused; it has the id of the wish."""
    role = OrderRole.EXIT if line.reduce_only else OrderRole.ENTRY
    return {
        "id": row_id(run_id, line.intent_id),
        "run_id": run_id,
        "strategy_id": line.instance,
        "account_id": account_id,
        "signal_id": row_id(run_id, line.intent_id),
        "slice": line.slice,
        "symbol": clean(line.symbol),
        "side": line.side.value,
        "kind": line.type.value,
        "role": role.value,
        "quantity": line.quantity,
        "price": line.price,
        "trail": None,
        "net_id": None,
        "filled": ZERO,
        "status": "rejected",
        "reason": clean(f"{line.code}: {line.detail}"),
        "created_ms": line.time,
        "updated_ms": line.time,
    }


def fill_row(run_id: str, line: FillLine, number: int, account_id: str, *, closes: bool) -> Row:
    """Return a fill; `number` is that of its line. One that closes nothing has no profit."""
    return {
        "id": row_id(run_id, line.fill_id),
        "run_id": run_id,
        "order_id": row_id(run_id, line.order_id),
        "strategy_id": line.instance,
        "account_id": account_id,
        "symbol": line.symbol,
        "side": line.side.value,
        "role": line.role.value,
        "quantity": line.quantity,
        "price": line.price,
        "fee": line.fee,
        "fee_currency": _quote_of(line.symbol),
        "realized": line.realised if closes else None,
        "at_ms": line.time,
        "line": number,
    }


@cache
def _quote_of(symbol: str) -> str:
    """Return the currency fees are paid in."""
    return parse_symbol(symbol)[1]


def clean(text: str) -> str:
    """Return what every database takes: PostgreSQL has no text with a NUL in it."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
