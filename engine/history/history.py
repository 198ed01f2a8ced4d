"""Reading what strategies did: their orders, fills, signals, executions and positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Select, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from engine.access import Caller
from engine.errors import NotFoundError
from engine.history.curve import Curve, curve_of
from engine.history.performance import Performance, performance_of
from engine.history.portfolio import AccountHoldings, Holding, holding_of, portfolio_of
from engine.history.trades import Trade, trades_of
from engine.history.visible import Trader, is_own, strategy_for, trader_for
from engine.store import Execution, Fill, Order, Position, Signal, Store
from engine.store.paging import Order as SortedBy
from engine.store.paging import Page, Plain, order_of, take_page

__all__ = ["History", "Marks", "Selection"]

Marks = Callable[[], Mapping[str, Decimal]]
"""Tells the last price of each symbol, by its canonical name, quote currency."""

Row = TypeVar("Row", Order, Fill, Signal, Execution, Position)
Column = InstrumentedAttribute[Any]


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows of a list, and which part of them; what is None does not matter.

    Attributes:
        strategy: Of the strategy, or the subscription, of this id.
        account: Of this account.
        symbol: Of this symbol, as the strategy spells it.
        side: ``buy`` or ``sell``.
        status: Of an order, or the result of an execution.
        code: Outcome of a signal.
        since_ms: From this moment on, milliseconds UTC.
        until_ms: Until before this moment.
        sort: By what; ``-`` in front reverses. None: the newest first.
        after: As for `take_page`.
        limit: As for `take_page`.
    """

    strategy: str | None = None
    account: str | None = None
    symbol: str | None = None
    side: str | None = None
    status: str | None = None
    code: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    sort: str | None = None
    after: str | None = None
    limit: int = 100


class _List(msgspec.Struct, frozen=True):
    """How one table is listed.

    Attributes:
        time: When a row was.
        sorts: What it may be sorted by; the first one where nothing is said.
        key: What decides between equals.
        filters: Columns of what a `Selection` says.
    """

    time: Column
    sorts: Mapping[str, Column]
    key: tuple[Column, ...]
    filters: Mapping[str, Column]


_ORDERS: Final = _List(
    Order.created_ms,
    {"created": Order.created_ms, "updated": Order.updated_ms},
    (Order.id,),
    {
        "strategy": Order.strategy_id,
        "account": Order.account_id,
        "symbol": Order.symbol,
        "side": Order.side,
        "status": Order.status,
    },
)
_FILLS: Final = _List(
    Fill.at_ms,
    {"at": Fill.at_ms},
    (Fill.id,),
    {
        "strategy": Fill.strategy_id,
        "account": Fill.account_id,
        "symbol": Fill.symbol,
        "side": Fill.side,
    },
)
_SIGNALS: Final = _List(
    Signal.at_ms,
    {"at": Signal.at_ms},
    (Signal.id,),
    {"strategy": Signal.strategy_id, "symbol": Signal.symbol, "code": Signal.code},
)
_EXECUTIONS: Final = _List(
    Execution.interval_ms,
    {"interval": Execution.interval_ms},
    (Execution.strategy_id,),
    {"strategy": Execution.strategy_id, "status": Execution.result},
)
_POSITIONS: Final = _List(
    Position.updated_ms,
    {"updated": Position.updated_ms, "symbol": Position.symbol},
    (Position.strategy_id, Position.account_id, Position.symbol),
    {
        "strategy": Position.strategy_id,
        "account": Position.account_id,
        "symbol": Position.symbol,
    },
)


def _not_known() -> Mapping[str, Decimal]:
    return {}


