"""Why an intent becomes no order.

===========================  =================================================================
code                         the intent
===========================  =================================================================
unknown_instance             comes from a strategy that is not registered
withdrawn                    comes from a strategy that was taken out
trading_halted               comes while nothing may be traded with the account
stale                        is older than the outcomes kept, and already decided
unknown_symbol               names a symbol the strategy does not trade
no_price                     is for a symbol without any price so far
bad_order                    is an order type that cannot be asked for, or lacks its price
already_long, already_short  asks for the side already held, without a quantity to add
entry_working                asks for the side an entry already works for
flat                         closes or reduces where nothing is held
entry_canceled               is a CLOSE that found nothing held and cancelled working entries
already_closing              closes what a working exit closes already
unknown_order                cancels an order that does not work (any more)
max_signals_per_minute       is one wish to enter too many for a minute of market time
max_trades_per_day           is one entry too many for the strategy's day
max_daily_loss               is an entry after the strategy's daily loss limit
cooldown                     is an entry of a follower too soon after an exit of its own
max_drawdown                 is an entry of a follower that has lost too much
max_position_size            finds the strategy's largest position already taken
max_order_notional           is worth more than the strategy's largest order
reduce_only                  is an entry while the account may only get out
account_max_daily_loss       is an entry after the account's daily loss limit
account_max_drawdown         is an entry while the account's drawdown limit is exceeded
account_max_open_positions   is an entry beyond the account's number of open positions
account_max_gross_exposure   is an entry beyond the account's gross exposure
outranked                    is an entry against one of higher rank (policy `priority`)
symbol_taken                 is an entry in a symbol another strategy holds (policy `first`)
min_quantity                 comes to less than one lot
min_notional                 is worth less than the instrument's smallest order
capital                      does not fit into the free capital, not even in part
===========================  =================================================================

Exits are never refused for a limit. Where the entry half of a reversal is refused, its closing
half still works, as an exit.
"""

from __future__ import annotations

import msgspec

__all__ = ["Refusal"]


class Refusal(msgspec.Struct, frozen=True):
    """A rejection in the making: stable code, readable detail."""

    code: str
    detail: str
