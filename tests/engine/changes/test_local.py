"""Within a process every change is told to everybody who listens, at once."""

from __future__ import annotations

from itertools import count

import pytest

from engine.changes import Change, LocalChanges


def make() -> LocalChanges:
    ticks = count(1)
    return LocalChanges(lambda: next(ticks))


def test_a_change_is_told_when_publishing_returns() -> None:
    changes, heard = make(), list[Change]()
    changes.listen(heard.append)
    changes.publish("strategy", "a", 2)
    changes.publish("trading")
    assert heard == [
        Change(kind="strategy", id="a", version=2, origin=changes.origin, at_ms=1),
        Change(kind="trading", id="", version=None, origin=changes.origin, at_ms=2),
    ]
    assert make().origin != changes.origin


def test_who_has_stopped_listening_is_told_no_more() -> None:
    changes, one, other = make(), list[Change](), list[Change]()
    listening = changes.listen(one.append)
    changes.listen(other.append)
    listening.close()
    listening.close()
    changes.publish("account", "a")
    assert (len(one), len(other)) == (0, 1)
    changes.close()
    changes.publish("account", "a")
    assert len(other) == 1


def test_who_fails_neither_stops_others_nor_who_publishes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    changes, heard = make(), list[Change]()

    def fail(_: Change) -> None:
        raise ZeroDivisionError("oops")

    changes.listen(fail)
    changes.listen(heard.append)
    changes.publish("setting", "x\n")
    assert len(heard) == 1
    assert r"'setting' 'x\n' not taken up: ZeroDivisionError: oops" in caplog.text


def test_listeners_may_come_and_go_while_they_are_told() -> None:
    changes, heard = make(), list[Change]()

    def once(change: Change) -> None:
        heard.append(change)
        listening.close()
        changes.listen(heard.append)

    listening = changes.listen(once)
    changes.publish("account", "a")
    changes.publish("account", "b")
    assert [change.id for change in heard] == ["a", "b"]
