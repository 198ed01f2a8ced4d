"""Two processes die at one moment, or one dies while the engine stops: still nothing is lost."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from actors.engine import RunningEngine
from engine.config import RunConfig
from tests.chaos.saboteur import (
    IS_LONG,
    KILLS,
    SEED,
    Saboteur,
    assert_undisturbed,
    engine_of,
    expected_until,
    report_of,
)
from tests.processes import below

DEDICATED = "ray::StrategyActor"
POOLED = "ray::StrategyHost"
ORDERS = "ray::OrderManagerActor"
MARKET = "ray::MarketDataActor"
MANAGER = "ray::StrategyManager"

CANDLES = 100_000
"""More than can be played; each test stops the engine itself."""

TRADING = 100
"""A slice by which every strategy is past its warm-up and trades."""

ROUNDS = max(1, KILLS // 50)
"""Runs of each test, each with another seed."""

seeds = pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))

ConfigOf = Callable[[int], RunConfig]


def verdict(config: RunConfig, engine: RunningEngine) -> None:
    """Check that what was decided by the end is what an undisturbed run decides."""
    found = report_of(config, engine)
    decided = engine.client.status().slice_number
    assert 0 < decided < CANDLES - 1
    assert_undisturbed(found, expected_until(config, decided))


SERVICES = [(ORDERS, MARKET), *itertools.product((ORDERS, MARKET), (DEDICATED, POOLED))]
WITH_MANAGER = [(MANAGER, other) for other in (ORDERS, MARKET, DEDICATED, POOLED)]


@seeds
def test_two_processes_die_at_once(seed: int, config_of: ConfigOf) -> None:
    config = config_of(CANDLES)
    before = {each.pid for each in below()}
    with engine_of(config) as engine:
        saboteur = Saboteur(engine, seed)
        saboteur.await_slice(TRADING)
        for pair in (*saboteur.choose(SERVICES, 2), *saboteur.choose(WITH_MANAGER, 1)):
            saboteur.pause()
            saboteur.kill_at_once(*pair)
            saboteur.await_progress()
        engine.client.stop_engine()
        verdict(config, engine)
    assert {each.pid for each in below()} <= before


@seeds
def test_a_host_dies_while_another_one_is_recovering(seed: int, config_of: ConfigOf) -> None:
    config = config_of(CANDLES)
    with engine_of(config) as engine:
        saboteur = Saboteur(engine, seed)
        saboteur.await_slice(TRADING)
        kinds = itertools.product((DEDICATED, POOLED), repeat=2)
        for first, second in saboteur.choose(kinds, 2):
            victim = saboteur.kill_one(first)
            saboteur.await_successor(first, victim)
            saboteur.kill_one(second)
            saboteur.await_progress()
        engine.client.stop_engine()
        verdict(config, engine)


DRAINING = [(ORDERS, POOLED), (MARKET,), (MANAGER,), (DEDICATED,), (ORDERS, MARKET)]
"""The first always, the others in a longer session."""


@seeds
@pytest.mark.parametrize("victims", DRAINING if IS_LONG else DRAINING[:1])
def test_a_process_dies_while_the_engine_stops(
    seed: int, victims: tuple[str, ...], config_of: ConfigOf
) -> None:
    config = config_of(CANDLES)
    with engine_of(config) as engine:
        saboteur = Saboteur(engine, seed)
        saboteur.await_slice(TRADING)
        saboteur.kill_while_stopping(*victims)
        verdict(config, engine)
