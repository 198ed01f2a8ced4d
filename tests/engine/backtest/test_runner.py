"""The sequential run: what it contains, what it says while it goes on and at its end."""

from __future__ import annotations

import gc
import hashlib
from typing import Any

import pytest

from engine.backtest import Backtest, run_backtest
from engine.catalog import Catalog, default_folders, discover
from engine.config import RunConfig
from engine.market import Market, open_market
from engine.status import EngineStatus

PLUGIN = """
from engine.errors import StrategyError
from strategies import Strategy, StrategyMetadata


class Plugin(Strategy):
    metadata = StrategyMetadata(type="{type}")

    def {method}:
        {body}

    def on_candle(self, candle):
        if candle.seq % 50 == 20:
            self.services.order.buy()
        elif candle.seq % 50 == 40:
            self.services.order.close()
"""

PLUGINS = {
    "BUYER": ("on_tick(self, tick)", "pass"),
    "RAISES": ("__init__(self)", 'raise ValueError("no model")'),
    "REFUSES": ("__init__(self)", 'raise StrategyError("no model")'),
    "EXITS": ("__init__(self)", "raise SystemExit(3)"),
    "NO_INIT": ("on_init(self, services)", 'raise ValueError("no model")'),
}

CANDLES = 5000
STATUS_EVERY = 4096


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = tmp_path_factory.mktemp("plugins")
    for name, (method, body) in PLUGINS.items():
        source = PLUGIN.format(type=name, method=method, body=body)
        (folder / f"{name.lower()}.py").write_text(source)
    return discover([*default_folders(), folder])


def a_run(*types: str, **changes: Any) -> RunConfig:
    """Return a run of one strategy per type, named after it, on a synthetic market."""
    market = {"synthetic": {"symbols": [{"symbol": "A/USDT"}], "candles": CANDLES, "seed": 3}}
    common = {"symbol": "A/USDT", "timeframe": "1m", **changes}
    return RunConfig.model_validate(
        {
            "market": market,
            "strategies": [{"id": name.lower(), "type": name, **common} for name in types],
        }
    )


def market_of(config: RunConfig) -> Market:
    return open_market(config.market, config.wanted_streams)


@pytest.mark.parametrize(
    ("broken", "cause"),
    [
        ("RAISES", "could not start: ValueError: no model"),
        ("REFUSES", "could not start: no model"),
        ("EXITS", "could not start: SystemExit: 3"),
    ],
)
def test_a_strategy_that_cannot_be_built_ends_in_error_and_the_others_play_on(
    catalog: Catalog, broken: str, cause: str
) -> None:
    config = a_run(broken, "BUYER")
    seen: list[EngineStatus] = []
    report = run_backtest(config, catalog, market_of(config), on_status=seen.append)
    failed, played = report.strategies
    assert (failed.status, failed.cause, failed.candles) == ("error", cause, 0)
    assert failed.metrics is None
    assert failed.signals == failed.orders == failed.fills == []
    assert (played.status, played.candles) == ("running", CANDLES)
    alone = run_backtest(a_run("BUYER"), catalog, market_of(config)).strategies[0]
    assert played.fills == alone.fills != []
    assert [(line.status, line.cause) for line in seen[-1].strategies] == [
        ("error", cause),
        ("running", ""),
    ]


def test_a_strategy_that_cannot_be_built_is_withdrawn_with_the_cause_in_the_ledger(
    catalog: Catalog,
) -> None:
    config = a_run("RAISES")
    backtest = Backtest(config, catalog, market_of(config))
    ledger = backtest.manager.ledger
    assert ledger.sha256_of("raises") != hashlib.sha256().hexdigest()
    before = ledger.sha256()
    backtest.manager.withdraw("raises", "once more")
    assert ledger.sha256() == before, "it was not withdrawn before"


def test_a_strategy_whose_on_init_raises_ends_in_error_too(catalog: Catalog) -> None:
    config = a_run("NO_INIT", "BUYER")
    failed, played = run_backtest(config, catalog, market_of(config)).strategies
    assert failed.status == "error"
    assert "no model" in failed.cause
    assert played.fills


def test_a_strategy_that_is_switched_off_is_not_built(catalog: Catalog) -> None:
    config = a_run("RAISES", enabled=False)
    backtest = Backtest(config, catalog, open_market(config.market, ["paper:A/USDT:1m"]))
    assert [status.status for status in backtest.statuses()] == ["created"]


def test_the_last_status_tells_the_last_slice_and_all_candles(catalog: Catalog) -> None:
    config = a_run("BUYER")
    seen: list[EngineStatus] = []
    run_backtest(config, catalog, market_of(config), on_status=seen.append)
    assert [(s.phase, s.slice_number, s.candles) for s in seen] == [
        ("running", STATUS_EVERY - 1, STATUS_EVERY),
        ("done", CANDLES - 1, CANDLES),
    ]


def test_a_run_that_is_stopped_says_how_far_it_came(catalog: Catalog) -> None:
    config = a_run("BUYER")
    seen: list[EngineStatus] = []
    report = run_backtest(
        config, catalog, market_of(config), on_status=seen.append, stop=lambda: True
    )
    assert report.stopped_early
    assert report.candles == STATUS_EVERY
    assert (seen[-1].slice_number, seen[-1].candles) == (STATUS_EVERY - 1, STATUS_EVERY)


@pytest.mark.parametrize("before", [0, 1000])
def test_the_collector_is_left_as_it_was_even_if_the_run_is_interrupted(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    config, frozen = a_run("BUYER"), [before]
    monkeypatch.setattr(gc, "get_freeze_count", lambda: frozen[-1])
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(9000))
    monkeypatch.setattr(gc, "unfreeze", lambda: frozen.append(0))

    def interrupt(_status: EngineStatus) -> None:
        assert frozen[-1] == 9000
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_backtest(config, catalog, market_of(config), on_status=interrupt)
    assert bool(frozen[-1]) is bool(before)