class History:
    """Reads what was recorded. Nobody else's is there, except for an admin.

    Times are market time, milliseconds UTC. What a deleted strategy did stays.

    Args:
        store: Where it is recorded.
        marks: Last prices; what it does not know is shown without a value.
    """

    def __init__(self, store: Store, *, marks: Marks = _not_known) -> None:
        self._store = store
        self._marks = marks

    # ------------------------------------------------------------------ lists

    def orders(self, caller: Caller, selection: Selection) -> Page[Order]:
        """Return some of the orders a caller owns, sorted by ``created`` or ``updated``.

        Raises:
            ConfigError: As `take_page` and `order_of`; so for all lists.
        """
        return self._page(select(Order), _ORDERS, caller, selection)

    def fills(self, caller: Caller, selection: Selection) -> Page[Fill]:
        """Return some of the fills a caller owns, sorted by ``at``."""
        return self._page(select(Fill), _FILLS, caller, selection)

    def positions(
        self, caller: Caller, selection: Selection, *, is_open: bool | None = None
    ) -> Page[Holding]:
        """Return some of the positions a caller owns, sorted by ``updated`` or ``symbol``.

        Args:
            caller: Who asks.
            selection: Which.
            is_open: Only those that are, or are not; None: all.
        """
        query = select(Position)
        if is_open is not None:
            flat = Position.quantity == Decimal(0)  # an amount has one text, whatever its digits
            query = query.where(~flat if is_open else flat)
        page = self._page(query, _POSITIONS, caller, selection)
        marks = self._marks()
        return Page([holding_of(row, marks) for row in page.items], page.next)

    def signals(self, strategy_id: str, caller: Caller, selection: Selection) -> Page[Signal]:
        """Return some of the signals of a strategy one owns, or of a public one, sorted by ``at``.

        Raises:
            NotFoundError: There is no such strategy, or not for the caller.
        """
        with self._store.read() as session:
            strategy_for(session, strategy_id, caller, also_public=True)
            query = select(Signal).where(Signal.strategy_id == strategy_id)
            return _take(session, query, _SIGNALS, selection)

    def executions(self, strategy_id: str, caller: Caller, selection: Selection) -> Page[Execution]:
        """Return some of the executions of a strategy one owns, sorted by ``interval``.

        Raises:
            NotFoundError: There is no such strategy, or not for the caller.
        """
        with self._store.read() as session:
            strategy_for(session, strategy_id, caller)
            query = select(Execution).where(Execution.strategy_id == strategy_id)
            return _take(session, query, _EXECUTIONS, selection)

    def order(self, order_id: str, caller: Caller) -> tuple[Order, list[Fill]]:
        """Return an order with its fills, in the order they came.

        Raises:
            NotFoundError: There is none of that id, or not for the caller.
        """
        with self._store.read() as session:
            own = is_own(Order.strategy_id, caller)
            order = session.scalars(select(Order).where(Order.id == order_id, own)).first()
            if order is None:
                raise NotFoundError(f"order {order_id[:200]!r}: there is none")
            fills = session.scalars(select(Fill).where(Fill.order_id == order_id))
            return order, sorted(fills, key=lambda fill: (fill.at_ms, len(fill.id), fill.id))

    def require_own(self, strategy_id: str, caller: Caller) -> None:
        """Check that a strategy is a caller's own.

        Raises:
            NotFoundError: There is none of that id, or not for the caller.
        """
        with self._store.read() as session:
            strategy_for(session, strategy_id, caller)

    # ------------------------------------------------------------------ what came of it

    def performance(
        self,
        trader_id: str,
        caller: Caller,
        *,
        since_ms: int | None = None,
        until_ms: int | None = None,
    ) -> Performance:
        """Return what a strategy or a subscription earned; of a public strategy to everybody.

        Reads all its fills, about 10 µs each.

        Args:
            trader_id: Of a strategy or a subscription.
            caller: Who asks.
            since_ms: Counts what came from then on, milliseconds UTC.
            until_ms: Counts what came before.

        Raises:
            NotFoundError: There is none of that id, or not for the caller.
        """
        trader, trades = self._trades(trader_id, caller, until_ms)
        return performance_of(trader, trades, since_ms=since_ms)

    def equity(
        self,
        trader_id: str,
        caller: Caller,
        *,
        since_ms: int | None = None,
        until_ms: int | None = None,
        points: int = 500,
    ) -> Curve:
        """Return the realised equity of a strategy or a subscription; as for `performance`.

        Args:
            trader_id: Of a strategy or a subscription.
            caller: Who asks.
            since_ms: From then on, milliseconds UTC.
            until_ms: Until before that.
            points: How many at most, 4 or more.

        Raises:
            NotFoundError: There is none of that id, or not for the caller.
        """
        trader, trades = self._trades(trader_id, caller, until_ms)
        return curve_of(trader, trades, since_ms=since_ms, points=points)

    def portfolio(self, caller: Caller, *, account: str | None = None) -> list[AccountHoldings]:
        """Return what the accounts of a caller hold, the oldest account first.

        Args:
            caller: Who asks.
            account: Only this one.

        Raises:
            NotFoundError: There is no such account, or not for the caller.
        """
        with self._store.read() as session:
            return portfolio_of(session, caller, account, self._marks())

    def _page(
        self, query: Select[Row], how: _List, caller: Caller, selection: Selection
    ) -> Page[Row]:
        query = query.where(is_own(how.filters["strategy"], caller))
        with self._store.read() as session:
            return _take(session, query, how, selection)

    def _trades(
        self, trader_id: str, caller: Caller, until_ms: int | None
    ) -> tuple[Trader, list[Trade]]:
        with self._store.read() as session:
            trader = trader_for(session, trader_id, caller)
            return trader, trades_of(session, trader_id, until_ms)


def _take(session: Session, query: Select[Row], how: _List, selection: Selection) -> Page[Row]:
    for name, column in how.filters.items():
        wanted = getattr(selection, name)
        if wanted is not None:
            query = query.where(column == wanted)
    if selection.since_ms is not None:
        query = query.where(how.time >= selection.since_ms)
    if selection.until_ms is not None:
        query = query.where(how.time < selection.until_ms)
    newest_first = f"-{next(iter(how.sorts))}"
    order = order_of(selection.sort or newest_first, how.sorts, last=how.key[0])
    known = {each.by.key for each in order}
    order += [SortedBy(each, order[0].is_descending) for each in how.key if each.key not in known]
    return take_page(
        session, query, order, after=selection.after, limit=selection.limit, plain=Plain()
    )
