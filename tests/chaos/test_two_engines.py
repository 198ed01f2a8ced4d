"""Two engines on one store: each interval of each strategy is executed once, whoever is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.two_engines import STRATEGIES, play


@pytest.mark.slow
def test_each_interval_is_executed_once_while_leaders_are_killed(tmp_path: Path) -> None:
    outcome = play(tmp_path, kills=2, between=60)
    assert outcome.gaps() == []
    assert {row[0] for row in outcome.executions} == set(STRATEGIES)
    assert len({row[:2] for row in outcome.executions}) == len(outcome.executions)
    # What is on record is what the run's journal gives when it is played in one go.
    assert outcome.executions == outcome.replayed
    assert outcome.fills == outcome.replayed_fills
    assert len(outcome.workers) == 3
    assert {"success", "no_signal"} <= {row[2] for row in outcome.executions}
