"""What the reporter makes of what it hears: lines, and alerts that ring once."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from msgspec.structs import replace

from api.server.system import SystemStatus
from api.service.overhearing import OverheardLog
from api.service.reporter import Reporter
from api.service.sparing import Sparing
from engine.access import Caller
from engine.alerts import Alerts
from engine.deployments import NewStrategy
from engine.deployments.ownership import Ownership
from engine.errors import ChorusError, LifecycleError, StoreError
from engine.events import MemoryEventLog
from engine.instance import SaidLine
from engine.logs import StrategyLogs
from engine.recording import RecordingStatus
from engine.status import EngineHealth, ProcessStatus, StrategyStatus
from tests.engine.deployments.conftest import ADMIN, ANN, BOB, Desk, desk

__all__ = ["desk"]

NEW = NewStrategy(
    id="a",
    definition="builtin-ema_cross",
    account="a-ann",
    config={"symbol": "BTC/USDT", "timeframe": "15m"},
)
WELL = EngineHealth([], published=1, decided=1)


def seen(status: str, **fields: Any) -> StrategyStatus:
    return StrategyStatus("a", "", "EMA_CROSS", "BTC/USDT", "15m", "a-ann", status, **fields)


def service(**fields: Any) -> SystemStatus:
    return SystemStatus(started_ms=0, uptime_s=1.0, **{"engine": WELL, **fields})


class Scene:
    """A reporter over the desk's store, and an engine that says what a test has told it."""

    def __init__(self, desk: Desk) -> None:
        ticks = count(5_000)
        self.desk = desk
        self.events = MemoryEventLog(now_ms=lambda: 1)
        whose = Ownership(desk.store).of
        self.logs = StrategyLogs(desk.store, self.events, whose, lambda: next(ticks))
        self.alerts = Alerts(desk.store, self.events, lambda: next(ticks))
        self.lines: list[SaidLine] = []
        self.trace: str | ChorusError = "Traceback: ZeroDivisionError"
        self.reporter = Reporter(
            desk.store, self.logs, self.alerts, whose, said=self._said, trace=self._trace
        )

    def _said(self, after: int) -> tuple[int, list[SaidLine]]:
        return len(self.lines), self.lines[after:]

    def _trace(self, _name: str) -> str:
        if isinstance(self.trace, ChorusError):
            raise self.trace
        return self.trace

    def logged(self, caller: Caller = ANN) -> list[tuple[str, str, str]]:
        for _ in range(2):  # what the engine says is on record after the next look
            self.reporter.look()
        page = self.logs.page("a", caller, is_reversed=True)
        return [(line.source, line.level, line.text) for line in page.items]

    def rung(self, caller: Caller = ADMIN) -> list[tuple[str, str]]:
        self.reporter.look()
        return [(a.level, a.title) for a in self.alerts.page(caller, sort="at").items]


@pytest.fixture
def scene(desk: Desk) -> Scene:
    made = Scene(desk)
    desk.strategies.create(NEW, ANN)
    made.reporter.look()
    return made


def test_states_are_told_with_their_cause_and_an_error_rings(scene: Scene) -> None:
    states = [seen("created"), seen("warming"), seen("running"), seen("error", cause="3 in a row")]
    for last, now in zip([None, *states], states, strict=False):
        scene.reporter.changed(last, now)
    assert scene.logged()[1:] == [
        ("engine", "info", "was created, is warming"),
        ("engine", "info", "was warming, is running"),
        ("engine", "error", "was running, is error: 3 in a row"),
    ]
    assert scene.rung(ANN) == [("error", "strategy ended in error")]
    assert scene.rung(BOB) == []


def test_what_is_held_against_a_strategy_is_told_too(scene: Scene) -> None:
    scene.reporter.changed(seen("running"), seen("running", cause="strike 1: killed"))
    assert scene.logged()[1:] == [("engine", "warning", "strike 1: killed")]


def test_exceptions_come_with_their_traceback(scene: Scene) -> None:
    scene.reporter.changed(seen("running"), seen("running", errors=1))
    scene.reporter.changed(seen("running", errors=1), seen("running", errors=3))
    (line,) = scene.logged()[1:]
    assert line[1] == "error"
    assert line[2] == (
        "3 exceptions in its code, this is the newest:\nTraceback: ZeroDivisionError"
    )
    scene.trace = LifecycleError("restart it first")
    scene.reporter.changed(seen("running", errors=3), seen("running", errors=4))
    assert "cannot be had: restart it first" in scene.logged()[-1][2]


def test_closing_waits_for_one_traceback_at_most(scene: Scene) -> None:
    asked: list[str] = []

    def trace(name: str) -> str:
        asked.append(name)
        scene.reporter.close()
        return "Traceback"

    scene.reporter._trace = trace
    for name in "ab":
        last = replace(seen("running"), id=name)
        scene.reporter.changed(last, replace(last, errors=1))
    scene.reporter.look()
    assert len(asked) == 1


def test_what_operators_change_is_told_with_their_name(scene: Scene) -> None:
    scene.desk.strategies.set_desired("a", "paused", ANN)
    lines = scene.logged()
    assert [source for source, _, _ in lines] == ["operator", "operator"]
    assert lines[0][2].startswith("create by u-ann")
    assert lines[1][2] == 'update by u-ann: {"desired":["running","paused"]}'
    assert len(scene.logged()) == 2, "nothing is told twice"


