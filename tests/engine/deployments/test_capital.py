"""What is promised of an account to bots and strategies is there, whoever comes first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from engine.deployments.bots import SubscriptionChange
from engine.errors import (
    ConfigError,
)
from engine.store import Store
from tests.engine.deployments.bots import BALANCE, EMA, BotsDesk, a_bots_desk, deployed, new, offer
from tests.engine.deployments.conftest import ANN, BOB
from tests.examples import examples


@pytest.fixture
def desk(store: Store) -> BotsDesk:
    """Return a desk, on both databases."""
    return a_bots_desk(store)


def test_of_many_who_want_the_same_money_at_once_as_many_get_it_as_there_is(desk: BotsDesk) -> None:
    for number in range(6):
        desk.strategies.create(deployed(f"s{number}"), ANN)
        offer(desk, f"s{number}", "public")

    config = {**EMA, "capital": 300}

    def take(number: int) -> bool:
        try:
            if number % 2:
                desk.subscriptions.create(new(strategy=f"s{number}", capital=Decimal(300)), BOB)
            else:
                wish = deployed(f"own{number}", account="a-bob", config=config)
                desk.strategies.create(wish, BOB)
        except ConfigError:
            return False
        return True

    desk.subscriptions.create(new(capital=Decimal(1)), BOB)
    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(take, range(6))) == 3


AMOUNTS = st.decimals(Decimal("0.01"), 1200, places=2)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "follow",
                "follow",
                "change",
                "pause",
                "leave",
                "deploy",
                "deploy",
                "enlarge",
                "remove",
            ]
        ),
        st.integers(0, 3),
        AMOUNTS,
    ),
    max_size=25,
)
NAMES = count()


class Books:
    """Adds up what is promised of an account, and takes steps that are possible or refused."""

    def __init__(self, desk: BotsDesk) -> None:
        self.desk = desk
        self.run = f"r{next(NAMES)}"
        balances = {"USDT": BALANCE, "EUR": Decimal(1)}
        self.account = desk.accounts.create(self.run, balances, BOB).id
        for number in range(4):
            desk.strategies.create(deployed(f"{self.run}.{number}"), ANN)
            offer(desk, f"{self.run}.{number}", "public")
        self.bots: dict[int, tuple[str, Decimal]] = {}
        self.own: list[tuple[str, Decimal]] = []

    def take(self, what: str, number: int, amount: Decimal) -> None:
        if what in {"deploy", "enlarge", "remove"} or (number in self.bots) == (what != "follow"):
            getattr(self, what)(number, amount)

    def follow(self, number: int, amount: Decimal) -> None:
        wish = new(strategy=f"{self.run}.{number}", account=self.account, capital=amount)
        with self.refused_unless(amount <= self.left()):
            self.bots[number] = (self.desk.subscriptions.create(wish, BOB).id, amount)

    def change(self, number: int, amount: Decimal) -> None:
        bot, before = self.bots[number]
        with self.refused_unless(amount <= max(before, before + self.left())):
            self.desk.subscriptions.change(bot, SubscriptionChange(capital=amount), BOB)
            self.bots[number] = (bot, amount)

    def pause(self, number: int, _: Decimal) -> None:
        self.desk.subscriptions.set_status(self.bots[number][0], "paused", BOB)

    def leave(self, number: int, _: Decimal) -> None:
        self.desk.subscriptions.delete(self.bots.pop(number)[0], BOB)

    def deploy(self, number: int, amount: Decimal) -> None:
        """Deploy one with capital of its own, or without, which is always possible."""
        name = f"{self.run}.own.{len(self.own)}.{next(NAMES)}"
        config = {**EMA, "capital": str(amount)} if number else EMA
        wish = deployed(name, account=self.account, config=config)
        with self.refused_unless(not number or not self.bots or amount <= self.left()):
            self.desk.strategies.create(wish, BOB)
            self.own.append((name, amount if number else Decimal(0)))

    def enlarge(self, _: int, amount: Decimal) -> None:
        """Change what the newest one says."""
        if self.own:
            name, before = self.own[-1]
            is_possible = not self.bots or amount <= max(before, before + self.left())
            with self.refused_unless(is_possible):
                self.desk.strategies.change(name, BOB, config={"capital": str(amount)})
                self.own[-1] = (name, amount)

    def remove(self, _: int, __: Decimal) -> None:
        if self.own:
            self.desk.strategies.delete(self.own.pop()[0], BOB)

    def promised_to_bots(self) -> Decimal:
        return sum((much for _, much in self.bots.values()), Decimal(0))

    def left(self) -> Decimal:
        return BALANCE - self.promised_to_bots() - sum(much for _, much in self.own)

    @staticmethod
    def refused_unless(is_possible: bool) -> AbstractContextManager[object]:
        return (
            nullcontext()
            if is_possible
            else pytest.raises(ConfigError, match=r"^(config\.)?capital: ")
        )


@given(steps=STEPS)
@examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_promised_beside_bots_is_there_if_and_only_if_it_is_left(
    desk: BotsDesk, steps: list[tuple[str, int, Decimal]]
) -> None:
    books = Books(desk)
    for what, number, amount in steps:
        books.take(what, number, amount)
        bots = desk.subscriptions.page(BOB, limit=1000).items
        held = {bot.id: bot.capital for bot in bots if bot.account_id == books.account}
        assert held == dict(books.bots.values())
        assert not held or books.left() >= 0


def test_strategies_take_nothing_that_is_promised_to_bots(desk: BotsDesk) -> None:
    desk.subscriptions.create(new(capital=Decimal(900)), BOB)
    desk.strategies.create(deployed("small", account="a-bob", config={**EMA, "capital": 100}), BOB)
    desk.strategies.create(deployed("free", account="a-bob"), BOB)
    message = (
        r"^config\.capital: account 'u-bob' began with 1000\.5 USDT, 1000 are promised to 2 other "
        r"bots and strategies; at most 0\.5 are left, got 1"
    )
    one = {**EMA, "capital": 1}
    with pytest.raises(ConfigError, match=message):
        desk.strategies.create(deployed("one", account="a-bob", config=one), BOB)
    with pytest.raises(ConfigError, match="promised to 2 other"):
        desk.strategies.change("free", BOB, config={"capital": 1})
    with pytest.raises(ConfigError, match=r"900 are promised to 1 other .* 100\.5 are left"):
        desk.strategies.change("small", BOB, config={"capital": 101})
    for capital in ("99", "100.5"):
        desk.strategies.change("small", BOB, config={"capital": capital})
    desk.strategies.restart("small", BOB)


def test_strategies_alone_share_an_account_as_they_like_until_a_bot_comes(desk: BotsDesk) -> None:
    for name in ("a", "b"):
        config = {**EMA, "capital": 1000}
        desk.strategies.create(deployed(name, account="a-bob", config=config), BOB)
    with pytest.raises(ConfigError, match=r"2000 are promised to 2 other .* most 0 are left"):
        desk.subscriptions.create(new(), BOB)
    desk.strategies.change("a", BOB, config={"capital": 700})
    desk.strategies.delete("b", BOB)
    desk.subscriptions.create(new(), BOB)


def test_capital_is_said_in_a_currency_the_account_has(desk: BotsDesk) -> None:
    ether = {"symbol": "ETH/BTC", "timeframe": "1m", "capital": 1}
    with pytest.raises(ConfigError, match="account: ETH/BTC is paid in BTC, but 'u-bob' holds"):
        desk.strategies.create(deployed("ether", account="a-bob", config=ether), BOB)
