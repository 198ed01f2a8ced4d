"""What an engine says of its own processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from actors.engine import RunningEngine, running_engine
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.status import ProcessStatus


def found(engine: RunningEngine) -> dict[str, ProcessStatus]:
    return {each.id: each for each in engine.client.health().processes}


def test_every_process_is_told_of_and_a_killed_one_as_started_again(
    a_run: Callable[..., RunConfig], a_strategy: Callable[..., dict[str, object]]
) -> None:
    members = [a_strategy(0), a_strategy(1, isolation="pooled"), a_strategy(2, isolation="pooled")]
    config = a_run(
        members,
        candles=100_000,
        timeframes=("1m", "1m"),
        placement={"hosts": 1},
        market={"speed": 600},
    )
    with running_engine(config, discover(default_folders())) as engine:
        health = engine.client.health()
        before = found(engine)
        assert (health.failure, health.is_feed_over) == ("", False)
        kinds = {each.kind: each for each in before.values()}
        assert set(kinds) == {"manager", "market-data", "order-manager", "dedicated", "pooled"}
        assert (kinds["pooled"].strategies, kinds["dedicated"].strategies) == (2, 1)
        for each in before.values():
            assert (each.state, each.restarts, each.cause) == ("running", 0, "")
            assert each.memory_bytes > 10_000_000
            assert each.cpu_s > 0
        assert len({each.process for each in before.values()}) == len(before)
        victims = ("s0", "market-data")
        for name in victims:
            os.kill(before[name].process, signal.SIGKILL)
        for _ in range(300):
            now = found(engine)
            if all(now[name].restarts and now[name].state == "running" for name in victims):
                break
            assert not engine.wait(0.1)
        else:
            pytest.fail(f"they have not come back: {now}")
        assert {now[name].restarts for name in victims} == {1}
        assert all(now[name].process != before[name].process for name in victims)
        assert now["order-manager"].restarts == 0
