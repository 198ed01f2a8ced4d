"""What is kept of a report is bounded, says what it leaves out, and keeps its figures."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backtest import Backtest, digest, run_backtest
from engine.backtest.digest import CURVE_POINTS, KEPT_RECORDS, MAX_REPORT_BYTES, thinned
from engine.catalog import default_folders, discover
from engine.market import open_market
from engine.report import RunReport
from tests.conftest import build_run, build_strategy
from tests.examples import examples

CATALOG = discover(default_folders())


@pytest.fixture(scope="module")
def played() -> tuple[RunReport, dict[str, Any]]:
    config = build_run(
        [build_strategy(0), build_strategy(1), build_strategy(2, enabled=False)], candles=1000
    )
    curves: dict[str, Any] = {}

    def keep(backtest: Backtest) -> None:
        for name, instance in backtest.instances.items():
            curves[name] = instance.equity_curve()

    market = open_market(config.market, config.wanted_streams)
    return run_backtest(config, CATALOG, market, on_end=keep), curves


def test_a_small_report_is_kept_whole(played: tuple[RunReport, dict[str, Any]]) -> None:
    report, _ = played
    found = json.loads(digest(report, {}).report)
    whole = json.loads(report.to_json())
    for strategy in found["strategies"]:
        assert strategy.pop("left_out") == {"signals": 0, "orders": 0, "fills": 0}
        assert strategy.pop("equity_curve") == []
    assert whole["strategies"][0]["fills"]
    assert found == whole


def test_the_curve_ends_where_the_strategy_ended(played: tuple[RunReport, dict[str, Any]]) -> None:
    report, curves = played
    kept = digest(report, curves)
    for strategy, figures in zip(
        json.loads(kept.report)["strategies"], json.loads(kept.summary)["strategies"], strict=True
    ):
        curve = strategy["equity_curve"]
        assert len(curve) <= CURVE_POINTS
        if strategy["id"] in curves:
            assert len(curve) > CURVE_POINTS / 3
            metrics = strategy["metrics"]
            assert curve[-1] == [metrics["last_update"], metrics["equity"]]
            assert [tuple(point) for point in curve[:-1]] == sorted(
                {tuple(point) for point in curve[:-1]} & set(curves[strategy["id"]])
            )
            assert figures["metrics"]["sharpe"] == strategy["metrics"]["sharpe"]


def test_too_much_of_it_is_left_out_and_counted(played: tuple[RunReport, dict[str, Any]]) -> None:
    report, curves = played
    first = report.strategies[0]
    fills = [{"n": n, "text": "x" * 1_000} for n in range(20_000)]
    fields = {name: getattr(first, name) for name in first.__struct_fields__}
    long = type(first)(**{**fields, "fills": fills, "trace": "y" * 10_000})
    fields = {name: getattr(report, name) for name in report.__struct_fields__}
    huge = type(report)(**{**fields, "strategies": 10 * [long]})
    text = digest(huge, curves).report
    assert len(text) <= MAX_REPORT_BYTES
    kept = json.loads(text)["strategies"][0]
    assert 0 < len(kept["fills"]) < KEPT_RECORDS
    assert kept["fills"][-1]["n"] == 19_999
    assert kept["left_out"]["fills"] == 20_000 - len(kept["fills"])
    assert len(kept["trace"]) == 4_000
    assert kept["ledger_sha256"] == first.ledger_sha256


@examples(200)
@given(length=st.integers(0, 3_000), points=st.integers(0, 700))
def test_a_thinned_curve_is_even_and_keeps_its_end(length: int, points: int) -> None:
    curve = [(n, float(n)) for n in range(length)]
    kept = thinned(curve, points)
    assert len(kept) <= points
    if length and points:
        assert kept[-1] == curve[-1]
        assert len({b[0] - a[0] for a, b in pairwise(kept)}) <= 1
        assert len(kept) > min(points, length) // 2
