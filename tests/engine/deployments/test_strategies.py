"""What is deployed is what was asked for, or refused with the field; others do not see it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from engine.catalog.definitions import Change, Draft
from engine.config import StrategyConfig
from engine.deployments import NewStrategy
from engine.errors import ChorusError, ConfigError, ConflictError, ForbiddenError, NotFoundError
from engine.store import AuditEntry, Subscription
from tests.engine.deployments.conftest import ADMIN, ANN, BOB, CATALOG, EVE, Desk

EMA = {"symbol": "BTC/USDT", "timeframe": "15m", "parameters": {"fast_period": 5}}


def new(**changes: Any) -> NewStrategy:
    fields = {"id": "one", "definition": "builtin-ema_cross", "account": "a-ann", "config": EMA}
    return NewStrategy(**{**fields, **changes})


def test_a_strategy_is_found_as_it_was_deployed(desk: Desk) -> None:
    made = desk.strategies.create(new(), ANN)
    found = desk.strategies.get("one", ANN)
    assert (found.desired, found.version, found.definition_number) == ("running", 1, 1)
    assert found.config == made.config
    config = StrategyConfig.model_validate(found.config)
    assert (config.id, config.type, config.account) == ("one", "EMA_CROSS", "a-ann")
    assert (config.symbol, config.timeframe) == ("BTC/USDT", "15m")
    assert config.parameters == {"fast_period": 5}


def test_the_definitions_defaults_are_taken_where_nothing_is_said(desk: Desk) -> None:
    defaults = {
        "timeframes": ["1m"],
        "parameters": {"fast_period": 3, "slow_period": 9},
        "risk": {"stop_loss": 0.02, "take_profit": 0.04},
    }
    mine = desk.definitions.create(
        Draft(key="mine", strategy_type="EMA_CROSS", defaults=defaults), ANN
    )
    given = {**EMA, "risk": {"stopLoss": 0.01}}
    desk.strategies.create(new(definition=mine.id, config=given), ANN)
    config = StrategyConfig.model_validate(desk.strategies.get("one", ANN).config)
    assert config.timeframes == ("15m",)
    assert config.parameters == {"fast_period": 5, "slow_period": 9}
    assert (config.risk.stop_loss, config.risk.take_profit) == (Decimal("0.01"), Decimal("0.04"))


def test_it_keeps_the_version_of_its_definition(desk: Desk) -> None:
    mine = desk.definitions.create(Draft(key="mine", strategy_type="EMA_CROSS"), ANN)
    desk.strategies.create(new(definition=mine.id), ANN)
    narrow = {"type": "object", "properties": {"fast_period": {"maximum": 4}}}
    desk.definitions.update(mine.id, Change(schema=narrow), ANN)
    assert desk.strategies.get("one", ANN).definition_number == 1
    with pytest.raises(ChorusError, match=r"config.parameters.fast_period: 5 is greater"):
        desk.strategies.create(new(id="two", definition=mine.id), ANN)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"definition": "nope"}, "definition 'nope': there is none"),
        ({"account": "a-bob"}, "account: account 'a-bob': there is none"),
        ({"account": "nope"}, "account: account 'nope': there is none"),
        ({"id": "no blanks"}, "config.id: "),
        ({"config": {**EMA, "id": "x"}}, "config: id is said beside it"),
        ({"config": {**EMA, "fancy": 1}}, "config.fancy: unknown field; known here: "),
        ({"config": {"timeframe": "1m"}}, "^config: needs a `symbol`"),
        ({"config": {**EMA, "risk": {"stopLos": 1}}}, r"config\.risk\.stopLos: .*'stopLoss'"),
        ({"config": {**EMA, "parameters": {"fast_perod": 5}}}, "did you mean 'fast_period'"),
        ({"config": {**EMA, "parameters": {"fast_period": "x"}}}, "parameters.fast_period"),
        ({"config": {**EMA, "symbol": "XRP/USDT"}}, "streams: paper:XRP/USDT:15m is not in the"),
        ({"config": {**EMA, "timeframe": "1h"}}, "streams: paper:BTC/USDT:1h is not in the feed"),
        (
            {"config": {**EMA, "symbol": "ETH/BTC", "timeframe": "1m"}},
            "account: ETH/BTC is paid in BTC, but the account holds only USDT",
        ),
        ({"config": {**EMA, "capital": -1}}, "config.capital: "),
    ],
)
def test_what_could_not_run_is_refused_with_the_field_and_leaves_nothing(
    desk: Desk, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ChorusError, match=message):
        desk.strategies.create(new(**changes), ANN)
    assert desk.strategies.page(ADMIN).items == []


@pytest.mark.parametrize("error", [ZeroDivisionError("oops"), SystemExit("goodbye")])
def test_what_its_code_raises_is_its_author_s_to_know(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def refuse(self: object) -> None:
        raise error

    monkeypatch.setattr(CATALOG.types["EMA_CROSS"].cls, "__init__", refuse)
    with pytest.raises(ConfigError, match=f"config: could not start: {type(error).__name__}"):
        desk.strategies.create(new(), ANN)


def test_a_disabled_definition_or_account_is_not_used(desk: Desk) -> None:
    desk.definitions.enable("builtin-ema_cross", ADMIN, is_enabled=False)
    with pytest.raises(ChorusError, match="definition: 'ema_cross' is disabled"):
        desk.strategies.create(new(), ANN)
    desk.definitions.enable("builtin-ema_cross", ADMIN, is_enabled=True)
    desk.accounts.enable("a-ann", ANN, is_enabled=False)
    with pytest.raises(ChorusError, match="account: 'u-ann' is disabled"):
        desk.strategies.create(new(), ANN)


def test_a_restart_takes_the_newest_version_and_keeps_what_was_said(desk: Desk) -> None:
    defaults = {"parameters": {"slow_period": 9}, "risk": {"stop_loss": 0.02}}
    mine = desk.definitions.create(
        Draft(key="mine", strategy_type="EMA_CROSS", defaults=defaults), ANN
    )
    desk.strategies.create(new(definition=mine.id), ANN)
    desk.strategies.set_parameters("one", {"allow_short": True}, ANN)
    newer = {"parameters": {"slow_period": 12, "fast_period": 2}, "risk": {"stop_loss": 0.03}}
    desk.definitions.update(mine.id, Change(defaults=newer), ANN)
    row = desk.strategies.get("one", ANN)
    assert (row.definition_number, row.generation) == (1, 1)
    assert row.config["parameters"]["slow_period"] == 9
    again = desk.strategies.change("one", ANN, config={"symbol": "BTC/USDT", "timeframe": "1m"})
    config = StrategyConfig.model_validate(again.config)
    assert (again.definition_number, again.generation, again.version) == (2, 2, 3)
    assert config.parameters == {"slow_period": 12, "fast_period": 5, "allow_short": True}
    assert (config.timeframes, config.risk.stop_loss) == (("1m",), Decimal("0.03"))
    stored = desk.strategies.get("one", ANN)
    assert (stored.config, stored.given) == (again.config, again.given)


def test_a_restart_that_could_not_run_changes_nothing(desk: Desk) -> None:
    desk.strategies.create(new(), ANN)
    for changes, message in (
        ({"timeframe": "1h"}, "streams: paper:BTC/USDT:1h is not in the feed"),
        ({"type": "RULES"}, "config: type is said beside it"),
        ({"fancy": 1}, "config.fancy"),
    ):
        with pytest.raises(ChorusError, match=message):
            desk.strategies.change("one", ANN, config=changes)
    assert desk.strategies.get("one", ANN).version == 1


def test_a_stopped_one_runs_again_by_a_restart_and_a_paused_one_stays_paused(desk: Desk) -> None:
    for name, desired, then in (("one", "stopped", "running"), ("two", "paused", "paused")):
        desk.strategies.create(new(id=name), ANN)
        desk.strategies.set_desired(name, desired, ANN)  # type: ignore[arg-type]  # as listed
        assert desk.strategies.restart(name, ANN).desired == then


def test_whoever_writes_does_not_wait_for_the_code_of_a_type(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: object, **__: object) -> None:
        # With the lock of a writer held, this would wait and fail.
        desk.accounts.create(
            f"another {len(desk.accounts.every(ADMIN))}", {"USDT": Decimal(1)}, ANN
        )

    monkeypatch.setattr("engine.deployments.drafting.build", slow)
    desk.strategies.create(new(), ANN)
    desk.strategies.change("one", ANN, config={"priority": 1})
    desk.strategies.restart("one", ANN)
    assert len(desk.accounts.every(ADMIN)) == 6


def test_a_change_meanwhile_is_not_lost(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.strategies.create(new(), ANN)
    others = iter([{"allow_short": True}, {"allow_short": False}])

    def meddle(*_: object, **__: object) -> None:
        for change in others:
            desk.strategies.set_parameters("one", change, ANN)
            return

    monkeypatch.setattr("engine.deployments.drafting.build", meddle)
    changed = desk.strategies.change("one", ANN, config={"priority": 7})
    assert changed.config["parameters"]["allow_short"] is False
    assert (changed.config["priority"], changed.version, changed.generation) == (7, 4, 2)


def test_others_may_be_let_follow_without_a_restart(desk: Desk) -> None:
    desk.strategies.create(new(), ANN)
    row = desk.strategies.change("one", ANN, visibility="public")
    assert (row.visibility, row.generation, row.version) == ("public", 1, 2)
    assert desk.strategies.change("one", ANN, visibility="public").version == 2


def test_what_is_stopped_is_not_paused(desk: Desk) -> None:
    desk.strategies.create(new(desired="stopped"), ANN)
    with pytest.raises(ChorusError, match="is stopped; activate it first"):
        desk.strategies.set_desired("one", "paused", ANN)


def test_a_strategy_of_a_run_is_adopted_as_it_is(desk: Desk) -> None:
    config = StrategyConfig.model_validate({**EMA, "id": "mine", "type": "EMA_CROSS"})
    row = desk.strategies.adopt(config, "a-ann", ANN)
    assert StrategyConfig.model_validate(row.config) == config.model_copy(
        update={"account": "a-ann"}
    )
    again = desk.strategies.restart("mine", ANN)
    assert (again.config, again.definition_id) == (row.config, None)
    with pytest.raises(ConflictError, match="'mine': the id is taken"):
        desk.strategies.adopt(config, "a-ann", ANN)


def test_whoever_waits_is_told_of_what_is_on_record(desk: Desk) -> None:
    told: list[tuple[str, int]] = []

    def tell(name: str, version: int | None) -> None:
        assert desk.strategies.versions()[name] == version
        told.append((name, version))

    strategies = desk.strategies_telling(tell)
    strategies.create(new(), ANN)
    strategies.set_desired("one", "paused", ANN)
    strategies.set_parameters("one", {"allow_short": True}, ANN)
    strategies.restart("one", ANN)
    with pytest.raises(ChorusError):
        strategies.change("one", ANN, config={"fancy": 1})
    strategies.delete("one", ANN)
    assert told == [("one", version) for version in range(1, 6)]


@pytest.mark.parametrize("name", ["active", "files", "start", "types"])
def test_an_id_that_means_something_else_is_refused(desk: Desk, name: str) -> None:
    with pytest.raises(ChorusError, match="means something else in addresses"):
        desk.strategies.create(new(id=name), ANN)


CALLS: dict[str, Callable[[Desk, Any], object]] = {
    "change": lambda desk, caller: desk.strategies.change("one", caller, config={"priority": 1}),
    "restart": lambda desk, caller: desk.strategies.restart("one", caller),
    "get": lambda desk, caller: desk.strategies.get("one", caller),
    "pause": lambda desk, caller: desk.strategies.set_desired("one", "paused", caller),
    "update": lambda desk, caller: desk.strategies.set_parameters(
        "one", {"stop_loss": 0.1}, caller
    ),
    "delete": lambda desk, caller: desk.strategies.delete("one", caller),
}


@pytest.mark.parametrize("call", CALLS)
def test_another_users_strategy_is_not_there(desk: Desk, call: str) -> None:
    desk.strategies.create(new(), ANN)
    for caller in (BOB, EVE):
        with pytest.raises(NotFoundError, match="strategy 'one': there is none"):
            CALLS[call](desk, caller)
        assert desk.strategies.page(caller).items == []
    assert desk.strategies.get("one", ADMIN).version == 1


def test_who_may_only_look_changes_nothing(desk: Desk) -> None:
    with pytest.raises(ForbiddenError, match="needs the role trader or more"):
        desk.strategies.create(new(), EVE)
    with pytest.raises(ForbiddenError, match="needs the role trader or more"):
        desk.accounts.create("mine", {"USDT": Decimal(1)}, EVE)


def test_an_id_is_taken_for_good(desk: Desk) -> None:
    desk.strategies.create(new(), ANN)
    for _ in range(2):
        with pytest.raises(ConflictError, match="'one': the id is taken"):
            desk.strategies.create(new(account="a-bob"), BOB)
        if desk.strategies.page(ANN).items:
            desk.strategies.delete("one", ANN)
    with pytest.raises(NotFoundError):
        desk.strategies.set_desired("one", "running", ANN)


def test_what_is_wanted_changes_and_wanting_it_again_does_not(desk: Desk) -> None:
    desk.strategies.create(new(), ANN)
    desk.strategies.create(new(id="two"), ANN)
    paused = desk.strategies.set_desired("one", "paused", ANN)
    assert (paused.desired, paused.version) == ("paused", 2)
    assert desk.strategies.set_desired("one", "paused", ANN).version == 2
    desk.strategies.set_desired("two", "stopped", ANN)
    assert desk.strategies.versions() == {"one": 2, "two": 2}
    deployed = desk.strategies.deployed(["two", "one", "three"])
    assert [(row.id, account.id) for row, account in deployed] == [
        ("one", "a-ann"),
        ("two", "a-ann"),
    ]
    assert [s.id for s in desk.strategies.page(ANN, desired="stopped").items] == ["two"]


def test_parameters_change_while_it_runs_within_their_bounds(desk: Desk) -> None:
    rules = {
        "symbol": "BTC/USDT",
        "timeframe": "1m",
        "indicators": {"rsi": {"period": 14}},
        "rules": {"entry": {"condition": "rsi < floor"}, "exit": {"condition": "rsi > 70"}},
        "parameters": {"floor": 30},
    }
    desk.strategies.create(new(definition="builtin-rules", config=rules), ANN)
    changed = desk.strategies.set_parameters("one", {"floor": 25}, ANN)
    assert changed.config["parameters"] == {"floor": 25}
    for changes in ({"flour": 25}, {"floor": "x"}):
        with pytest.raises(ChorusError):
            desk.strategies.set_parameters("one", changes, ANN)
    assert desk.strategies.get("one", ANN).version == 2
    with pytest.raises(ConflictError, match="has version 2 by now, not 1"):
        desk.strategies.set_parameters("one", {"floor": 20}, ANN, if_version=1)


def test_parameters_the_engine_would_refuse_are_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = CATALOG.types["EMA_CROSS"].cls
    schema = plugin.get_parameters_schema()
    schema["properties"]["fast_period"]["x-updatable"] = True
    monkeypatch.setattr(plugin, "get_parameters_schema", lambda: schema)
    desk.strategies.create(new(), ANN)
    with pytest.raises(ConfigError, match="fast_period would change an indicator"):
        desk.strategies.set_parameters("one", {"fast_period": 6}, ANN)

    def specs(config: object, parameters: object) -> None:
        raise SystemExit("oops")

    monkeypatch.setattr(plugin, "indicator_specs", specs)
    with pytest.raises(ConfigError, match="parameters: could not start: SystemExit: oops"):
        desk.strategies.set_parameters("one", {"allow_short": True}, ANN)
    assert desk.strategies.get("one", ANN).version == 1


def test_of_many_changes_of_one_version_one_is_made(desk: Desk) -> None:
    desk.strategies.create(new(), ANN)

    def pause(_: int) -> bool:
        try:
            desk.strategies.set_desired("one", "paused", ANN, if_version=1)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(pause, range(8))) == 1


def test_of_parameters_changed_at_the_same_time_none_is_lost(desk: Desk) -> None:
    rules = {
        "symbol": "BTC/USDT",
        "timeframe": "1m",
        "indicators": {"rsi": {"period": 14}},
        "rules": {"entry": {"condition": "rsi < a"}, "exit": {"condition": "rsi > b + c + d"}},
        "parameters": {"a": 0, "b": 0, "c": 0, "d": 0},
    }
    desk.strategies.create(new(definition="builtin-rules", config=rules), ANN)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: desk.strategies.set_parameters("one", {name: 1}, ANN), "abcd"))
    found = desk.strategies.get("one", ANN)
    assert found.config["parameters"] == {"a": 1, "b": 1, "c": 1, "d": 1}
    assert found.version == 5


def test_one_that_others_follow_is_deleted_only_by_force(desk: Desk) -> None:
    desk.strategies.create(new(), ANN)
    with desk.store.write() as session:
        fields = {"strategy_id": "one", "capital": Decimal(10), "risk": {}, "created_ms": 0}
        session.add(
            Subscription(id="s1", owner_id="u-bob", account_id="a-bob", status="active", **fields)
        )
    with pytest.raises(ConflictError, match="1 subscriptions of others follow it"):
        desk.strategies.delete("one", ANN)
    assert desk.strategies.delete("one", ANN, is_forced=True).desired == "stopped"


def test_lists_come_in_pages_as_asked_for(desk: Desk) -> None:
    for number in range(7):
        desk.strategies.create(new(id=f"s{number}"), ANN)
    for sort in ("created", "-created", "id", "-id", "updated"):
        first = desk.strategies.page(ANN, sort=sort, limit=4)
        rest = desk.strategies.page(ANN, sort=sort, limit=4, after=first.next)
        ids = [s.id for s in (*first.items, *rest.items)]
        assert ids == sorted(ids, reverse=sort.startswith("-"))
        assert len(ids) == 7
    with pytest.raises(ChorusError, match="sort: must be one of"):
        desk.strategies.page(ANN, sort="config")


def test_every_change_is_in_the_audit_log_and_nothing_else(desk: Desk) -> None:
    desk.strategies.create(new(), ANN)
    desk.strategies.set_desired("one", "paused", ADMIN)
    for bad in (new(), new(id="x", account="nope")):
        with pytest.raises(ChorusError):
            desk.strategies.create(bad, ANN)
    desk.strategies.delete("one", ANN)
    with desk.store.read() as session:
        query = select(AuditEntry).where(AuditEntry.kind == "strategies").order_by(AuditEntry.id)
        entries = [(e.user_id, e.action, e.object_id) for e in session.scalars(query)]
        changes = [e.change for e in session.scalars(query)]
    assert entries == [
        ("u-ann", "create", "one"),
        ("u-admin", "update", "one"),
        ("u-ann", "delete", "one"),
    ]
    assert changes[1] == {"desired": ["running", "paused"]}
