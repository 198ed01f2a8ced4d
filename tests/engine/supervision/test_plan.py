"""The table of cases: what is wanted, what is there, what is done."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

import pytest

from engine.instance import Status
from engine.supervision import (
    Action,
    Actual,
    ActualHost,
    ActualStrategy,
    Adopt,
    Desired,
    DesiredStrategy,
    EndHost,
    FailStrategy,
    History,
    HostRecord,
    Move,
    PauseStrategy,
    RecoverHost,
    ResumeStrategy,
    StartHost,
    StopStrategy,
    StrategyRecord,
    SupervisionSettings,
    observe,
    plan,
)

NOW = 100.0
LIMITS = SupervisionSettings()


def wish(
    name: str, isolation: str = "dedicated", status: str = "running", version: int = 1
) -> DesiredStrategy:
    return DesiredStrategy(name, status, isolation, version)  # type: ignore[arg-type]


def host(name: str, *instances: str, epoch: int = 1, **fields: Any) -> ActualHost:
    facts: dict[str, Any] = {
        "kind": "pooled" if name.startswith("pool:") else "dedicated",
        "state": "running",
        "answered_at": NOW,
        "pinged_at": NOW,
        "answered_slice": 10,
    }
    return ActualHost(id=name, epoch=epoch, instances=instances, **(facts | fields))


def planned(
    wishes: list[DesiredStrategy],
    hosts: list[ActualHost],
    *,
    pool: int = 2,
    history: History | None = None,
    now: float = NOW,
    **known: ActualStrategy,
) -> list[Action]:
    carried = {name for one in hosts for name in one.instances}
    running = {name: ActualStrategy(Status.RUNNING, 1) for name in carried}
    actual = Actual(hosts=tuple(hosts), strategies=running | known, now=now, feed_slice=10)
    history = observe(history or History(), actual, LIMITS, Random(0))
    return plan(Desired(tuple(wishes), pool), actual, history, LIMITS)


class Case(NamedTuple):
    """One row: wishes, hosts, and the plan."""

    what: str
    wishes: list[DesiredStrategy]
    hosts: list[ActualHost]
    plan: list[Action]


ENDED = "host 'a', epoch 1: its process ended: signal 9"
IDLE = "nothing belongs in it"

CASES = [
    Case("nothing wanted, nothing there", [], [], []),
    Case("as desired", [wish("a"), wish("b", "pooled")], [host("a", "a"), host("pool:0", "b")], []),
    Case(
        "all to start: own hosts, and as many pooled ones as there is something to carry",
        [wish("a"), wish("b", "pooled"), wish("c", "pooled"), wish("d", "pooled")],
        [],
        [
            StartHost("a", 1, "dedicated", ("a",)),
            StartHost("pool:0", 1, "pooled", ("b", "d")),
            StartHost("pool:1", 1, "pooled", ("c",)),
        ],
    ),
    Case("a host that starts is waited for", [wish("a")], [host("a", "a", state="starting")], []),
    Case("stopped from the outset", [wish("a", status="stopped")], [], []),
    Case(
        "its own process ended",
        [wish("a")],
        [host("a", "a", state="ended", cause="signal 9")],
        [RecoverHost("a", 2, ("a",))],
    ),
    Case(
        "a pooled process ended, busy with one: that one goes apart",
        [wish(name, "pooled") for name in "abc"],
        [host("pool:0", "a", "b", state="ended", busy_with="b"), host("pool:1", "c")],
        [StartHost("b", 1, "dedicated", ("b",)), RecoverHost("pool:0", 2, ("a",))],
    ),
    Case(
        "a pooled process ended between instances: all continue",
        [wish(name, "pooled") for name in "abc"],
        [host("pool:0", "a", "b", state="ended"), host("pool:1", "c")],
        [RecoverHost("pool:0", 2, ("a", "b"))],
    ),
    Case(
        "a silent pooled host",
        [wish("a", "pooled"), wish("b", "pooled")],
        [host("pool:0", "a", "b", pinged_at=80.0, busy_with="a")],
        [
            EndHost(
                "pool:0",
                1,
                "host 'pool:0', epoch 1: no ping answered for 20.0 s (limit 10 s), busy with 'a'",
            ),
            StartHost("a", 1, "dedicated", ("a",)),
            RecoverHost("pool:0", 2, ("b",)),
        ],
    ),
    Case(
        "stopped in its own host",
        [wish("a", status="stopped")],
        [host("a", "a")],
        [StopStrategy("a", "stopped"), EndHost("a", 1, "stopped")],
    ),
    Case(
        "stopped while its own host starts",
        [wish("a", status="stopped")],
        [host("a", "a", state="starting")],
        [EndHost("a", 1, "stopped"), StopStrategy("a", "stopped")],
    ),
    Case(
        "stopped in a pooled host: the host goes on",
        [wish("a", "pooled", "stopped"), wish("b", "pooled")],
        [host("pool:0", "a", "b")],
        [StopStrategy("a", "stopped")],
    ),
    Case(
        "stopped in a pooled host that starts: waited for",
        [wish("a", "pooled", "stopped"), wish("b", "pooled")],
        [host("pool:0", "a", "b", state="starting")],
        [],
    ),
    Case(
        "no longer wanted at all",
        [],
        [host("pool:0", "a")],
        [StopStrategy("a", "stopped"), EndHost("pool:0", 1, IDLE)],
    ),
    Case(
        "another version of one in its own host: a fresh process",
        [wish("a", version=2)],
        [host("a", "a")],
        [
            StopStrategy("a", "version 2 replaces 1"),
            EndHost("a", 1, "version 2 replaces 1"),
            StartHost("a", 2, "dedicated", ("a",)),
        ],
    ),
    Case(
        "another version of a pooled one",
        [wish("a", "pooled", version=2), wish("b", "pooled")],
        [host("pool:0", "a"), host("pool:1", "b")],
        [StopStrategy("a", "version 2 replaces 1"), Move("a", "", "pool:0")],
    ),
    Case(
        "out of the pool, first half: its own host comes up while it runs on",
        [wish("a"), wish("b", "pooled")],
        [host("pool:0", "a", "b")],
        [StartHost("a", 1, "dedicated", ())],
    ),
    Case(
        "out of the pool, second half",
        [wish("a"), wish("b", "pooled")],
        [host("pool:0", "a", "b"), host("a")],
        [Move("a", "pool:0", "a")],
    ),
    Case(
        "out of a pooled host that starts: waited for",
        [wish("a"), wish("b", "pooled")],
        [host("pool:0", "a", "b", state="starting"), host("a")],
        [],
    ),
    Case(
        "into the pool",
        [wish("a", "pooled"), wish("b", "pooled")],
        [host("a", "a"), host("pool:0", "b"), host("pool:1")],
        [Move("a", "a", "pool:1"), EndHost("a", 1, IDLE)],
    ),
    Case(
        "a new one joins the emptier pooled host",
        [wish(name, "pooled") for name in "abcd"],
        [host("pool:0", "a", "b"), host("pool:1", "c")],
        [Move("d", "", "pool:1")],
    ),
    Case(
        "more pooled hosts, first half",
        [wish(name, "pooled") for name in "abcd"],
        [host("pool:0", "a", "b", "c", "d")],
        [StartHost("pool:1", 1, "pooled", ())],
    ),
    Case(
        "more pooled hosts, second half",
        [wish(name, "pooled") for name in "abcd"],
        [host("pool:0", "a", "b", "c", "d"), host("pool:1")],
        [Move("c", "pool:0", "pool:1"), Move("d", "pool:0", "pool:1")],
    ),
    Case(
        "fewer pooled hosts",
        [wish(name, "pooled") for name in "abc"],
        [host("pool:0", "a"), host("pool:1", "b"), host("pool:2", "c")],
        [Move("c", "pool:2", "pool:0"), EndHost("pool:2", 1, IDLE)],
    ),
    Case(
        "fewer pooled hosts while the last one starts: nothing is lost by ending it",
        [wish(name, "pooled") for name in "abc"],
        [host("pool:0", "a"), host("pool:1", "b"), host("pool:2", "c", state="starting")],
        [EndHost("pool:2", 1, IDLE), Move("c", "", "pool:0")],
    ),
    Case(
        "found alive",
        [wish("a"), wish("b", "pooled")],
        [host("a", "a", is_found=True), host("pool:0", "b", is_found=True)],
        [Adopt("a", 1), Adopt("pool:0", 1)],
    ),
    Case(
        "found alive though superseded",
        [wish("a")],
        [host("a", "a", epoch=1, is_found=True), host("a", "a", epoch=2)],
        [EndHost("a", 1, "superseded by epoch 2")],
    ),
    Case(
        "carried twice: the smaller host ends, the rest of it continues",
        [wish(name, "pooled") for name in "abcd"],
        [host("pool:0", "a", "b", "c"), host("pool:1", "c", "d")],
        [
            EndHost("pool:1", 1, "carries 'c', and so does host 'pool:0'"),
            RecoverHost("pool:1", 2, ("d",)),
        ],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.what for case in CASES])
def test_case(case: Case) -> None:
    assert planned(case.wishes, case.hosts) == case.plan


# ------------------------------------------------------------------ pause, resume, verdicts

RUNNING = ActualStrategy(Status.RUNNING, 1)
WARMING = ActualStrategy(Status.WARMING, 1)
PAUSED = ActualStrategy(Status.PAUSED, 1)
FAILED = ActualStrategy(Status.ERROR, 1)


@pytest.mark.parametrize(
    ("wanted", "known", "expected"),
    [
        ("running", RUNNING, []),
        ("paused", RUNNING, [PauseStrategy("a", "paused by an operator")]),
        ("paused", WARMING, []),
        ("paused", PAUSED, []),
        ("running", PAUSED, [ResumeStrategy("a")]),
        ("running", FAILED, []),
        ("paused", FAILED, []),
    ],
)
def test_statuses_in_a_running_host(
    wanted: str, known: ActualStrategy, expected: list[Action]
) -> None:
    assert planned([wish("a", status=wanted)], [host("a", "a")], a=known) == expected


@pytest.mark.parametrize(
    ("verdict", "known", "expected"),
    [
        ("paused", RUNNING, [PauseStrategy("a", "strike 3: why 3")]),
        ("paused", PAUSED, []),
        ("failed", RUNNING, [FailStrategy("a", "strike 3: why 3")]),
        ("failed", FAILED, []),
    ],
)
def test_a_verdict_keeps_a_strategy_out_and_is_told_once(
    verdict: Any, known: ActualStrategy, expected: list[Action]
) -> None:
    record = StrategyRecord(1, ("why 1", "why 2", "why 3"), verdict=verdict)
    history = History({"a": record}, {"a": HostRecord(1, 1)})
    dead = host("a", "a", state="ended")
    assert planned([wish("a")], [dead], history=history, a=known) == expected


def test_a_higher_version_lifts_the_verdict_and_the_delay() -> None:
    record = StrategyRecord(1, ("why",), verdict="failed")
    waiting = HostRecord(3, 3, closed_at=NOW, restarts=3, delay_s=9.0)
    history = History({"a": record}, {"a": waiting})
    dead = host("a", "a", epoch=3, state="ended")
    again = [StartHost("a", 4, "dedicated", ("a",))]
    assert planned([wish("a", version=2)], [dead], history=history, a=FAILED) == again


def test_a_strategy_that_failed_by_itself_is_not_started_again() -> None:
    assert planned([wish("a"), wish("b", "pooled")], [], a=FAILED, b=FAILED) == []
    dead = host("a", "a", state="ended")
    assert planned([wish("a")], [dead], a=FAILED) == []


def test_a_stopped_strategy_that_is_wanted_again_begins() -> None:
    dead = host("a", "a", state="ended")
    stopped = ActualStrategy(Status.STOPPED, 1)
    again = [StartHost("a", 2, "dedicated", ("a",))]
    assert planned([wish("a")], [dead], a=stopped) == again


def test_a_verdict_of_one_pooled_strategy_does_not_outlive_its_stop() -> None:
    record = StrategyRecord(1, ("why",), verdict="paused")
    wishes = [wish("a", "pooled", "stopped")]
    stop = [StopStrategy("a", "stopped")]
    assert planned(wishes, [], history=History({"a": record}), a=PAUSED) == stop


# ------------------------------------------------------------------ time and epochs


def test_a_restart_waits_for_its_delay() -> None:
    waiting = HostRecord(2, 2, closed_at=NOW, restarts=2, delay_s=1.5)
    history = History({}, {"pool:0": waiting})
    wishes, hosts = [wish("a", "pooled")], [host("pool:0", "a", epoch=2, state="ended")]
    assert planned(wishes, hosts, history=history, now=NOW + 1.4) == []
    recover = [RecoverHost("pool:0", 3, ("a",))]
    assert planned(wishes, hosts, history=history, now=NOW + 1.5) == recover


def test_instances_do_not_leave_a_pooled_host_that_is_about_to_come_back() -> None:
    waiting = HostRecord(1, 1, closed_at=NOW, restarts=2, delay_s=20.0)
    hosts = [host("pool:0", "a", state="ended"), host("pool:1", "b")]
    wishes = [wish("a", "pooled"), wish("b", "pooled")]
    assert planned(wishes, hosts, history=History({}, {"pool:0": waiting})) == []


def test_an_epoch_once_given_out_is_not_given_out_again() -> None:
    history = History().with_actions([StartHost("a", 6, "dedicated", ("a",))])
    assert planned([wish("a")], [], history=history) == [StartHost("a", 7, "dedicated", ("a",))]
