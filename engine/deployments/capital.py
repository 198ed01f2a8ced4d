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

Guarantee. A bot gets its capital only if that is left, so promises to bots alone never exceed the
balance. A strategy that says no capital is promised nothing: it uses what is free at the time.

A promise bounds what a bot may bind and what its sizes are measured by. It is not set aside: the
order manager fills an entry from what is free in the whole account at that moment, and what was
lost before is gone (`engine.trading.capital`). It keeps the account solvent whatever is promised
here; this rule keeps apart what is meant for different bots.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.errors import ConfigError
from engine.money import ZERO, parse_symbol, plain
from engine.store import Account, Strategy, Subscription

__all__ = ["require_left"]


def require_left(
    session: Session,
    account: Account,
    config: Mapping[str, Any],
    capital: Decimal,
    *,
    besides_bot: str = "",
) -> None:
    """Check that an account has so much left for somebody who trades as a strategy does.

    Locks the account: of two who want the same money at once the second is refused.

    Args:
        session: In the transaction in which the promise is made.
        account: Which account.
        config: The strategy's, as stored; it says which currency is paid with.
        capital: How much, in that currency.
        besides_bot: Id of a bot whose present promise does not count.

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
    promises = list(_promises(session, account.id, currency, besides_bot))
    balance, promised = Decimal(account.balances[currency]), sum(promises, ZERO)
    if promised + capital > balance:
        left = max(balance - promised, ZERO)
        raise ConfigError(
            f"capital: account {account.name!r} began with {plain(balance)} {currency}, "
            f"{plain(promised)} are promised to {len(promises)} other bots and strategies; at most "
            f"{plain(left)} are left, got {plain(capital)}"
        )


def _promises(
    session: Session, account_id: str, currency: str, besides_bot: str
) -> Iterator[Decimal]:
    """Yield what is promised of one currency, to one after the other."""
    bots = (
        select(Subscription.capital, Strategy.config)
        .join(Strategy, Strategy.id == Subscription.strategy_id)
        .where(
            Subscription.account_id == account_id,
            Subscription.deleted_ms.is_(None),
            Subscription.id != besides_bot,
        )
    )
    for capital, config in session.execute(bots):
        if _currency_of(config) == currency:
            yield capital
    own = select(Strategy.config).where(
        Strategy.account_id == account_id, Strategy.deleted_ms.is_(None)
    )
    for config in session.scalars(own):
        if config.get("capital") is not None and _currency_of(config) == currency:
            yield Decimal(config["capital"])


def _currency_of(config: Mapping[str, Any]) -> str:
    return parse_symbol(config["symbol"])[1]
