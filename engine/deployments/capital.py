"""Capital: how much of an account's balance is promised, and to whom.

====================  ======================================================================
word                  meaning (in one currency of one account)
====================  ======================================================================
balance               what the account began with
promised              sum of the capitals of the bots that follow with the account, and of the
                      strategies deployed on it that say one; until they are deleted, also
                      while they are paused or stopped
left                  balance - promised
====================  ======================================================================

Guarantee. Where a bot follows with an account, promised <= balance: a bot gets its capital, and a
strategy beside bots the one it says, only if so much is left. Strategies alone may be promised more
than there is, as in the file of a run: they share the account knowingly. A strategy that says no
capital is promised nothing: it uses what is free at the time.

A promise bounds what a bot may bind and what its sizes are measured by. It is not set aside: the
order manager fills an entry from what is free in the whole account at that moment, and what was
lost before is gone (`engine.trading.capital`). It keeps the account solvent whatever is promised
here; this rule keeps apart what is meant for different bots.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.errors import ConfigError
from engine.money import ZERO, parse_symbol, plain
from engine.store import Account, Strategy, Subscription

__all__ = ["require_left", "require_said"]


def require_said(
    session: Session,
    account_id: str,
    config: Mapping[str, Any],
    *,
    before: Strategy | None = None,
) -> None:
    """Check that a strategy can have the capital it says; one that says none needs none.

    Args:
        session: In the transaction in which it gets it.
        account_id: Its account.
        config: The strategy's, as it is to be stored.
        before: The strategy as it is; None: it is new. As much as it has it may always have.

    Raises:
        ConfigError: As `require_left`.
    """
    capital = _said(config)
    if capital is None or (before is not None and _has(before.config, capital, config)):
        return
    account, besides = session.get_one(Account, account_id), "" if before is None else before.id
    require_left(session, account, config, capital, whose="strategy", besides=besides)


def require_left(
    session: Session,
    account: Account,
    config: Mapping[str, Any],
    capital: Decimal,
    *,
    whose: Literal["bot", "strategy"],
    besides: str = "",
) -> None:
    """Check that an account has so much left for somebody who trades as a strategy does.

    Locks the account: of two who want the same money at once the second is refused.

    Args:
        session: In the transaction in which the promise is made.
        account: Which account.
        config: The strategy's, as stored; it says which currency is paid with.
        capital: How much, in that currency.
        whose: Who wants it: a bot that follows, or the strategy itself.
        besides: Id of the bot or strategy that wants it, if it has a promise that will not count.

    Raises:
        ConfigError: So much is not left, or the account holds none of the currency.
    """
    session.refresh(account, with_for_update=True)
    currency = _currency_of(config)
    if currency not in account.balances:
        raise ConfigError(
            f"account: {config['symbol']} is paid in {currency}, but {account.name!r} holds only "
            f"{', '.join(account.balances)}; use another account"
        )
    bots = list(_of_bots(session, account.id, currency, besides if whose == "bot" else ""))
    if whose == "strategy" and not bots:
        return
    own = _of_strategies(session, account.id, currency, besides if whose == "strategy" else "")
    promises = [*bots, *own]
    balance, promised = Decimal(account.balances[currency]), sum(promises, ZERO)
    if promised + capital > balance:
        left, field = max(balance - promised, ZERO), "" if whose == "bot" else "config."
        raise ConfigError(
            f"{field}capital: account {account.name!r} began with {plain(balance)} {currency}, "
            f"{plain(promised)} are promised to {len(promises)} other bots and strategies; at most "
            f"{plain(left)} are left, got {plain(capital)}"
        )


def _of_bots(session: Session, account_id: str, currency: str, besides: str) -> Iterator[Decimal]:
    """Yield what is promised of one currency to bots."""
    query = (
        select(Subscription.capital, Strategy.config)
        .join(Strategy, Strategy.id == Subscription.strategy_id)
        .where(
            Subscription.account_id == account_id,
            Subscription.deleted_ms.is_(None),
            Subscription.id != besides,
        )
    )
    for capital, config in session.execute(query):
        if _currency_of(config) == currency:
            yield capital


def _of_strategies(
    session: Session, account_id: str, currency: str, besides: str
) -> Iterator[Decimal]:
    """Yield what is promised of one currency to strategies that say how much."""
    query = select(Strategy.config).where(
        Strategy.account_id == account_id,
        Strategy.deleted_ms.is_(None),
        Strategy.id != besides,
    )
    for config in session.scalars(query):
        capital = _said(config)
        if capital is not None and _currency_of(config) == currency:
            yield capital


def _has(config: Mapping[str, Any], capital: Decimal, wanted: Mapping[str, Any]) -> bool:
    """Tell whether a configuration says so much already, in the currency of another one."""
    said = _said(config)
    return said is not None and capital <= said and _currency_of(config) == _currency_of(wanted)


def _said(config: Mapping[str, Any]) -> Decimal | None:
    capital = config.get("capital")
    return None if capital is None else Decimal(capital)


def _currency_of(config: Mapping[str, Any]) -> str:
    return parse_symbol(config["symbol"])[1]
