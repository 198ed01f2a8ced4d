"""Whatever is on record reaches the engine, whatever fails on the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from actors.deployment import Deployment
from actors.services import ServiceAwayError
from api.service.deployer import Deployer
from api.service.kept_code import KeptCode
from engine.catalog import Catalog, discover
from engine.deployments import NewStrategy
from engine.errors import ChorusError, PluginError
from engine.store import Strategy
from tests.engine.deployments.conftest import ANN, CATALOG, Desk, desk
from tests.examples import examples

__all__ = ["desk"]

EMA = {"symbol": "BTC/USDT", "timeframe": "15m", "parameters": {"fast_period": 5}}


class Engine:
    """Takes what it is told, or fails as it is told to."""

    def __init__(self) -> None:
        self.known: dict[str, Deployment] = {}
        self.calls: list[list[str]] = []
        self.is_away = False
        self.dies_after = False
        self.refused: dict[str, str] = {}

    def deploy(self, deployments: Sequence[Deployment]) -> dict[str, str]:
        if self.is_away:
            raise ServiceAwayError("strategy manager: away")
        self.calls.append([each.config.id for each in deployments])
        for each in deployments:
            if each.config.id not in self.refused:
                self.known[each.config.id] = each
        if self.dies_after:
            raise ServiceAwayError("strategy manager: no answer")
        return {name: why for name, why in self.refused.items() if name in self.calls[-1]}


class Bench:
    """A deployer between a store and an engine."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self.desk = desk
        self.engine = Engine()
        self.catalog = CATALOG
        self.kept = KeptCode(folder)
        self.noted: list[int] = []
        self.deployer = self.another()

    def another(self) -> Deployer:
        return Deployer(
            self.desk.strategies,
            lambda: self.catalog,
            self.engine.deploy,
            keep=self.kept.keep,
            on_news=self.news,
        )

    def news(self) -> None:
        """Note how much the engine had been told when there was news."""
        self.noted.append(len(self.engine.calls))

    def create(self, name: str) -> None:
        new = NewStrategy(id=name, definition="builtin-ema_cross", account="a-ann", config=EMA)
        self.desk.strategies.create(new, ANN)

    def assert_brought_about(self) -> None:
        for name in self.desk.strategies.versions():
            row, account = self.desk.strategies.deployed([name])[0]
            known = self.engine.known.get(name)
            assert known is not None
            assert known.config.model_dump() == (
                known.config.model_validate(row.config).model_dump()
            )
            assert (known.desired, known.generation) == (row.desired, row.generation)
            assert known.account.id == account.id


@pytest.fixture
def bench(desk: Desk, tmp_path: Path) -> Bench:
    return Bench(desk, tmp_path / "code")


def test_all_is_told_once(bench: Bench) -> None:
    for name in ("one", "two"):
        bench.create(name)
    bench.deployer.round()
    bench.deployer.round()
    assert bench.engine.calls == [["one", "two"]]
    bench.desk.strategies.set_desired("two", "paused", ANN)
    bench.deployer.round()
    assert bench.engine.calls[1:] == [["two"]]
    assert bench.noted == [0, 1]  # before it was told, and only then
    bench.assert_brought_about()


def test_what_is_deleted_is_told_to_stop(bench: Bench) -> None:
    bench.create("one")
    bench.deployer.round()
    bench.desk.strategies.delete("one", ANN)
    bench.deployer.round()
    assert bench.engine.known["one"].desired == "stopped"


def test_a_refusal_is_known_and_tried_again_without_holding_up_others(bench: Bench) -> None:
    for name in ("one", "two"):
        bench.create(name)
    bench.engine.refused = {"one": "no data"}
    bench.deployer.round()
    assert (bench.deployer.refusal("one"), bench.deployer.refusal("two")) == ("no data", "")
    bench.engine.refused = {}
    bench.deployer.round()
    assert bench.deployer.refusal("one") == ""
    assert bench.engine.calls == [["one", "two"], ["one"]]


