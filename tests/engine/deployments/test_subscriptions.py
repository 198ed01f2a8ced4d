"""Accounts follow strategies with capital that is theirs alone; nobody sees who follows what."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from sqlalchemy import select, update

from engine.catalog import Compatibility
from engine.config import RiskConfig
from engine.deployments import NewStrategy
from engine.deployments.bots import Bot, NewSubscription, SubscriptionChange
from engine.deployments.subscriptions import Subscriptions
from engine.errors import (
    ChorusError,
    ConfigError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    StaleError,
)
from engine.store import AuditEntry, Store, Strategy, Subscription
from tests.engine.deployments.conftest import ADMIN, ANN, BOB, CATALOG, EVE, furnished
from tests.examples import examples

EMA = {"symbol": "BTC/USDT", "timeframe": "15m"}
BALANCE = Decimal("1000.50")


class Desk:
    """The services that have to do with bots, and who was told of changes."""

    def __init__(self, store: Store) -> None:
        desk, ticks = furnished(store), count(1_000_000)
        self.store = store
        self.accounts = desk.accounts
        self.strategies = desk.strategies
        self.changed: list[tuple[str, int | None]] = []
        self.subscriptions = Subscriptions(
            store,
            catalog=lambda: CATALOG,
            clock=lambda: next(ticks),
            on_change=lambda name, version: self.changed.append((name, version)),
        )


@pytest.fixture
def desk(store: Store) -> Desk:
    """Return a desk, on both databases, where ann has a public and a private strategy."""
    desk = Desk(store)
    for name in ("open", "hers"):
        desk.strategies.create(deployed(name), ANN)
    offer(desk, "open", "public")
    return desk


def deployed(name: str, **changes: Any) -> NewStrategy:
    fields = {"id": name, "definition": "builtin-ema_cross", "account": "a-ann", "config": EMA}
    return NewStrategy(**{**fields, **changes})


def offer(desk: Desk, strategy: str, visibility: str) -> None:
    with desk.store.write() as session:
        session.execute(
            update(Strategy).where(Strategy.id == strategy).values(visibility=visibility)
        )


def new(**changes: Any) -> NewSubscription:
    fields = {"strategy": "open", "account": "a-bob", "capital": Decimal(100)}
    return NewSubscription(**{**fields, **changes})


def test_a_subscription_is_found_as_it_was_made(desk: Desk) -> None:
    risk = RiskConfig(stop_loss=Decimal("0.02"), max_trades_per_day=3)
    made = desk.subscriptions.create(new(leverage=Decimal("2.5"), risk=risk), BOB)
    found = desk.subscriptions.get(made.id, BOB)
    assert found == made
    assert (found.owner_id, found.strategy_id, found.account_id) == ("u-bob", "open", "a-bob")
    assert (found.capital, found.leverage, found.status) == (100, Decimal("2.5"), "active")
    assert RiskConfig.model_validate(found.risk) == risk
    assert found.risk.keys() == {"stopLoss", "maxTradesPerDay"}
    assert (found.strategy_status, found.version) == ("running", 1)
    assert desk.changed == [(made.id, 1)]


def test_one_follows_ones_own_strategies_and_public_ones(desk: Desk) -> None:
    second = desk.accounts.create("second", {"USDT": Decimal(50)}, ANN)
    desk.subscriptions.create(new(strategy="hers", account=second.id, capital=Decimal(50)), ANN)
    for strategy in ("hers", "nope"):
        with pytest.raises(ConfigError, match=f"strategy: '{strategy}': there is none that you"):
            desk.subscriptions.create(new(strategy=strategy), BOB)
    desk.strategies.delete("open", ANN)
    with pytest.raises(ConfigError, match="strategy: 'open': there is none that you may follow"):
        desk.subscriptions.create(new(), BOB)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"account": "a-ann"}, "account: account 'a-ann': there is none"),
        ({"account": "nope"}, "account: account 'nope': there is none"),
        ({"capital": Decimal(0)}, "capital: .* greater than 0, got 0"),
        ({"capital": Decimal(-1)}, "capital: .* greater than 0"),
        ({"capital": Decimal("NaN")}, "capital: .* finite"),
        ({"capital": Decimal("1e20")}, "capital: .* less than"),
        ({"capital": Decimal("1e-9")}, "capital: .* 8 decimal places"),
        ({"capital": Decimal(1001)}, "began with 1000.5 USDT, 0 are promised to 0 other .* 1000.5"),
        ({"leverage": Decimal("0.5")}, "leverage: .* greater than or equal to 1, got 0.5"),
        ({"leverage": Decimal(126)}, "leverage: .* less than or equal to 125"),
    ],
)
def test_what_is_not_possible_is_refused_with_the_field_and_leaves_nothing(
    desk: Desk, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        desk.subscriptions.create(new(**changes), BOB)
    assert desk.subscriptions.page(ADMIN).items == []
    assert desk.changed == []


def test_the_account_has_to_be_usable_and_to_hold_the_currency(desk: Desk) -> None:
    euros = desk.accounts.create("euros", {"EUR": Decimal(500)}, BOB)
    with pytest.raises(ConfigError, match="account: BTC/USDT is paid in USDT, but 'euros' holds"):
        desk.subscriptions.create(new(account=euros.id), BOB)
    desk.accounts.enable("a-bob", BOB, is_enabled=False)
    with pytest.raises(ConfigError, match="account: 'u-bob' is disabled"):
        desk.subscriptions.create(new(), BOB)


def test_a_strategy_is_not_followed_with_the_account_it_trades_with(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="account: strategy 'open' trades with 'u-ann' itself"):
        desk.subscriptions.create(new(account="a-ann"), ANN)


def test_the_least_capital_of_a_type_is_asked_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = CATALOG.get("EMA_CROSS")
    made = desk.subscriptions.create(new(), BOB)
    picky = Compatibility(min_capital=Decimal(70))
    monkeypatch.setattr(type(loaded.metadata), "compatibility", picky, raising=False)
    for act in (
        lambda: desk.subscriptions.create(new(capital=Decimal(69)), BOB),
        lambda: desk.subscriptions.change(made.id, SubscriptionChange(capital=Decimal(69)), BOB),
    ):
        with pytest.raises(ConfigError, match="capital: the strategy needs 70 at least, got 69"):
            act()


def test_a_limit_only_the_strategy_can_keep_is_refused(desk: Desk) -> None:
    shorter, longer = (RiskConfig(time_limit_candles=candles) for candles in (9, 10))
    with pytest.raises(ConfigError, match=r"risk.timeLimitCandles: .* or a longer one, got 10"):
        desk.subscriptions.create(new(risk=longer), BOB)
    config = {**EMA, "risk": {"timeLimitCandles": 10}}
    desk.strategies.create(deployed("timed", config=config), ANN)
    offer(desk, "timed", "public")
    bot = desk.subscriptions.create(new(strategy="timed", risk=longer), BOB).id
    with pytest.raises(ConfigError, match=r"risk.timeLimitCandles: .* got 9; leave it out"):
        desk.subscriptions.change(bot, SubscriptionChange(risk=shorter), BOB)


def test_an_account_follows_a_strategy_once_and_again_after_it_has_left(desk: Desk) -> None:
    made = desk.subscriptions.create(new(), BOB)
    with pytest.raises(ConflictError, match="account: 'a-bob' follows strategy 'open' already"):
        desk.subscriptions.create(new(), BOB)
    desk.subscriptions.delete(made.id, BOB)
    assert desk.subscriptions.create(new(), BOB).id != made.id


def test_what_was_deleted_stays_on_record(desk: Desk) -> None:
    made = desk.subscriptions.create(new(), BOB)
    gone = desk.subscriptions.delete(made.id, BOB)
    assert (gone.status, gone.version) == ("paused", 2)
    assert desk.subscriptions.page(BOB).items == []
    for act in (desk.subscriptions.get, desk.subscriptions.delete):
        with pytest.raises(NotFoundError, match=f"bot '{made.id}': there is none"):
            act(made.id, BOB)
    with desk.store.read() as session:
        assert session.get_one(Subscription, made.id).deleted_ms is not None


CALLS: dict[str, Callable[[Desk, str, Any], object]] = {
    "get": lambda desk, bot, caller: desk.subscriptions.get(bot, caller),
    "change": lambda desk, bot, caller: desk.subscriptions.change(
        bot, SubscriptionChange(capital=Decimal(1)), caller
    ),
    "pause": lambda desk, bot, caller: desk.subscriptions.set_status(bot, "paused", caller),
    "delete": lambda desk, bot, caller: desk.subscriptions.delete(bot, caller),
}


@pytest.mark.parametrize("call", CALLS)
def test_anothers_subscription_is_not_there_not_even_for_the_strategys_owner(
    desk: Desk, call: str
) -> None:
    bot = desk.subscriptions.create(new(), BOB).id
    for caller in (ANN, EVE):
        with pytest.raises(NotFoundError, match="there is none"):
            CALLS[call](desk, bot, caller)
        assert desk.subscriptions.page(caller, strategy="open").items == []
    assert desk.subscriptions.get(bot, ADMIN).version == 1


def test_the_strategys_owner_sees_how_many_follow(desk: Desk) -> None:
    bot = desk.subscriptions.create(new(), BOB)
    admins = desk.subscriptions.create(new(account="a-admin"), ADMIN)
    desk.subscriptions.set_status(bot.id, "paused", BOB)
    for caller in (ANN, ADMIN):
        counts = desk.subscriptions.followers("open", caller)
        assert (counts.active, counts.paused) == (1, 1)
    desk.subscriptions.delete(admins.id, ADMIN)
    assert desk.subscriptions.followers("open", ANN).active == 0
    for caller, strategy in ((BOB, "open"), (BOB, "hers"), (ANN, "nope")):
        with pytest.raises(NotFoundError):
            desk.subscriptions.followers(strategy, caller)


def test_who_may_only_look_changes_nothing(desk: Desk) -> None:
    with pytest.raises(ForbiddenError, match="needs the role trader or more"):
        desk.subscriptions.create(new(), EVE)


def test_a_subscription_is_its_accounts_owners_whoever_makes_it(desk: Desk) -> None:
    made = desk.subscriptions.create(new(), ADMIN)
    assert made.owner_id == "u-bob"
    assert desk.subscriptions.get(made.id, BOB) == made


def test_terms_change_and_what_is_not_said_stays(desk: Desk) -> None:
    risk = RiskConfig(stop_loss=Decimal("0.02"))
    made = desk.subscriptions.create(new(risk=risk), BOB)
    more = desk.subscriptions.change(made.id, SubscriptionChange(capital=BALANCE), BOB)
    assert (more.capital, more.leverage, more.risk) == (BALANCE, 1, made.risk)
    other = SubscriptionChange(leverage=Decimal(3), risk=RiskConfig(take_profit=Decimal(1)))
    changed = desk.subscriptions.change(made.id, other, BOB, if_version=2)
    assert (changed.capital, changed.leverage, changed.version) == (BALANCE, 3, 3)
    assert changed.risk == {"takeProfit": "1"}
    with pytest.raises(StaleError, match="has version 3 by now, not 2"):
        desk.subscriptions.change(made.id, other, BOB, if_version=2)
    for bad in ({"capital": BALANCE + 1}, {"leverage": Decimal(0)}, {"capital": Decimal(0)}):
        with pytest.raises(ConfigError):
            desk.subscriptions.change(made.id, SubscriptionChange(**bad), BOB)
    assert desk.subscriptions.get(made.id, BOB) == changed


def test_wanting_what_is_there_already_changes_nothing(desk: Desk) -> None:
    made = desk.subscriptions.create(new(), BOB)
    assert desk.subscriptions.set_status(made.id, "active", BOB) == made
    same = SubscriptionChange(capital=made.capital, leverage=made.leverage, risk=RiskConfig())
    assert desk.subscriptions.change(made.id, same, BOB) == made
    assert desk.changed == [(made.id, 1)]


def test_who_has_paused_resumes_only_what_is_still_offered(desk: Desk) -> None:
    bot = desk.subscriptions.create(new(), BOB).id
    assert desk.subscriptions.set_status(bot, "paused", BOB).status == "paused"
    assert desk.subscriptions.set_status(bot, "active", BOB).status == "active"
    offer(desk, "open", "private")
    assert desk.subscriptions.set_status(bot, "active", BOB).status == "active"
    desk.subscriptions.set_status(bot, "paused", BOB)
    with pytest.raises(ConfigError, match="strategy: 'open': there is none that you may follow"):
        desk.subscriptions.set_status(bot, "active", BOB)
    offer(desk, "open", "public")
    desk.accounts.enable("a-bob", BOB, is_enabled=False)
    with pytest.raises(ConfigError, match="account: 'u-bob' is disabled"):
        desk.subscriptions.set_status(bot, "active", BOB)


def test_the_engine_gets_what_is_active_with_strategy_and_account(desk: Desk) -> None:
    second = desk.accounts.create("second", {"USDT": Decimal(50)}, ANN)
    first = desk.subscriptions.create(new(), BOB)
    own = desk.subscriptions.create(
        new(strategy="hers", account=second.id, capital=Decimal(50)), ANN
    )
    admins = desk.subscriptions.create(new(account="a-admin"), ADMIN)
    found = desk.subscriptions.all_active()
    assert [(f.subscription.id, f.strategy.id, f.account.id) for f in found] == [
        (first.id, "open", "a-bob"),
        (own.id, "hers", second.id),
        (admins.id, "open", "a-admin"),
    ]
    desk.subscriptions.set_status(first.id, "paused", BOB)
    desk.subscriptions.delete(own.id, ANN)
    desk.strategies.set_desired("open", "stopped", ANN)
    assert [f.subscription.id for f in desk.subscriptions.all_active()] == [admins.id]
    desk.strategies.delete("open", ANN, is_forced=True)
    assert desk.subscriptions.all_active() == []
    assert desk.subscriptions.get(admins.id, ADMIN).strategy_status == "deleted"


def test_a_strategy_that_others_follow_is_deleted_only_by_force_or_when_they_left(
    desk: Desk,
) -> None:
    bot = desk.subscriptions.create(new(), BOB).id
    with pytest.raises(ConflictError, match="1 subscriptions of others follow it"):
        desk.strategies.delete("open", ANN)
    desk.subscriptions.delete(bot, BOB)
    desk.strategies.delete("open", ANN)


def test_lists_come_in_pages_and_by_strategy_and_status(desk: Desk) -> None:
    made: list[Bot] = []
    for number in range(5):
        offered = deployed(f"s{number}")
        desk.strategies.create(offered, ANN)
        offer(desk, offered.id, "public")
        made.append(desk.subscriptions.create(new(strategy=offered.id, capital=Decimal(1)), BOB))
    first = desk.subscriptions.page(BOB, limit=3)
    rest = desk.subscriptions.page(BOB, limit=3, after=first.next)
    assert [*first.items, *rest.items] == made
    assert rest.next is None
    assert desk.subscriptions.page(BOB, strategy="s3").items == [made[3]]
    desk.subscriptions.set_status(made[1].id, "paused", BOB)
    paused = desk.subscriptions.page(BOB, status="paused").items
    assert [bot.id for bot in paused] == [made[1].id]
    assert len(desk.subscriptions.page(BOB, status="active").items) == 4


def test_every_change_is_in_the_audit_log_and_nothing_else(desk: Desk) -> None:
    bot = desk.subscriptions.create(new(), BOB).id
    desk.subscriptions.change(bot, SubscriptionChange(capital=Decimal("200.0")), ADMIN)
    desk.subscriptions.set_status(bot, "active", BOB)
    with pytest.raises(ChorusError):
        desk.subscriptions.change(bot, SubscriptionChange(capital=Decimal(5000)), BOB)
    desk.subscriptions.delete(bot, BOB)
    with desk.store.read() as session:
        query = select(AuditEntry).where(AuditEntry.kind == "subscriptions")
        entries = list(session.scalars(query.order_by(AuditEntry.id)))
    assert [(e.user_id, e.action, e.object_id) for e in entries] == [
        ("u-bob", "create", bot),
        ("u-admin", "update", bot),
        ("u-bob", "delete", bot),
    ]
    assert entries[0].change["capital"] == "100"
    assert entries[1].change == {"capital": ["100", "200"]}
    assert entries[2].change == {"status": ["active", "paused"], "is_deleted": [False, True]}


def test_of_many_who_want_the_same_money_at_once_as_many_get_it_as_there_is(desk: Desk) -> None:
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


# ---------------------------------------------------------------------- capital

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

    def __init__(self, desk: Desk) -> None:
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
    desk: Desk, steps: list[tuple[str, int, Decimal]]
) -> None:
    books = Books(desk)
    for what, number, amount in steps:
        books.take(what, number, amount)
        bots = desk.subscriptions.page(BOB, limit=1000).items
        held = {bot.id: bot.capital for bot in bots if bot.account_id == books.account}
        assert held == dict(books.bots.values())
        assert not held or books.left() >= 0


def test_strategies_take_nothing_that_is_promised_to_bots(desk: Desk) -> None:
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


def test_strategies_alone_share_an_account_as_they_like_until_a_bot_comes(desk: Desk) -> None:
    for name in ("a", "b"):
        config = {**EMA, "capital": 1000}
        desk.strategies.create(deployed(name, account="a-bob", config=config), BOB)
    with pytest.raises(ConfigError, match=r"2000 are promised to 2 other .* most 0 are left"):
        desk.subscriptions.create(new(), BOB)
    desk.strategies.change("a", BOB, config={"capital": 700})
    desk.strategies.delete("b", BOB)
    desk.subscriptions.create(new(), BOB)


def test_capital_is_said_in_a_currency_the_account_has(desk: Desk) -> None:
    ether = {"symbol": "ETH/BTC", "timeframe": "1m", "capital": 1}
    with pytest.raises(ConfigError, match="account: ETH/BTC is paid in BTC, but 'u-bob' holds"):
        desk.strategies.create(deployed("ether", account="a-bob", config=ether), BOB)
