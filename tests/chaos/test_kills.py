"""Processes of a running engine are killed; the ledger is that of the undisturbed backtest."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.config import RunConfig
from tests.chaos.saboteur import (
    KILLS,
    SEED,
    VICTIMS,
    Saboteur,
    assert_undisturbed,
    engine_of,
    expected_of,
    report_of,
)
from tests.processes import below


def test_any_process_may_be_killed_at_any_moment(config_of: Callable[[int], RunConfig]) -> None:
    config = config_of(max(3000, KILLS * 300))
    before = set(below())
    with engine_of(config) as engine:
        saboteur = Saboteur(engine, SEED)
        saboteur.play(KILLS)
        found = report_of(config, engine)
    assert sum(saboteur.killed.values()) == KILLS
    assert all(saboteur.killed.values()), saboteur.killed
    assert_undisturbed(found, expected_of(config))
    assert set(below()) <= before


@pytest.mark.parametrize("title", VICTIMS)
def test_each_kind_of_process_comes_back(title: str, config_of: Callable[[int], RunConfig]) -> None:
    config = config_of(1500)
    with engine_of(config) as engine:
        saboteur = Saboteur(engine, SEED)
        saboteur.await_progress()
        saboteur.kill_one(title)
        saboteur.await_progress()
        found = report_of(config, engine)
    assert_undisturbed(found, expected_of(config))
