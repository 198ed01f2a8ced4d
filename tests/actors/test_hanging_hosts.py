"""Strategies that do not come back while something is asked of them: nothing else waits."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from actors.deployment import Deployment
from actors.engine import running_engine
from engine.catalog import default_folders, discover
from engine.config import RunConfig, StrategyConfig
from tests.actors.control import Control

WAITS = """
import os

from strategies import Strategy, StrategyMetadata


class Waits(Strategy):
    metadata = StrategyMetadata(type="WAITS")

    @classmethod
    def get_parameters_schema(cls):
        return {
            "type": "object",
            "properties": {
                "gate": {"type": "string"},
                "pace": {"type": "integer", "default": 1, "x-updatable": True},
            },
        }

    def on_init(self, services):
        self.seen, self.said = 0, 0

    def on_candle(self, candle):
        self.seen += 1
        if self.seen >= 50 and os.path.exists(self.parameters["gate"]):
            with open(self.parameters["gate"]) as gate:
                gate.read()  # until whoever writes has closed it
        if self.parameters["pace"] != self.said:
            self.said = self.parameters["pace"]
            self.services.log.info(f"pace {self.said}")
"""

HANG = ("one", "two")
GOES = "three"


class Gate:
    """A pipe a strategy reads from once it is there; it hangs until this is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def shut(self) -> None:
        os.mkfifo(self.path)

    def await_strategy(self, control: Control) -> None:
        """Wait until it hangs."""
        while True:
            try:
                self._end = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # nobody reads yet
                assert not control.engine.wait(0.02), "the feed ended too early"
            else:
                return

    def open(self) -> None:
        """Let it go on; it does not hang again."""
        self.path.unlink()
        os.close(self._end)


def a_waiting_one(name: str, gate: Gate) -> dict[str, object]:
    return {
        "id": name,
        "type": "WAITS",
        "symbol": "AAA/USDT",
        "timeframe": "1m",
        "parameters": {"gate": str(gate.path)},
    }


def test_nobody_waits_for_strategies_that_hang_while_something_is_asked_of_them(
    a_run: Callable[..., RunConfig], a_strategy: Callable[..., dict[str, object]], tmp_path: Path
) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    gates = {name: Gate(tmp_path / name) for name in (*HANG, GOES)}
    hanging = [a_waiting_one(name, gate) for name, gate in gates.items()]
    config = a_run(
        [*hanging, a_strategy(0), a_strategy(3), a_strategy(6)],
        candles=20_000,
        market={"speed": 60 * 100},
        # They are waited for: nobody ends their processes, however long they hang.
        arbitration={"windowMs": 600_000},
    )
    catalog = discover([*default_folders(), tmp_path])
    strategies = {strategy.id: strategy for strategy in config.strategies}

    def deployment(strategy: StrategyConfig, desired: str = "running") -> Deployment:
        return Deployment(
            config=strategy,
            account=config.accounts[0],
            plugin_file=str(catalog.types[strategy.type].file),
            desired=desired,  # type: ignore[arg-type]  # one of those there are
            generation=0,
        )

    changed = [
        deployment(
            strategies[name].model_copy(
                update={"parameters": {**strategies[name].parameters, "pace": 2}}
            )
        )
        for name in HANG
    ]
    with running_engine(config, catalog) as engine, ThreadPoolExecutor() as elsewhere:
        client, control = engine.client, Control(engine)
        for gate in gates.values():
            gate.shut()
        for gate in gates.values():
            gate.await_strategy(control)
        stopping = elsewhere.submit(client.stop, GOES)
        refused = client.deploy([*changed, deployment(strategies["s0"], "paused")])
        assert refused.keys() == set(HANG)
        assert all("change as soon as it does" in why for why in refused.values())
        # What was asked of them is still under way, and they hang until the gates are opened.
        control.until("s0", "paused")
        client.pause("s3")
        assert client.deploy([deployment(strategies["s6"], "paused")]) == {}
        control.until("s6", "paused")
        stopping.result(60)
        control.until(GOES, "stopped")
        for gate in gates.values():
            gate.open()
        while client.deploy(changed):
            assert not engine.wait(0.02), "the feed ended too early"
        said: set[tuple[str, str]] = set()
        while {(name, "pace 2") for name in HANG} - said:
            said |= {(line.instance, line.text) for line in client.said(0)[1]}
            assert not engine.wait(0.02), "the feed ended too early"
        client.pause("one")
        control.until("one", "paused")


def test_who_comes_back_after_it_was_given_up_has_its_changed_parameters(
    a_run: Callable[..., RunConfig], tmp_path: Path
) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    gate = Gate(tmp_path / "gate")
    config = a_run(
        [a_waiting_one("one", gate)],
        candles=20_000,
        market={"speed": 60 * 20},
        arbitration={"windowMs": 1500},
    )

    with running_engine(config, discover([*default_folders(), tmp_path])) as engine:
        client, control = engine.client, Control(engine)
        control.until("one", "running")
        client.update("one", {"pace": 2})

        def await_lines(*expected: str) -> None:
            while len(lines := [line.text for line in client.said(0)[1]]) < len(expected):
                assert not engine.wait(0.02), "the feed ended too early"
            assert tuple(lines) == expected

        await_lines("pace 1", "pace 2")
        gate.shut()
        gate.await_strategy(control)
        while not sum(process.restarts for process in client.health().processes):
            assert not engine.wait(0.02), "the feed ended too early"
        gate.open()
        await_lines("pace 1", "pace 2", "pace 2")
