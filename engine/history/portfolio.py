"""What accounts hold: money by currency, and positions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec
from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from engine.access import Caller
from engine.errors import NotFoundError
from engine.money import ZERO, canonical_symbol, parse_symbol
from engine.store import Account, Fill, Position

__all__ = ["AccountHoldings", "CurrencyHoldings", "Holding", "holding_of", "portfolio_of"]


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A position of a strategy or a subscription, as `Position` says, with what it is worth.

    Attributes:
        mark: Last price, quote currency; None: not known.
        unrealized: Profit it would bring at that price, before fees; None: not known.
    """

    strategy_id: str
    account_id: str
    run_id: str
    symbol: str
    quantity: Decimal
    cost: Decimal
    entry_price: Decimal | None
    realized: Decimal
    updated_ms: int
    mark: Decimal | None
    unrealized: Decimal | None


class CurrencyHoldings(msgspec.Struct, frozen=True):
    """One currency of an account, in its present run. All but `currency` are amounts of it.

    Attributes:
        currency: Which.
        start: What the account began with.
        realized: Profit of everything closed, before fees.
        fees: All fees paid.
        balance: start + realized - fees.
        unrealized: Of all open positions; None: a last price is not known.
        equity: balance + unrealized; None: likewise.
    """

    currency: str
    start: Decimal
    realized: Decimal
    fees: Decimal
    balance: Decimal
    unrealized: Decimal | None
    equity: Decimal | None


class AccountHoldings(msgspec.Struct, frozen=True):
    """An account with what it holds.

    Attributes:
        account: Which.
        currencies: Those it began with, then others in alphabetical order.
        positions: The open ones, by symbol, then by whose they are.
    """

    account: Account
    currencies: list[CurrencyHoldings]
    positions: list[Holding]


def holding_of(position: Position, marks: Mapping[str, Decimal]) -> Holding:
    """Return a position with what it is worth at the last price, where that is known."""
    mark = marks.get(canonical_symbol(position.symbol)) if marks else None
    signed_cost = position.cost.copy_sign(position.quantity)
    return Holding(
        strategy_id=position.strategy_id,
        account_id=position.account_id,
        run_id=position.run_id,
        symbol=position.symbol,
        quantity=position.quantity,
        cost=position.cost,
        entry_price=position.entry_price,
        realized=position.realized,
        updated_ms=position.updated_ms,
        mark=mark,
        unrealized=None if mark is None else position.quantity * mark - signed_cost,
    )


def portfolio_of(
    session: Session, caller: Caller, account_id: str | None, marks: Mapping[str, Decimal]
) -> list[AccountHoldings]:
    """Return what the accounts of a caller hold, whoever trades with them.

    Args:
        session: In a transaction.
        caller: Owner of the accounts; an admin sees all.
        account_id: Only this one; None: all.
        marks: Last prices by canonical symbol, as far as they are known.

    Raises:
        NotFoundError: There is no such account, or not for the caller.
    """
    query = select(Account).order_by(Account.created_ms, Account.id)
    if not caller.is_admin:
        query = query.where(Account.owner_id == caller.user_id)
    if account_id is not None:
        query = query.where(Account.id == account_id)
    accounts = list(session.scalars(query))
    if account_id is not None and not accounts:
        raise NotFoundError(f"account {account_id!r}: there is none")
    ids = [account.id for account in accounts]
    positions: defaultdict[str, list[Position]] = defaultdict(list)
    chosen = select(Position).where(Position.account_id.in_(ids))
    for row in session.scalars(chosen.order_by(Position.symbol, Position.strategy_id)):
        positions[row.account_id].append(row)
    fees = _fees(session, ids)
    return [_held(each, positions[each.id], fees[each.id], marks) for each in accounts]


def _fees(session: Session, account_ids: Sequence[str]) -> Mapping[str, dict[str, Decimal]]:
    """Return the fees of the fills that made the positions, by account and currency."""
    same_run = and_(
        Position.strategy_id == Fill.strategy_id,
        Position.account_id == Fill.account_id,
        Position.symbol == Fill.symbol,
        Position.run_id == Fill.run_id,
    )
    query = select(Fill.account_id, Fill.fee_currency, Fill.fee).join(Position, same_run)
    found: defaultdict[str, dict[str, Decimal]] = defaultdict(dict)
    for account_id, currency, fee in session.execute(query.where(Fill.account_id.in_(account_ids))):
        own = found[account_id]
        own[currency] = own.get(currency, ZERO) + fee
    return found


def _held(
    account: Account,
    positions: Sequence[Position],
    fees: Mapping[str, Decimal],
    marks: Mapping[str, Decimal],
) -> AccountHoldings:
    realized: defaultdict[str, Decimal] = defaultdict(Decimal)
    unrealized: dict[str, Decimal | None] = {}
    holdings = []
    for position in positions:
        _, quote = parse_symbol(position.symbol)
        realized[quote] += position.realized
        if position.quantity:
            holding = holding_of(position, marks)
            holdings.append(holding)
            total = unrealized.get(quote, ZERO)
            if total is None or holding.unrealized is None:
                unrealized[quote] = None
            else:
                unrealized[quote] = total + holding.unrealized
    start = {currency: Decimal(text) for currency, text in account.balances.items()}
    others = sorted({*realized, *fees} - start.keys())
    currencies = [
        _currency(
            currency,
            start.get(currency, ZERO),
            realized[currency],
            fees.get(currency, ZERO),
            unrealized.get(currency, ZERO),
        )
        for currency in [*start, *others]
    ]
    return AccountHoldings(account, currencies, holdings)


def _currency(
    currency: str, start: Decimal, realized: Decimal, fees: Decimal, unrealized: Decimal | None
) -> CurrencyHoldings:
    balance = start + realized - fees
    return CurrencyHoldings(
        currency=currency,
        start=start,
        realized=realized,
        fees=fees,
        balance=balance,
        unrealized=unrealized,
        equity=None if unrealized is None else balance + unrealized,
    )
