"""What becomes a strike, how long a restart waits, and what is forgotten."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from engine.errors import ConfigError
from engine.instance import Status
from engine.supervision import (
    Actual,
    ActualHost,
    ActualStrategy,
    EndHost,
    History,
    StartHost,
    SupervisionSettings,
    observe,
)

LIMITS = SupervisionSettings(memory_limit_bytes=500_000_000)


def a_host(name: str = "a", epoch: int = 1, **fields: Any) -> ActualHost:
    """Return a running host that has answered slice 10 and a ping at second 100."""
    facts: dict[str, Any] = {
        "kind": "pooled" if name.startswith("pool:") else "dedicated",
        "instances": (name,),
        "state": "running",
        "answered_slice": 10,
        "answered_at": 100.0,
        "pinged_at": 100.0,
    }
    return ActualHost(id=name, epoch=epoch, **(facts | fields))


def seen(*hosts: ActualHost, now: float = 100.0, feed: int = 10, **fields: Any) -> Actual:
    names = {name for host in hosts for name in host.instances}
    strategies = {name: ActualStrategy(Status.RUNNING, 1) for name in names}
    return Actual(
        hosts=hosts,
        strategies=fields.pop("strategies", strategies),
        now=now,
        feed_slice=feed,
        **fields,
    )


def look(*views: Actual, history: History | None = None, seed: int = 0) -> History:
    history, random = history or History(), Random(seed)
    for view in views:
        history = observe(history, view, LIMITS, random)
    return history


def is_closed(history: History, name: str = "a", epoch: int = 1) -> bool:
    return history.hosts[name].closed == epoch


# ------------------------------------------------------------------ symptoms

PINGED = {"pinged_at": 106.0}


@pytest.mark.parametrize(
    ("what", "host", "feed", "now", "says"),
    [
        ("ended", {"state": "ended", "cause": "signal 9"}, 10, 100.0, "process ended: signal 9"),
        ("slow to start", {"state": "starting"}, 10, 160.5, "not running 60.5 s after its start"),
        ("silent", {}, 10, 110.5, "no ping answered for 10.5 s (limit 10 s)"),
        ("stuck", PINGED, 11, 105.5, "no progress beyond slice 10 for 5.5 s (limit 5 s)"),
        ("bloated", {"memory_bytes": 600_000_000}, 10, 100.0, "uses 600 MB of memory"),
    ],
)
def test_a_symptom_costs_the_host_and_a_strike(
    what: str, host: dict[str, Any], feed: int, now: float, says: str
) -> None:
    history = look(
        seen(a_host(), feed=feed), seen(a_host(**host, busy_with="a"), feed=feed, now=now)
    )
    assert is_closed(history), what
    (cause,) = history.strategies["a"].causes
    assert says in cause
    assert cause.startswith("host 'a', epoch 1: ")
    assert cause.endswith("busy with 'a'")


@pytest.mark.parametrize(
    ("why", "host", "feed", "now", "watched_since"),
    [
        ("at the limit of starting", {"state": "starting"}, 10, 160.0, 0.0),
        ("at the limit of silence", {}, 10, 110.0, 0.0),
        ("at the limit of progress", PINGED, 11, 105.0, 0.0),
        ("nothing to answer", {"pinged_at": 500.0}, 10, 500.0, 0.0),
        ("waits for the order manager", PINGED | {"waits": True}, 11, 106.0, 0.0),
        (
            "another instance's turn",
            PINGED | {"busy_with": "a", "busy_since": 103.0},
            11,
            106.0,
            0.0,
        ),
        ("memory at the limit", {"memory_bytes": 500_000_000}, 10, 100.0, 0.0),
        ("nobody looked", {}, 11, 200.0, 198.0),
    ],
)
def test_a_healthy_host_is_left_alone(
    why: str, host: dict[str, Any], feed: int, now: float, watched_since: float
) -> None:
    later = seen(a_host(**host), feed=feed, now=now, watched_since=watched_since)
    history = look(seen(a_host(), feed=feed), later)
    assert not is_closed(history), why
    assert history.strategies == {}


def test_standing_still_counts_from_when_there_is_something_to_answer() -> None:
    idle = seen(a_host(pinged_at=199.0), now=199.0)
    fresh = seen(a_host(pinged_at=200.0), now=200.0, feed=11)
    assert not is_closed(look(idle, fresh))
    still = a_host(pinged_at=206.0)
    assert not is_closed(look(idle, fresh, seen(still, now=205.0, feed=11)))
    assert is_closed(look(idle, fresh, seen(still, now=205.1, feed=11)))


def test_a_standstill_noted_before_the_machine_was_restarted_counts_from_now() -> None:
    history = look(seen(a_host(answered_at=9000.0, pinged_at=9000.0), now=9000.0, feed=11))
    still = a_host(epoch=1, answered_at=0.0, pinged_at=26.0)
    early, late = (seen(still, now=second, feed=11) for second in (20.0, 25.1))
    assert not is_closed(look(early, history=history))
    assert is_closed(look(early, late, history=history))


def test_memory_of_a_shared_process_is_nobodys_fault() -> None:
    host = a_host("pool:0", memory_bytes=600_000_000, instances=("a", "b"))
    assert not is_closed(look(seen(host)), "pool:0")


# ------------------------------------------------------------------ whose fault it is


def test_a_pooled_host_is_held_against_the_instance_it_was_busy_with() -> None:
    host = a_host("pool:0", instances=("a", "b"), state="ended", busy_with="b")
    history = look(seen(host))
    assert list(history.strategies) == ["b"]
    assert history.strategies["b"].is_apart


@pytest.mark.parametrize("busy", [None, "gone"])
def test_a_pooled_host_that_was_busy_with_nothing_is_nobodys_fault(busy: str | None) -> None:
    host = a_host("pool:0", instances=("a", "b"), state="ended", busy_with=busy)
    history = look(seen(host))
    assert is_closed(history, "pool:0")
    assert history.strategies == {}


def crashes(history: History, epochs: range, *, answered: int = 10, **fields: Any) -> History:
    """Return the history after crashes at the same slice, one per epoch."""
    for epoch in epochs:
        dead = a_host(epoch=epoch, state="ended", answered_slice=answered, **fields)
        history = look(seen(dead, now=100.0 + epoch), history=history)
    return history


def test_the_third_crash_without_progress_fails_a_strategy() -> None:
    assert crashes(History(), range(1, 3)).strategies["a"].verdict == ""
    record = crashes(History(), range(1, 4)).strategies["a"]
    assert record.verdict == "failed"
    assert [cause.split(":")[0] for cause in record.causes] == [
        "host 'a', epoch 1",
        "host 'a', epoch 2",
        "host 'a', epoch 3",
    ]


def test_crashes_with_progress_between_them_do_not_add_up() -> None:
    history = History()
    for epoch in range(1, 9):
        history = crashes(history, range(epoch, epoch + 1), answered=10 * epoch)
    assert len(history.strategies["a"].causes) == 1
    assert history.hosts["a"].restarts == 8


def test_catching_up_to_where_it_crashed_in_a_pooled_host_is_no_progress() -> None:
    pooled = a_host("pool:0", instances=("a", "b"), state="ended", busy_with="a")
    history = crashes(look(seen(pooled)), range(1, 3))
    assert history.strategies["a"].verdict == "failed"


def test_the_third_standstill_pauses_a_strategy_even_with_progress_between() -> None:
    history = History()
    for epoch in range(1, 4):
        host = a_host(epoch=epoch, answered_slice=10 * epoch, pinged_at=106.0, busy_with="a")
        before, after = seen(host, feed=99), seen(host, feed=99, now=105.5)
        history = look(before, after, history=history)
    assert len(history.strategies["a"].causes) == 3
    assert history.strategies["a"].verdict == "paused"


def test_another_version_starts_with_a_clean_record_and_without_delay() -> None:
    history = crashes(History(), range(1, 3))
    assert history.hosts["a"].restarts == 2
    newer = {"a": ActualStrategy(Status.RUNNING, 2)}
    history = look(seen(a_host(epoch=3, state="ended"), strategies=newer), history=history)
    assert history.strategies["a"].version == 2
    assert len(history.strategies["a"].causes) == 1
    assert history.hosts["a"].delay_s == 0.0


# ------------------------------------------------------------------ forgetting


def test_progress_for_long_enough_makes_strikes_and_backoff_forgotten() -> None:
    history = crashes(History(), range(1, 3))

    def later(second: float) -> Actual:
        host = a_host(epoch=3, answered_slice=11, answered_at=second, pinged_at=second)
        return seen(host, now=second, feed=11)

    history = look(later(110.0), later(169.9), history=history)
    assert len(history.strategies["a"].causes) == 2
    assert history.hosts["a"].restarts == 2
    history = look(later(170.0), history=history)
    assert history.strategies["a"].causes == ()
    assert history.hosts["a"].restarts == 0


def test_standing_where_it_crashed_is_not_healthy_however_long() -> None:
    history = crashes(History(), range(1, 3))
    for second in (110.0, 1000.0):
        host = a_host(epoch=3, answered_at=second, pinged_at=second)
        history = look(seen(host, now=second), history=history)
    assert len(history.strategies["a"].causes) == 2


def test_a_strategy_that_cost_a_pooled_host_stays_apart_once_it_is_healthy() -> None:
    pooled = a_host("pool:0", instances=("a",), state="ended", busy_with="a")
    history = look(seen(pooled))
    for second in (110.0, 170.0):
        host = a_host(answered_slice=11, answered_at=second, pinged_at=second)
        history = look(seen(host, now=second, feed=11), history=history)
    assert history.strategies["a"].causes == ()
    assert history.strategies["a"].is_apart


# ------------------------------------------------------------------ backoff


def test_the_first_restart_is_immediate_and_later_ones_wait_ever_longer() -> None:
    bounds = [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    longest = [0.0] * len(bounds)
    for seed in range(300):
        history, random = History(), Random(seed)
        for place in range(len(bounds)):
            dead = a_host("pool:0", epoch=place + 1, state="ended")
            history = observe(history, seen(dead), LIMITS, random)
            delay_s = history.hosts["pool:0"].delay_s
            assert 0.0 <= delay_s <= bounds[place]
            longest[place] = max(longest[place], delay_s)
    assert all(most >= 0.9 * bound for most, bound in zip(longest, bounds, strict=True))


def test_the_delay_depends_on_nothing_but_the_seed() -> None:
    def delay_s(seed: int) -> float:
        dead = [seen(a_host(epoch=epoch, state="ended")) for epoch in range(1, 6)]
        return look(*dead, seed=seed).hosts["a"].delay_s

    assert delay_s(1) == delay_s(1) != delay_s(2)


def test_a_host_is_due_after_its_delay_or_when_the_clock_is_another() -> None:
    record = look(seen(a_host(state="ended"))).hosts["a"]
    assert record.is_due(100.0)
    record = crashes(History(), range(1, 3)).hosts["a"]
    assert record.closed_at == 102.0
    assert 0.0 < record.delay_s <= 0.1
    assert not record.is_due(102.0)
    assert record.is_due(102.0 + record.delay_s)
    assert record.is_due(3.0)


# ------------------------------------------------------------------ memory


def test_the_same_epoch_fails_only_once() -> None:
    dead = seen(a_host(state="ended"))
    history = look(dead)
    assert look(dead, dead, history=history) == history


def test_an_end_that_was_planned_is_no_failure() -> None:
    history = look(seen(a_host())).with_actions([EndHost("a", 1, "stopped")])
    assert look(seen(a_host(state="ended")), history=history) == history
    assert history.strategies == {}


def test_the_end_of_a_failed_host_keeps_its_delay() -> None:
    history = crashes(History(), range(1, 3))
    assert history.with_actions([EndHost("a", 2, "failed")]) == history


def test_an_epoch_given_out_is_remembered_even_if_nobody_saw_it() -> None:
    history = History().with_actions([StartHost("a", 4, "dedicated", ("a",))])
    assert history.hosts["a"].epoch == 4


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("block_after_s", 0.0, "supervision.block_after_s: must be above 0, is 0"),
        ("max_strikes", 0, "supervision.max_strikes: must be at least 1, is 0"),
        ("backoff_factor", 0.5, "must be at least 1"),
        ("backoff_cap_s", 0.01, "must be at least 0.1, is 0.01"),
        ("memory_limit_bytes", 0, "must be above 0"),
        ("uneven_by", float("nan"), "must be at least 0, is nan"),
    ],
)
def test_settings_out_of_range_are_refused(name: str, value: float, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        SupervisionSettings(**{name: value})
