"""Accounts follow strategies with capital that is theirs alone; nobody sees who follows what."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from engine.catalog import Compatibility
from engine.config import RiskConfig
from engine.deployments.bots import Bot, SubscriptionChange
from engine.errors import (
    ChorusError,
    ConfigError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    StaleError,
)
from engine.store import AuditEntry, Store, Subscription
from tests.engine.deployments.bots import BALANCE, EMA, BotsDesk, a_bots_desk, deployed, new, offer
from tests.engine.deployments.conftest import ADMIN, ANN, BOB, CATALOG, EVE


@pytest.fixture
def desk(store: Store) -> BotsDesk:
    """Return a desk, on both databases."""
    return a_bots_desk(store)


def test_a_subscription_is_found_as_it_was_made(desk: BotsDesk) -> None:
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


def test_one_follows_ones_own_strategies_and_public_ones(desk: BotsDesk) -> None:
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
    desk: BotsDesk, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        desk.subscriptions.create(new(**changes), BOB)
    assert desk.subscriptions.page(ADMIN).items == []
    assert desk.changed == []


def test_the_account_has_to_be_usable_and_to_hold_the_currency(desk: BotsDesk) -> None:
    euros = desk.accounts.create("euros", {"EUR": Decimal(500)}, BOB)
    with pytest.raises(ConfigError, match="account: BTC/USDT is paid in USDT, but 'euros' holds"):
        desk.subscriptions.create(new(account=euros.id), BOB)
    desk.accounts.enable("a-bob", BOB, is_enabled=False)
    with pytest.raises(ConfigError, match="account: 'u-bob' is disabled"):
        desk.subscriptions.create(new(), BOB)


def test_a_strategy_is_not_followed_with_the_account_it_trades_with(desk: BotsDesk) -> None:
    with pytest.raises(ConfigError, match="account: strategy 'open' trades with 'u-ann' itself"):
        desk.subscriptions.create(new(account="a-ann"), ANN)


def test_the_least_capital_of_a_type_is_asked_for(
    desk: BotsDesk, monkeypatch: pytest.MonkeyPatch
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


def test_a_limit_only_the_strategy_can_keep_is_refused(desk: BotsDesk) -> None:
    shorter, longer = (RiskConfig(time_limit_candles=candles) for candles in (9, 10))
    with pytest.raises(ConfigError, match=r"risk.timeLimitCandles: .* or a longer one, got 10"):
        desk.subscriptions.create(new(risk=longer), BOB)
    config = {**EMA, "risk": {"timeLimitCandles": 10}}
    desk.strategies.create(deployed("timed", config=config), ANN)
    offer(desk, "timed", "public")
    bot = desk.subscriptions.create(new(strategy="timed", risk=longer), BOB).id
    with pytest.raises(ConfigError, match=r"risk.timeLimitCandles: .* got 9; leave it out"):
        desk.subscriptions.change(bot, SubscriptionChange(risk=shorter), BOB)


def test_an_account_follows_a_strategy_once_and_again_after_it_has_left(desk: BotsDesk) -> None:
    made = desk.subscriptions.create(new(), BOB)
    with pytest.raises(ConflictError, match="account: 'a-bob' follows strategy 'open' already"):
        desk.subscriptions.create(new(), BOB)
    desk.subscriptions.delete(made.id, BOB)
    assert desk.subscriptions.create(new(), BOB).id != made.id


def test_what_was_deleted_stays_on_record(desk: BotsDesk) -> None:
    made = desk.subscriptions.create(new(), BOB)
    gone = desk.subscriptions.delete(made.id, BOB)
    assert (gone.status, gone.version) == ("paused", 2)
    assert desk.subscriptions.page(BOB).items == []
    for act in (desk.subscriptions.get, desk.subscriptions.delete):
        with pytest.raises(NotFoundError, match=f"bot '{made.id}': there is none"):
            act(made.id, BOB)
    with desk.store.read() as session:
        assert session.get_one(Subscription, made.id).deleted_ms is not None


CALLS: dict[str, Callable[[BotsDesk, str, Any], object]] = {
    "get": lambda desk, bot, caller: desk.subscriptions.get(bot, caller),
    "change": lambda desk, bot, caller: desk.subscriptions.change(
        bot, SubscriptionChange(capital=Decimal(1)), caller
    ),
    "pause": lambda desk, bot, caller: desk.subscriptions.set_status(bot, "paused", caller),
    "delete": lambda desk, bot, caller: desk.subscriptions.delete(bot, caller),
}


@pytest.mark.parametrize("call", CALLS)
def test_anothers_subscription_is_not_there_not_even_for_the_strategys_owner(
    desk: BotsDesk, call: str
) -> None:
    bot = desk.subscriptions.create(new(), BOB).id
    for caller in (ANN, EVE):
        with pytest.raises(NotFoundError, match="there is none"):
            CALLS[call](desk, bot, caller)
        assert desk.subscriptions.page(caller, strategy="open").items == []
    assert desk.subscriptions.get(bot, ADMIN).version == 1


def test_the_strategys_owner_sees_how_many_follow(desk: BotsDesk) -> None:
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


def test_who_may_only_look_changes_nothing(desk: BotsDesk) -> None:
    with pytest.raises(ForbiddenError, match="needs the role trader or more"):
        desk.subscriptions.create(new(), EVE)


def test_a_subscription_is_its_accounts_owners_whoever_makes_it(desk: BotsDesk) -> None:
    made = desk.subscriptions.create(new(), ADMIN)
    assert made.owner_id == "u-bob"
    assert desk.subscriptions.get(made.id, BOB) == made


def test_terms_change_and_what_is_not_said_stays(desk: BotsDesk) -> None:
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


def test_wanting_what_is_there_already_changes_nothing(desk: BotsDesk) -> None:
    made = desk.subscriptions.create(new(), BOB)
    assert desk.subscriptions.set_status(made.id, "active", BOB) == made
    same = SubscriptionChange(capital=made.capital, leverage=made.leverage, risk=RiskConfig())
    assert desk.subscriptions.change(made.id, same, BOB) == made
    assert desk.changed == [(made.id, 1)]


def test_who_has_paused_resumes_only_what_is_still_offered(desk: BotsDesk) -> None:
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


def test_the_engine_gets_what_is_active_with_strategy_and_account(desk: BotsDesk) -> None:
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
    desk: BotsDesk,
) -> None:
    bot = desk.subscriptions.create(new(), BOB).id
    with pytest.raises(ConflictError, match="1 subscriptions of others follow it"):
        desk.strategies.delete("open", ANN)
    desk.subscriptions.delete(bot, BOB)
    desk.strategies.delete("open", ANN)


def test_lists_come_in_pages_and_by_strategy_and_status(desk: BotsDesk) -> None:
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


def test_every_change_is_in_the_audit_log_and_nothing_else(desk: BotsDesk) -> None:
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
