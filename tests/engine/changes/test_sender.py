"""Whatever cannot be told is made up for; whoever publishes notices nothing."""

from __future__ import annotations

import threading
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.changes import EVERYTHING, Change
from engine.changes.sender import ChangeSender, Outbox
from engine.errors import ChorusError
from tests.examples import examples

SOON_S = 30.0


def change(number: int) -> Change:
    return Change(kind="strategy", id=str(number), origin="x", at_ms=number)


def everything() -> Change:
    return Change(kind=EVERYTHING, origin="x", at_ms=0)


@given(
    st.lists(st.sampled_from(["put", "take", "sent", "lost"]), max_size=60),
    st.integers(1, 5),
)
@examples(300)
def test_each_change_is_told_or_everything_is_told_after_it(
    steps: list[str], capacity: int
) -> None:
    outbox, numbers = Outbox(everything, capacity), count()
    owed: set[str] = set()  # what whoever listens has yet to learn
    under_way: list[tuple[Change, set[str]]] = []

    def finish(*, is_sent: bool) -> None:
        for taken, owed_then in under_way:
            if is_sent and taken.kind == EVERYTHING:
                owed.difference_update(owed_then)
            elif is_sent:
                owed.discard(taken.id)
            else:
                outbox.give_up()
        under_way.clear()

    for step in [*steps, "sent"]:
        if step == "put":
            new = change(next(numbers))
            owed.add(new.id)
            outbox.put(new)
        elif step == "take" and outbox and not under_way:
            under_way.append((outbox.take(), set(owed)))
        elif step in {"sent", "lost"}:
            finish(is_sent=step == "sent")
        assert len(outbox) <= capacity
    while outbox:
        under_way.append((outbox.take(), set(owed)))
        finish(is_sent=True)
    assert not owed


class Wire:
    """Takes what is sent, or is cut."""

    def __init__(self) -> None:
        self.told: list[Change] = []
        self.is_cut = False
        self.tries = 0
        self.changed = threading.Condition()

    def send(self, change: Change) -> None:
        with self.changed:
            self.tries += 1
            self.changed.notify_all()
            if self.is_cut:
                raise ChorusError("Redis at x cannot be used: gone")
            self.told.append(change)

    def cut(self, *, is_cut: bool) -> None:
        with self.changed:
            self.is_cut = is_cut

    def await_tries(self, number: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.tries >= number, SOON_S)

    def await_told(self, number: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.told) >= number, SOON_S)


def test_changes_are_told_in_order_also_at_the_end() -> None:
    wire = Wire()
    sender = ChangeSender(wire.send, everything)
    for number in range(50):
        sender.put(change(number))
    sender.close(SOON_S)
    assert wire.told == [change(number) for number in range(50)]
    assert not sender._thread.is_alive()


def test_after_a_break_one_word_stands_for_all_that_was_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wire = Wire()
    sender = ChangeSender(wire.send, everything)
    wire.cut(is_cut=True)
    for number in range(5):
        sender.put(change(number))
    wire.await_tries(2)
    wire.cut(is_cut=False)
    wire.await_told(1)
    sender.put(change(7))
    sender.close(SOON_S)
    assert wire.told[0] == everything()
    assert wire.told[-1] == change(7)
    assert caplog.text.count("gone") == 1
    assert caplog.text.count("told to other processes again") == 1


def test_a_sender_that_cannot_send_ends_when_it_is_closed() -> None:
    wire = Wire()
    wire.is_cut = True
    sender = ChangeSender(wire.send, everything)
    sender.put(change(1))
    wire.await_tries(1)
    sender.close(SOON_S)
    assert not sender._thread.is_alive()
    assert wire.told == []


def test_an_error_nobody_thought_of_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    told, failed = threading.Event(), threading.Event()

    def send(_: Change) -> None:
        if not failed.is_set():
            failed.set()
            raise ZeroDivisionError("oops")
        told.set()

    sender = ChangeSender(send, everything)
    sender.put(change(1))
    assert told.wait(SOON_S)
    sender.close(SOON_S)
    assert "ZeroDivisionError: oops" in caplog.text
