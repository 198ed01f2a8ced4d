"""A strategy that floods the order manager, and a slow one, among others: nobody else notices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from actors.engine import run_engine
from engine.backtest import run_backtest
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.market import open_market
from engine.report import RunReport, StrategyReport

FLOODS = """
from strategies import Strategy, StrategyMetadata


class Floods(Strategy):
    metadata = StrategyMetadata(type="FLOODS")

    def on_candle(self, candle):
        order = self.services.order
        for number in range(50):
            order.buy(quantity=0.01) if number % 2 else order.sell(quantity=0.01)
        order.close()
"""

CRAWLS = """
import time

from strategies import Strategy, StrategyMetadata


class Crawls(Strategy):
    metadata = StrategyMetadata(type="CRAWLS")

    def on_candle(self, candle):
        time.sleep(0.02)  # what makes it slow, with the processor left to its neighbours
"""

CANDLES = 300
RATE = "max_signals_per_minute"


def backtest(config: RunConfig, folders: list[Path]) -> RunReport:
    market = open_market(config.market, config.wanted_streams)
    return run_backtest(config, discover(folders), market)


def assert_same(was: StrategyReport, should: StrategyReport) -> None:
    assert was.status == should.status == "running", was.cause
    assert was.ledger_sha256 == should.ledger_sha256
    assert was.metrics == should.metrics
    assert was.candles == should.candles


def test_floods_and_slowness_change_nobody_elses_ledger(
    a_run: Callable[..., RunConfig], a_strategy: Callable[..., dict[str, object]], tmp_path: Path
) -> None:
    (tmp_path / "floods.py").write_text(FLOODS)
    (tmp_path / "crawls.py").write_text(CRAWLS)
    folders = [*default_folders(), tmp_path]
    good = [
        *(a_strategy(number) for number in (0, 5)),
        *(a_strategy(number, isolation="pooled") for number in (1, 6)),
    ]
    one = {"symbol": "AAA/USDT", "timeframe": "1m", "account": "others"}
    flooding = [
        {"id": "floods", "type": "FLOODS", **one},
        {"id": "limited", "type": "FLOODS", "risk": {"maxSignalsPerMinute": 3}, **one},
        {"id": "pooled", "type": "FLOODS", "isolation": "pooled", **one},
    ]
    crawling = [
        {"id": "crawls", "type": "CRAWLS", **one},
        {"id": "crawls_pooled", "type": "CRAWLS", "isolation": "pooled", **one},
    ]
    accounts = [{"id": each, "balances": {"USDT": 100_000}} for each in ("paper", "others")]
    settings = {
        "accounts": accounts,
        "placement": {"hosts": 1},
        "candles": CANDLES,
        "timeframes": ("1m", "1m"),
    }
    report = run_engine(a_run([*good, *flooding, *crawling], **settings), discover(folders))
    found = {strategy.id: strategy for strategy in report.strategies}
    for strategy in backtest(a_run(good, **settings), folders).strategies:
        assert_same(found[strategy.id], strategy)
        assert len(strategy.fills) > 1
    # What never wants anything leaves nothing in the ledger, however long it takes to say so.
    together = backtest(a_run([*good, *flooding], **settings), folders)
    assert report.ledger_sha256 == together.ledger_sha256
    for strategy in together.strategies:
        assert_same(found[strategy.id], strategy)
    for name in ("crawls", "crawls_pooled"):
        assert found[name].status == "running"
        assert found[name].candles == CANDLES
    codes = {
        name: Counter(signal["code"] for signal in found[name].signals)
        for name in ("floods", "limited")
    }
    assert RATE not in codes["floods"]
    assert codes["limited"][RATE] == CANDLES * 47
    metrics = found["limited"].metrics
    assert metrics is not None
    assert metrics["rejected"][RATE] == CANDLES * 47
    assert RATE in metrics["violated_limits"]
