"""Whose the rows are that strategies and subscriptions left behind."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from sqlalchemy import ColumnElement, or_, select, true, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from engine.access import Caller
from engine.deployments.configuration import balance_of, validated
from engine.errors import ConfigError, NotFoundError
from engine.money import parse_symbol
from engine.store import Account, Strategy, Subscription

__all__ = ["Trader", "is_own", "strategy_for", "trader_for"]


class Trader(msgspec.Struct, frozen=True):
    """A strategy, or a subscription that follows one: whatever has orders of its own.

    Attributes:
        id: Of either.
        currency: Quote currency of its main symbol: what it earns.
        capital: What it began with, in that currency; None: not known.
    """

    id: str
    currency: str
    capital: Decimal | None


def is_own(column: InstrumentedAttribute[str], caller: Caller) -> ColumnElement[bool]:
    """Return the condition of rows that are a caller's own.

    Args:
        column: Holds the id of a strategy or of a subscription.
        caller: Owner of either; an admin may see everything.
    """
    if caller.is_admin:
        return true()
    strategies = select(Strategy.id).where(Strategy.owner_id == caller.user_id)
    subscriptions = select(Subscription.id).where(Subscription.owner_id == caller.user_id)
    return column.in_(union_all(strategies, subscriptions))


def strategy_for(
    session: Session, strategy_id: str, caller: Caller, *, also_public: bool = False
) -> Strategy:
    """Return a strategy whose history a caller may read, also one that was deleted.

    Args:
        session: In a transaction.
        strategy_id: Which.
        caller: Who asks.
        also_public: What is asked for is shown to everybody if the strategy is public.

    Raises:
        NotFoundError: There is none of that id, or not for the caller.
    """
    query = select(Strategy).where(Strategy.id == strategy_id)
    if not caller.is_admin:
        mine = Strategy.owner_id == caller.user_id
        shown = (Strategy.visibility == "public") & Strategy.deleted_ms.is_(None)
        query = query.where(or_(mine, shown) if also_public else mine)
    found = session.scalars(query).first()
    if found is None:
        raise NotFoundError(f"strategy {strategy_id!r}: there is none")
    return found


def trader_for(session: Session, trader_id: str, caller: Caller) -> Trader:
    """Return the strategy, or else the subscription, of an id.

    Raises:
        NotFoundError: There is neither of that id, or not for the caller.
    """
    query = select(Subscription).where(Subscription.id == trader_id)
    if not caller.is_admin:
        query = query.where(Subscription.owner_id == caller.user_id)
    subscription = session.scalars(query).first()
    if subscription is None:
        strategy = strategy_for(session, trader_id, caller, also_public=True)
        return Trader(trader_id, _currency_of(strategy), _capital_of(session, strategy))
    followed = session.get_one(Strategy, subscription.strategy_id)
    return Trader(trader_id, _currency_of(followed), subscription.capital)


def _currency_of(strategy: Strategy) -> str:
    _, quote = parse_symbol(str(strategy.config["symbol"]))
    return quote


def _capital_of(session: Session, strategy: Strategy) -> Decimal | None:
    account = session.get_one(Account, strategy.account_id)
    try:
        return balance_of(validated(strategy.config), account.balances)
    except ConfigError:  # what was usable when it was deployed may be so no more
        return None