def test_what_its_code_says_is_kept_with_the_candle(scene: Scene) -> None:
    scene.lines = [SaidLine("a", "info", -1, "hello"), SaidLine("a", "debug", 60_000, "dip")]
    assert scene.logged()[1:] == [("strategy", "info", "hello"), ("strategy", "debug", "dip")]
    page = scene.logs.page("a", ANN, source="strategy")
    assert [line.candle_ms for line in page.items] == [60_000, None]


def test_refused_wishes_are_told_but_not_those_of_followers(scene: Scene) -> None:
    log = OverheardLog(scene.events, scene.reporter.overhear)
    wish = {"strategyId": "a", "action": "BUY", "symbol": "BTC/USDT", "detail": "needs 5"}
    for change in (
        {"code": "capital"},
        {"code": "accepted"},
        {"code": "capital", "strategyId": "bot-of-bob"},
    ):
        log.publish("signals", {**wish, **change}, strategy_id="a", owner_id="u-ann")
    assert scene.logged()[1:] == [
        ("engine", "warning", "BUY BTC/USDT was refused: capital: needs 5")
    ]
    assert len(scene.events.read(None, 10)) == 3 + 2, "all of it is passed on"


def test_an_account_at_its_limit_rings(scene: Scene) -> None:
    data = {"strategyId": "a", "action": "BUY", "code": "account_max_drawdown", "detail": "20 %"}
    for _ in range(3):
        scene.reporter.overhear("signals", data, "a")
    assert scene.rung(ANN) == [("warning", "drawdown limit of the account reached")]


def test_a_flood_of_refusals_does_not_fill_the_log(scene: Scene) -> None:
    data = {"strategyId": "a", "action": "BUY", "symbol": "X", "code": "capital", "detail": ""}
    for _ in range(500):
        scene.reporter.overhear("signals", data, "a")
    assert len(scene.logged()) < 30


def test_what_is_wrong_with_the_service_rings_once_as_long_as_it_lasts(scene: Scene) -> None:
    look = scene.reporter.look_at
    stuck = RecordingStatus(total=9, error="locked", failures=3)
    over = replace(WELL, is_feed_over=True)
    look(service())
    look(service(recording=replace(stuck, failures=2)))
    assert scene.rung() == []
    for _ in range(3):
        look(service(recording=stuck, engine=over))
    assert scene.rung() == [
        ("error", "recording is stuck"),
        ("warning", "the feed has come to its end"),
    ]
    first = scene.alerts.page(ADMIN, sort="at").items[0]
    scene.alerts.acknowledge(first.id, ADMIN)
    look(service(recording=stuck, engine=over))
    assert len(scene.rung()) == 2, "it was looked at, and lasts"
    look(service(engine=over))
    look(service(recording=stuck, engine=over))
    assert len(scene.rung()) == 3, "it has come back"
    assert scene.rung(ANN) == [], "the service is for admins"


def test_a_process_that_was_started_again_rings_for_whose_it_is(scene: Scene) -> None:
    def processes(*restarts: int) -> EngineHealth:
        own = ProcessStatus("a", "dedicated", "running", restarts=restarts[0])
        market = ProcessStatus("market-data", "market-data", "running", restarts=restarts[1])
        return replace(WELL, processes=[own, market])

    for restarts in ((0, 0), (1, 0), (1, 1), (1, 1)):
        scene.reporter.look_at(service(engine=processes(*restarts)))
    assert scene.rung() == [
        ("warning", "a was started again"),
        ("warning", "market-data was started again"),
    ]
    assert scene.rung(ANN) == [("warning", "a was started again")]


def test_an_engine_that_is_silent_or_has_failed_rings(scene: Scene) -> None:
    scene.reporter.look_at(service(engine=None, engine_error="has not been heard of so far"))
    scene.reporter.look_at(service(engine_error="away"))
    scene.reporter.look_at(service(engine=replace(WELL, failure="no disk")))
    assert scene.rung() == [
        ("error", "the engine does not answer"),
        ("error", "the engine cannot go on"),
    ]


def test_nothing_is_lost_while_the_store_is_away(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.logged()
    scene.reporter.refused("a", "no data")
    scene.reporter.changed(seen("running"), seen("error", cause="x"))
    with monkeypatch.context() as patch:
        patch.setattr(scene.desk.store, "write", _away)
        with pytest.raises(StoreError):
            scene.reporter.look()
    assert [text for _, _, text in scene.logged()[1:]] == [
        "is not taken over by the engine: no data",
        "was running, is error: x",
    ]
    assert scene.rung() == [("error", "strategy ended in error")]


def _away() -> None:
    raise StoreError("away")


def test_sparing_lets_some_through_and_counts_the_rest() -> None:
    now_s = 0.0
    sparing = Sparing(2, 10.0, monotonic=lambda: now_s)
    assert [sparing.admit("x") for _ in range(4)] == [0, 0, None, None]
    assert sparing.admit("y") == 0
    now_s = 10.0
    assert [sparing.admit("x") for _ in range(2)] == [2, None]
