"""The fills of one strategy as they followed each other."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.store import Fill

__all__ = ["Trade", "trades_of"]

_NUMBER: Final = re.compile(r"(\d+)")


class Trade(NamedTuple):
    """A fill, as far as it matters for what was earned.

    Attributes:
        at_ms: When, in market time, milliseconds UTC.
        id: Made from the order's.
        run_id: Of which run; each begins without positions.
        symbol: What.
        side: ``buy`` or ``sell``.
        quantity: Base currency.
        price: Quote currency.
        fee: In `fee_currency`.
        fee_currency: In which it was paid.
        realized: Profit it brought before its fee, quote currency; None where it only opens.
        line: Of its run's ledger; None: not known.
    """

    at_ms: int
    id: str
    run_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    realized: Decimal | None
    line: int | None


def trades_of(session: Session, trader_id: str, until_ms: int | None) -> list[Trade]:
    """Return the fills of a strategy or a subscription before a moment, in their order.

    Several at the same moment come as in the ledger. Where their lines are not known they come as
    the candles their orders were decided on, which ids tell; that is right but for partial fills
    of an order and of what protects it.

    Args:
        session: In a transaction.
        trader_id: Of a strategy or a subscription.
        until_ms: Milliseconds UTC; None: all.
    """
    columns = (getattr(Fill, name) for name in Trade._fields)
    query = select(*columns).where(Fill.strategy_id == trader_id)
    if until_ms is not None:
        query = query.where(Fill.at_ms < until_ms)
    trades = [Trade(*row) for row in session.execute(query.order_by(Fill.at_ms, Fill.id))]
    moments = [trade.at_ms for trade in trades]
    if len(set(moments)) < len(moments):
        trades.sort(key=lambda trade: (trade.at_ms, trade.line or 0, _natural(trade.id)))
    return trades


def _natural(text: str) -> list[Any]:
    """Return what sorts numbers in a text by their value.

    >>> sorted(["a|10|0#1", "a|9|0#1"], key=_natural)
    ['a|9|0#1', 'a|10|0#1']
    """
    return [int(part) if number else part for number, part in _parts(text)]


def _parts(text: str) -> list[tuple[int, str]]:
    return [(place % 2, part) for place, part in enumerate(_NUMBER.split(text))]
