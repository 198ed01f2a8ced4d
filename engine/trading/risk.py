"""Limits on entries, per strategy and per account; exits are never asked.

===================  ======================================================================
limit                an entry is refused when
===================  ======================================================================
strategy
max_signals_per_     that many wishes to enter came in the minute of market time that ends now,
minute               those refused for this limit left out
max_trades_per_day   that many entries were accepted on the UTC day already
max_daily_loss       the strategy's equity fell by that fraction of its equity at the start
                     of the UTC day; holds until the next day
follower, in place of its instance, which it has none of
cooldown_candles     that many candles of the main timeframe have not closed since an exit of its
                     own; without candles, time counts
max_drawdown         its equity is that fraction below its highest balance; holds while it is
account
max_daily_loss       likewise, as a fraction of the starting balance of the currency
max_drawdown         drawdown (see `engine.trading.capital`) is at or above the fraction
max_open_positions   that many sub-positions are open or being entered already
max_gross_exposure   entry notionals of open and working entries, this one included, would
                     exceed that multiple of the starting balance of the currency
===================  ======================================================================

While an account only reduces (see `engine.trading.modes`), every entry is refused.

The strategy's max_order_notional and max_position_size belong to `engine.trading.sizing`;
its max_drawdown and cooldown are kept by the instance itself, as is the time in a position, for
followers too.
"""

from __future__ import annotations

from decimal import Decimal

from engine.money import ZERO, plain
from engine.trading.capital import Funds
from engine.trading.participants import Participant
from engine.trading.positions import Position
from engine.trading.refusals import Refusal

__all__ = ["check_account", "check_exposure", "check_rate", "check_strategy"]

_MINUTE_MS = 60_000


def check_rate(participant: Participant, time: int) -> Refusal | None:
    """Check how often the strategy asks to enter, and count the wish if it may be dealt with.

    Comes before everything else: a strategy that floods is refused whatever it asks for.

    Args:
        participant: The strategy.
        time: Of the slice, ms UTC: a replay at any pace, and any order of arrival, give the same.
    """
    most = participant.risk.max_signals_per_minute
    if most is None:
        return None
    if participant.asked_since(time - _MINUTE_MS) >= most:
        return Refusal(
            "max_signals_per_minute", f"{most} came within the last minute; the limit is {most}"
        )
    participant.count_wish(time)
    return None


def check_strategy(participant: Participant, position: Position, time: int) -> Refusal | None:
    """Check the strategy's own limits for a new entry."""
    risk = participant.risk
    if participant.leader is not None:
        refusal = _check_follower(participant, position, time)
        if refusal is not None:
            return refusal
    trades = risk.max_trades_per_day
    if trades is not None and participant.trades_on(time) >= trades:
        return Refusal(
            "max_trades_per_day", f"{trades} entries were accepted today; the limit is {trades}"
        )
    if risk.max_daily_loss is not None:
        purse = position.purse
        if purse.is_halted(_unrealised(participant, purse), time):
            return Refusal(
                "max_daily_loss",
                f"lost {risk.max_daily_loss:.2%} of the day's starting equity "
                f"{plain(purse.day_balance)}; no entries until the next UTC day",
            )
    return None


def _check_follower(participant: Participant, position: Position, time: int) -> Refusal | None:
    """Check what the instance keeps where a strategy trades for itself."""
    if time < participant.free_from:
        return Refusal(
            "cooldown", f"a position was closed; no entries before {participant.free_from} ms UTC"
        )
    limit = participant.risk.max_drawdown
    if limit is not None:
        purse = position.purse
        fallen = purse.peak - purse.balance - _unrealised(participant, purse)
        if fallen >= limit * purse.peak:
            return Refusal(
                "max_drawdown",
                f"equity is {plain(fallen)} below the highest balance {plain(purse.peak)}; "
                f"the limit is {limit:.2%}",
            )
    return None


def _unrealised(participant: Participant, purse: Funds) -> Decimal:
    total = ZERO
    for position in participant.positions.values():
        if position.purse is purse and position.quantity:
            total += position.state().unrealised
    return total


def check_account(position: Position, time: int) -> Refusal | None:
    """Check the account's limits that do not depend on the size of the entry."""
    account = position.participant.account
    if account.mode != "running":
        return Refusal("reduce_only", f"account {account.id!r} may only get out at present")
    config = account.config
    most = config.max_open_positions
    if most is not None and not position.engaged and account.engaged >= most:
        return Refusal(
            "account_max_open_positions",
            f"account {account.id!r} has {account.engaged} open positions; the limit is {most}",
        )
    if config.max_daily_loss is None and config.max_drawdown is None:
        return None
    wallet = position.wallet
    unrealised = wallet.unrealised()
    if wallet.is_halted(unrealised, time):
        return Refusal(
            "account_max_daily_loss",
            f"account {account.id!r} lost {config.max_daily_loss:.2%} of its starting balance "
            f"{plain(wallet.start)} {wallet.currency} today; no entries until the next UTC day",
        )
    if config.max_drawdown is not None:
        fallen = wallet.peak - wallet.balance - unrealised
        if fallen >= config.max_drawdown * wallet.peak:
            return Refusal(
                "account_max_drawdown",
                f"account {account.id!r} is {plain(fallen)} {wallet.currency} below its highest "
                f"balance {plain(wallet.peak)}; the limit is {config.max_drawdown:.2%}",
            )
    return None


def check_exposure(position: Position, opens: Decimal, price: Decimal) -> Refusal | None:
    """Check the account's gross exposure with an entry of this quantity and price added."""
    account = position.participant.account
    multiple = account.config.max_gross_exposure
    if multiple is None:
        return None
    wallet = position.wallet
    gross = opens * price
    for holding in wallet.holdings.values():
        for member in holding.members.values():
            gross += member.cost
            for entry in member.entries:
                gross += entry.opens * (entry.price or member.book.mark_price())
    limit = multiple * wallet.start
    if gross <= limit:
        return None
    return Refusal(
        "account_max_gross_exposure",
        f"account {account.id!r} would be exposed with {plain(gross)} {wallet.currency}; "
        f"the limit is {plain(limit)}",
    )
