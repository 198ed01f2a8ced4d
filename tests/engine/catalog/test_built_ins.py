"""What comes with Chorus can be deployed as it is, and is brought up to date without a trace."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from engine.access import Caller
from engine.backtest import run_backtest
from engine.catalog import Catalog, default_folders, discover
from engine.catalog.built_ins import built_ins, seed_built_ins
from engine.catalog.definitions import Change, Definitions, Draft
from engine.config import RunConfig
from engine.market import open_market
from engine.store import AuditEntry, DefinitionVersion, Store, User

ADMIN, ANN = Caller("u-admin", "admin"), Caller("u-ann", "trader")
CATALOG = discover(default_folders())
DRAFTS = {draft.key: draft for draft in built_ins(CATALOG)}
RULES = sorted(key for key, draft in DRAFTS.items() if draft.defaults)


@pytest.fixture
def definitions(store: Store) -> Definitions:
    clock = count(1_000)
    with store.write() as session:
        for caller in (ADMIN, ANN):
            session.add(
                User(id=caller.user_id, name=caller.user_id, role=caller.role, created_ms=0)
            )
    return Definitions(store, lambda: CATALOG, lambda: next(clock))


def test_every_built_in_type_and_some_rules_are_there(definitions: Definitions) -> None:
    keys = seed_built_ins(definitions, CATALOG)
    assert {"rules", "ema_cross", "mean_reversion", "momentum_breakout"} <= set(keys)
    assert {"macd_rsi", "bollinger_reversion", "donchian_breakout"} <= set(keys)
    for row in definitions.page(ANN).items:
        assert (row.visibility, row.owner_id, row.newest) == ("system", None, 1)
        assert row.name
        assert row.description


def test_seeding_again_changes_nothing(definitions: Definitions, store: Store) -> None:
    def traces() -> Any:
        with store.read() as session:
            rows = [(d.id, d.version, d.updated_ms) for d in definitions.page(ADMIN).items]
            entries = session.scalar(select(func.count()).select_from(AuditEntry))
            return rows, entries, session.scalar(select(func.count(DefinitionVersion.number)))

    seed_built_ins(definitions, CATALOG)
    definitions.enable("builtin-rules", ADMIN, is_enabled=False)
    before = traces()
    assert seed_built_ins(definitions, CATALOG) == []
    assert traces() == before


def test_what_an_admin_says_stays_until_chorus_says_something_new(
    definitions: Definitions,
) -> None:
    seed_built_ins(definitions, CATALOG)
    slower = {**DRAFTS["macd_rsi"].defaults, "timeframe": "1h"}
    definitions.update("builtin-macd_rsi", Change(defaults=slower), ADMIN)
    assert seed_built_ins(definitions, CATALOG) == []
    assert definitions.said("builtin-macd_rsi", ANN)[1].defaults == slower
    faster = {**DRAFTS["macd_rsi"].defaults, "timeframe": "5m"}
    newer = msgspec.structs.replace(DRAFTS["macd_rsi"], defaults=faster, name="New")
    assert definitions.seed([newer]) == ["macd_rsi"]
    row, version = definitions.said("builtin-macd_rsi", ANN)
    assert (row.newest, row.name, version.defaults) == (3, "New", faster)
    assert definitions.seed([newer]) == []


def test_a_users_definition_of_the_same_key_is_not_touched(definitions: Definitions) -> None:
    made = definitions.create(Draft(key="macd_rsi", strategy_type="EMA_CROSS"), ANN)
    assert "macd_rsi" not in seed_built_ins(definitions, CATALOG)
    assert definitions.get(made.id, ANN).version == 1


def test_engines_that_start_at_once_seed_once(definitions: Definitions) -> None:
    with ThreadPoolExecutor(4) as pool:
        seeded = list(pool.map(lambda _: seed_built_ins(definitions, CATALOG), range(4)))
    assert sorted(key for keys in seeded for key in keys) == sorted(DRAFTS)
    assert {row.newest for row in definitions.page(ADMIN).items} == {1}


def test_what_needs_a_type_that_is_not_there_is_left_out() -> None:
    types = {"EMA_CROSS": CATALOG.types["EMA_CROSS"]}
    assert [draft.key for draft in built_ins(Catalog(types, []))] == ["ema_cross"]


@pytest.mark.parametrize("key", RULES)
def test_the_defaults_are_those_the_schema_names(key: str) -> None:
    draft = DRAFTS[key]
    assert draft.schema is not None
    properties = draft.schema["properties"]
    named = {name: rule["default"] for name, rule in properties.items()}
    assert draft.defaults["parameters"] == named
    assert draft.schema["required"] == list(named)


def test_the_rules_trade_in_a_backtest() -> None:
    strategies = [
        {
            **DRAFTS[key].defaults,
            "id": key,
            "symbol": "BTC/USDT",
            "timeframe": "1m",
            "account": key,
        }
        for key in RULES
    ]
    market = {
        "synthetic": {
            "seed": 3,
            "candles": 6000,
            "symbols": [{"symbol": "BTC/USDT", "start_price": 30000, "annual_volatility": 0.9}],
        }
    }
    accounts = [{"id": key, "balances": {"USDT": 100_000}} for key in RULES]
    config = RunConfig.model_validate(
        {"name": "built-ins", "market": market, "accounts": accounts, "strategies": strategies}
    )
    market_of = open_market(config.market, config.wanted_streams)
    report = run_backtest(config, CATALOG, market_of)
    traded = {each.id: len(each.fills) for each in report.strategies}
    assert {each.status for each in report.strategies} == {"running"}
    assert set(traded) == set(RULES)
    assert all(count > 0 for count in traded.values()), traded