def test_one_that_another_version_wrote_does_not_hold_up_others(bench: Bench) -> None:
    for name in ("one", "two"):
        bench.create(name)
    with bench.desk.store.write() as session:
        session.get_one(Strategy, "one").config = {"id": "one", "fancy": 1}
    bench.deployer.round()
    assert list(bench.engine.known) == ["two"]
    assert "config.fancy: " in bench.deployer.refusal("one")


def test_a_type_that_has_gone_is_said_and_its_strategy_can_still_be_stopped(bench: Bench) -> None:
    bench.create("one")
    bench.catalog = Catalog({}, [])
    bench.deployer.round()
    assert "strategy type 'EMA_CROSS' is not there any more" in bench.deployer.refusal("one")
    bench.desk.strategies.set_desired("one", "stopped", ANN)
    bench.deployer.round()
    assert bench.engine.known["one"].desired == "stopped"
    assert bench.deployer.refusal("one") == ""


_CHANGES = ("create", "pause", "run", "stop", "update", "restart", "delete")
_EVENTS = ("round", "away", "back", "dies", "lives", "refuse", "accept", "another")
# Which strategy: a number, because how many there are follows from the examples before.
STEPS = st.lists(st.tuples(st.sampled_from([*_CHANGES, *_EVENTS]), st.integers(0, 99)), max_size=25)


@given(steps=STEPS)
@examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_the_end_the_engine_has_what_is_on_record(
    bench: Bench, steps: list[tuple[str, int]]
) -> None:
    bench.engine = engine = Engine()
    bench.deployer = bench.another()
    strategies = bench.desk.strategies

    def tell() -> None:
        bench.deployer.round()

    which: int = 0

    def some() -> str:
        names = sorted(strategies.versions()) or ["none"]
        return names[which % len(names)]

    calls = {
        "create": lambda: bench.create(f"s{len(strategies.versions())}"),
        "pause": lambda: strategies.set_desired(some(), "paused", ANN),
        "run": lambda: strategies.set_desired(some(), "running", ANN),
        "stop": lambda: strategies.set_desired(some(), "stopped", ANN),
        "update": lambda: strategies.set_parameters(some(), {"allow_short": True}, ANN),
        "restart": lambda: strategies.restart(some(), ANN),
        "delete": lambda: strategies.delete(some(), ANN),
        "round": tell,
        "away": lambda: setattr(engine, "is_away", True),
        "back": lambda: setattr(engine, "is_away", False),
        "dies": lambda: setattr(engine, "dies_after", True),
        "lives": lambda: setattr(engine, "dies_after", False),
        "refuse": lambda: engine.refused.update({some(): "no"}),
        "accept": engine.refused.clear,
        "another": lambda: setattr(bench, "deployer", bench.another()),
    }

    for step, which in steps:  # noqa: B007 - `some` reads it
        try:
            calls[step]()
        except ChorusError:
            continue
    engine.is_away = engine.dies_after = False
    engine.refused.clear()
    bench.deployer.round()
    bench.assert_brought_about()


def test_kept_code_is_found_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    copy = KeptCode(Path("kept")).keep(CATALOG.types["EMA_CROSS"])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert copy.exists()


def test_code_is_kept_as_it_was_when_it_was_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "types"
    folder.mkdir()
    file = folder / "mine.py"
    text = (
        "from strategies import Strategy, StrategyMetadata\n\n\n"
        'class Mine(Strategy):\n    metadata = StrategyMetadata(type="MINE")\n\n'
        "    def on_candle(self, candle):\n        pass\n"
    )
    file.write_text(text)
    kept = KeptCode(tmp_path / "kept")
    loaded = discover([folder]).types["MINE"]
    copy = kept.keep(loaded)
    file.write_text(text + "\n# edited\n")
    assert kept.keep(loaded) == copy
    assert copy.read_text() == text
    other = discover([folder]).types["MINE"]
    file.write_text(text + "\n# edited again\n")
    with pytest.raises(PluginError, match="has changed since it was looked at"):
        kept.keep(other)
