"""Registered strategies as the order manager sees them."""

from __future__ import annotations

from collections import OrderedDict, deque
from decimal import Decimal

from engine.config.strategy import StrategyConfig
from engine.trading.capital import DAY_MS, Account, Funds
from engine.trading.positions import Position
from engine.types import OrderEvent

__all__ = ["REMEMBERED", "Participant"]

REMEMBERED = 64
"""Intents per strategy whose outcome is kept in memory to answer a repetition."""


class Participant:
    """A strategy on an account: its sub-positions, its share of the capital, its limits.

    Attributes:
        positions: By symbol, as the strategy spells them.
        purses: By quote currency: the strategy's capital, what it made and what it binds.
        outcomes: Events each of the last `REMEMBERED` intents was answered with, by intent id.
        newest: Newest decided `seq` per stream.
        withdrawn: Why nothing is accepted any more; None while it takes part.
    """

    __slots__ = (
        "_asked",
        "_trade_day",
        "_trades",
        "account",
        "config",
        "id",
        "newest",
        "outcomes",
        "positions",
        "priority",
        "purses",
        "risk",
        "withdrawn",
    )

    def __init__(self, config: StrategyConfig, account: Account) -> None:
        self.id = config.id
        self.account = account
        self.positions: dict[str, Position] = {}
        self.purses: dict[str, Funds] = {}
        # Ordered for `popitem`: in a plain dict, finding the oldest passes all it has ever lost.
        self.outcomes: OrderedDict[str, tuple[OrderEvent, ...]] = OrderedDict()
        self.newest: dict[str, int] = {}
        self.withdrawn: str | None = None
        self._asked: deque[int] = deque()
        self._trade_day = -1
        self._trades = 0
        self.configure(config)

    def configure(self, config: StrategyConfig) -> None:
        """Use these settings from now on."""
        self.config = config
        self.risk = config.risk
        self.priority = config.priority

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
