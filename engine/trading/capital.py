"""Capital: what an account holds, has committed and may still use, per currency.

======================  =====================================================================
word                    meaning (all in the wallet's currency)
======================  =====================================================================
balance                 starting balance + realised profit and loss - fees
margin                  entry notional / leverage of an open sub-position
reservation             margin and fee a working entry order is expected to need
committed               sum of all margins and reservations
unrealised              sum of (mark - entry) x quantity over the open sub-positions
equity                  balance + unrealised
free                    balance - committed + min(0, unrealised)
drawdown                (highest balance so far - equity) / highest balance so far, at least 0
======================  =====================================================================

Guarantee. No entry is accepted, and no entry fill executed, that would need more than `free`
holds. While all positions of the account are long at leverage 1, committed <= balance therefore
holds at every moment: such a position cannot lose more than its notional, and that is its margin.
A short or leveraged position can lose more than its margin; then committed may exceed balance by
at most the realised losses beyond margin, and no new entry gets anything until that is made good.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from engine.config.run import AccountConfig
from engine.money import ZERO
from engine.trading.modes import TradingMode

if TYPE_CHECKING:  # positions refer to wallets and wallets to positions
    from engine.trading.orders import SymbolBook
    from engine.trading.positions import Position

__all__ = ["DAY_MS", "Account", "AccountState", "Funds", "Holding", "Wallet"]

DAY_MS = 86_400_000


class AccountState(msgspec.Struct, frozen=True):
    """One currency of an account at one moment; `drawdown` is a fraction, the rest money."""

    account: str
    currency: str
    balance: Decimal
    equity: Decimal
    committed: Decimal
    realised: Decimal
    fees: Decimal
    unrealised: Decimal
    drawdown: Decimal


class Funds:
    """Money with a daily-loss limit: the common part of a wallet and of a strategy's share.

    Attributes:
        start: Money at the beginning.
        balance: `start` + realised profit and loss - fees.
        committed: Margins and reservations.
        realised: Sum of realised profit and loss, before fees.
        fees: Sum of fees.
        day: UTC day number of the last change.
        day_balance: Balance at the start of that day.
        daily_limit: Loss per day after which no entry is admitted, as a fraction of `start`
            (of `day_balance` if `limit_follows`); None: no limit.
        halted_day: Day on which that limit was reached last, -1: never.
    """

    __slots__ = (
        "balance",
        "committed",
        "daily_limit",
        "day",
        "day_balance",
        "fees",
        "halted_day",
        "limit_follows",
        "peak",
        "realised",
        "start",
    )

    def __init__(
        self, start: Decimal, daily_limit: Decimal | None = None, *, limit_follows: bool = False
    ) -> None:
        self.start = start
        self.daily_limit = daily_limit
        self.limit_follows = limit_follows
        self.balance = start
        self.peak = start
        self.committed = ZERO
        self.realised = ZERO
        self.fees = ZERO
        self.day = -1
        self.day_balance = start
        self.halted_day = -1

    def book(self, realised: Decimal, fee: Decimal, committed: Decimal, time: int) -> None:
        """Take a fill in: profit, fee, and the change of what is committed."""
        day = time // DAY_MS
        if day > self.day:
            self.day = day
            self.day_balance = self.balance
        balance = self.balance = self.balance + (realised - fee)
        self.realised += realised
        self.fees += fee
        self.committed += committed
        if balance > self.peak:  # noqa: PLR1730 - half the time of `max`, per fill
            self.peak = balance
        if self.daily_limit is not None:
            self.is_halted(ZERO, time)

    def set_start(self, start: Decimal) -> None:
        """Put money in or take some out; what was made or lost stays as it is."""
        change = start - self.start
        if change:
            self.start = start
            self.balance += change
            self.peak += change
            self.day_balance += change

    def is_halted(self, unrealised: Decimal, time: int) -> bool:
        """Tell whether the daily-loss limit has been reached on the UTC day of `time`.

        The loss counts from the balance at the start of the day to the equity now. Once
        reached, the limit holds until the next day even if the loss is made good.
        """
        if self.daily_limit is None:
            return False
        day = time // DAY_MS
        if day > self.halted_day:
            opened = self.day_balance if day == self.day else self.balance
            limit = self.daily_limit * (opened if self.limit_follows else self.start)
            if opened - self.balance - unrealised >= limit:
                self.halted_day = day
        return day <= self.halted_day


class Holding:
    """What all strategies of an account hold together of one symbol.

    Attributes:
        quantity: Signed sum of the sub-positions.
        cost: Signed sum of their entry notionals: quantity x mark - cost is unrealised.
        members: Sub-positions that are open or have a working entry, in order of arrival.
    """

    __slots__ = ("book", "cost", "members", "quantity")

    def __init__(self, book: SymbolBook) -> None:
        self.book = book
        self.quantity = ZERO
        self.cost = ZERO
        self.members: dict[str, Position] = {}


class Wallet(Funds):
    """One currency of an account.

    Attributes:
        holdings: Per symbol key, what is or was held in this currency.
        exposed: Those of them that have an open sub-position.
    """

    __slots__ = ("currency", "exposed", "holdings")

    def __init__(self, currency: str, start: Decimal, daily_limit: Decimal | None) -> None:
        super().__init__(start, daily_limit)
        self.currency = currency
        self.holdings: dict[str, Holding] = {}
        self.exposed: dict[str, Holding] = {}

    def unrealised(self) -> Decimal:
        """Return the profit of the open sub-positions at the last prices."""
        total = ZERO
        for holding in self.exposed.values():
            total += holding.quantity * holding.book.mark_price() - holding.cost
        return total

    def free(self) -> Decimal:
        """Return what a new entry may use; negative after losses beyond margin."""
        free = self.balance - self.committed
        if not self.exposed:
            return free
        unrealised = self.unrealised()
        return free + unrealised if unrealised < ZERO else free


class Account:
    """A paper account: a wallet per currency and the limits they share.

    Attributes:
        engaged: Number of sub-positions that are open or have a working entry.
        mode: What it may do at present.
    """

    __slots__ = ("config", "engaged", "id", "mode", "wallets")

    def __init__(self, config: AccountConfig) -> None:
        self.id = config.id
        self.config = config
        self.wallets = {
            currency: Wallet(currency, start, config.max_daily_loss)
            for currency, start in config.balances.items()
        }
        self.engaged = 0
        self.mode: TradingMode = "running"

    def states(self) -> list[AccountState]:
        """Return the state of every currency, in the order of the configuration."""
        found = []
        for wallet in self.wallets.values():
            unrealised = wallet.unrealised()
            equity = wallet.balance + unrealised
            drawdown = (wallet.peak - equity) / wallet.peak
            found.append(
                AccountState(
                    account=self.id,
                    currency=wallet.currency,
                    balance=wallet.balance,
                    equity=equity,
                    committed=wallet.committed,
                    realised=wallet.realised,
                    fees=wallet.fees,
                    unrealised=unrealised,
                    drawdown=max(ZERO, drawdown),
                )
            )
        return found
