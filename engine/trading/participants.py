"""Registered strategies and their followers as the order manager sees them."""

from __future__ import annotations

from collections import OrderedDict, deque
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.config.strategy import StrategyConfig
from engine.timeframes import timeframe_ms
from engine.trading.capital import DAY_MS, Account, Funds
from engine.trading.positions import Position
from engine.types import OrderEvent

if TYPE_CHECKING:  # orders refer to participants and participants to orders
    from engine.trading.orders import Order

__all__ = ["REMEMBERED", "Participant"]

REMEMBERED = 64
"""Intents per strategy whose outcome is kept in memory to answer a repetition."""


class Participant:
    """A strategy or a follower on an account: its sub-positions, its capital, its limits.

    Attributes:
        leader: The strategy whose wishes it has; None: it is a strategy itself.
        positions: By symbol, as the strategy spells them.
        purses: By quote currency: the strategy's capital, what it made and what it binds.
        outcomes: Events each of the last `REMEMBERED` intents was answered with, by intent id.
        newest: Newest decided `seq` per stream.
        withdrawn: Why nothing is accepted any more; None while it takes part.
        voided: Entries that cannot fill any more and whose end its instance has yet to hear of.
        free_from: Of a follower: ms UTC before which its cooldown lets it enter nothing.
    """

    __slots__ = (
        "_asked",
        "_trade_day",
        "_trades",
        "account",
        "config",
        "free_from",
        "id",
        "leader",
        "newest",
        "outcomes",
        "positions",
        "priority",
        "purses",
        "risk",
        "voided",
        "withdrawn",
    )

    def __init__(
        self, config: StrategyConfig, account: Account, leader: Participant | None = None
    ) -> None:
        self.id = config.id
        self.account = account
        self.leader = leader
        self.positions: dict[str, Position] = {}
        self.purses: dict[str, Funds] = {}
        # Ordered for `popitem`: in a plain dict, finding the oldest passes all it has ever lost.
        self.outcomes: OrderedDict[str, tuple[OrderEvent, ...]] = OrderedDict()
        self.newest: dict[str, int] = {}
        self.withdrawn: str | None = None
        self.voided: list[Order] = []
        self.free_from = 0
        self._asked: deque[int] = deque()
        self._trade_day = -1
        self._trades = 0
        self.configure(config)

    def configure(self, config: StrategyConfig) -> None:
        """Use these settings from now on.

        Limits, sizing and priority count from the next wish on. Other capital comes on top of what
        was made with the capital before. Other leverage applies to what is held, too, and changes
        the margin that binds at once; working entries have none to be changed.
        """
        self.config = config
        self.risk = config.risk
        self.priority = config.priority
        for position in self.positions.values():
            position.set_leverage(config.leverage)
            wallet, purse = position.wallet, position.purse
            purse.daily_limit = config.risk.max_daily_loss
            purse.set_start(wallet.start if config.capital is None else config.capital)

    def entries(self) -> list[Order]:
        """Return its working entries."""
        return [entry for position in self.positions.values() for entry in position.entries]

    def purse(self, currency: str, starting_balance: Decimal) -> Funds:
        """Return the share of one currency, opened on first use."""
        found = self.purses.get(currency)
        if found is None:
            capital = self.config.capital
            found = Funds(
                starting_balance if capital is None else capital,
                self.risk.max_daily_loss,
                limit_follows=True,
            )
            self.purses[currency] = found
        return found

    def note_exit(self, time: int) -> None:
        """Begin a follower's cooldown: one of its positions was closed.

        It counts from the first candle of the main timeframe that closes at `time` or later.
        """
        candles = self.risk.cooldown_candles
        if candles:
            length = timeframe_ms(self.config.timeframe)
            self.free_from = (-(-time // length) + candles) * length

    def remember(self, intent_id: str, events: tuple[OrderEvent, ...]) -> None:
        """Keep an outcome, and forget the oldest when there are too many."""
        outcomes = self.outcomes
        outcomes[intent_id] = events
        if len(outcomes) > REMEMBERED:
            outcomes.popitem(last=False)

    def asked_since(self, time: int) -> int:
        """Return how many wishes to enter were counted after `time`; older ones are forgotten."""
        asked = self._asked
        while asked and asked[0] <= time:
            asked.popleft()
        return len(asked)

    def count_wish(self, time: int) -> None:
        """Count a wish to enter, whatever becomes of it."""
        self._asked.append(time)

    def trades_on(self, time: int) -> int:
        """Return how many entries were accepted on the UTC day of `time`."""
        return self._trades if time // DAY_MS == self._trade_day else 0

    def count_trade(self, time: int) -> None:
        """Count an accepted entry."""
        day = time // DAY_MS
        self._trades = self._trades + 1 if day == self._trade_day else 1
        self._trade_day = day
