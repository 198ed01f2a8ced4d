"""Workloads are what their parameters say."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.recovery import PAUSE_S, TIMEOUT_S, VICTIMS, await_true
from benchmarks.workloads import KINDS, STRETCHES, pooled_strategies
from engine.errors import ChorusError


@pytest.mark.parametrize("kind", KINDS)
def test_pooled_strategies_share_hosts_and_are_spread_over_the_symbols(kind: str) -> None:
    run = pooled_strategies(120, symbols=40, candles=5, hosts=2, kind=kind)
    assert {run.isolation_of(strategy) for strategy in run.strategies} == {"pooled"}
    assert run.placement.hosts_or_default == 2
    assert set(Counter(strategy.symbol for strategy in run.strategies).values()) == {3}
    assert len(run.wanted_streams) == 40


@pytest.mark.parametrize(("kind", "lengths"), [("idle", 1), ("same", 1), ("own", STRETCHES)])
def test_only_those_that_act_at_their_own_time_differ_in_their_indicators(
    kind: str, lengths: int
) -> None:
    run = pooled_strategies(2 * STRETCHES, symbols=1, candles=5, hosts=2, kind=kind)
    assert len({str(strategy.indicators) for strategy in run.strategies}) == lengths
    rules = {str(strategy.rules) for strategy in run.strategies}
    assert ["rsi > 101" in rule for rule in rules] == [kind == "idle"]


@pytest.mark.parametrize("kind", VICTIMS)
def test_the_feed_outlasts_all_kills(kind: str) -> None:
    victim, kills = VICTIMS[kind], 2
    market = victim.config(kills).market
    assert market.synthetic is not None
    assert market.speed == 60 * victim.pace
    left_s = (market.synthetic.candles - victim.history) / victim.pace
    assert left_s >= kills * (TIMEOUT_S + PAUSE_S)


def test_what_never_comes_true_is_reported_with_the_time_it_was_given() -> None:
    await_true(lambda: True, "so", 0.0)
    with pytest.raises(ChorusError, match=r"not back within 0 s"):
        await_true(lambda: False, "back", 0.0)
