"""Processes of a running engine are killed; the ledger is that of the undisturbed backtest."""

from __future__ import annotations

from collections.abc import Callable

from engine.config import RunConfig
from tests.chaos.saboteur import (
    KILLS,
    SEED,
    Saboteur,
    assert_undisturbed,
    engine_of,
    expected_until,
    report_of,
)
from tests.processes import below


def test_any_process_may_be_killed_at_any_moment(config_of: Callable[[int], RunConfig]) -> None:
    candles = max(30_000, KILLS * 1_000)  # more than can be played, however busy the machine is
    config = config_of(candles)
    before = set(below())
    with engine_of(config) as engine:
        saboteur = Saboteur(engine, SEED)
        saboteur.play(KILLS)
        engine.client.stop_engine()
        found = report_of(config, engine)
        decided = engine.client.status().slice_number
    assert sum(saboteur.killed.values()) == KILLS
    assert all(saboteur.killed.values()), saboteur.killed
    assert decided < candles - 1
    assert_undisturbed(found, expected_until(config, decided))
    assert set(below()) <= before
