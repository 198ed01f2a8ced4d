"""Whoever reports what a strategy or a bot does knows whose it is."""

from __future__ import annotations

import threading

import pytest

from engine.deployments import NewStrategy
from engine.deployments.ownership import Ownership
from engine.recording import Owner
from tests.engine.deployments.conftest import ANN, Desk

EMA = {"symbol": "BTC/USDT", "timeframe": "15m"}


def test_it_is_known_once_something_has_changed_and_stays_known(desk: Desk) -> None:
    ownership = Ownership(desk.store)
    assert ownership.of("one") is None
    desk.strategies.create(
        NewStrategy(id="one", definition="builtin-ema_cross", account="a-ann", config=EMA), ANN
    )
    ownership.changed()
    assert ownership.of("one") == Owner("one", "u-ann", "a-ann")
    desk.strategies.change("one", ANN, visibility="public")
    ownership.changed()
    assert ownership.of("one") == Owner("one", "u-ann", "a-ann", "")
    desk.strategies.delete("one", ANN)
    ownership.changed()
    assert ownership.of("one") == Owner("one", "u-ann", "a-ann", "")


def test_nobody_is_unknown_only_because_another_one_is_just_reading(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.strategies.create(
        NewStrategy(id="one", definition="builtin-ema_cross", account="a-ann", config=EMA), ANN
    )
    ownership, read = Ownership(desk.store), Ownership._read
    begun, go_on = threading.Event(), threading.Event()

    def slowly(self: Ownership) -> dict[str, Owner]:
        begun.set()
        assert go_on.wait(30.0)
        return read(self)

    monkeypatch.setattr(Ownership, "_read", slowly)
    answers: list[Owner | None] = []
    threads = [
        threading.Thread(target=lambda: answers.append(ownership.of("one"))) for _ in range(2)
    ]
    threads[0].start()
    assert begun.wait(30.0)
    threads[1].start()
    threads[1].join(0.05)  # it waits, too; one that does not has answered by now
    go_on.set()
    for thread in threads:
        thread.join(30.0)
    assert answers == [Owner("one", "u-ann", "a-ann")] * 2


def test_what_changes_while_it_is_read_is_read_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ownership, read, reads = Ownership(desk.store), Ownership._read, []

    def counted(self: Ownership) -> dict[str, Owner]:
        reads.append(read(self))
        if len(reads) == 1:
            ownership.changed()
        return reads[-1]

    monkeypatch.setattr(Ownership, "_read", counted)
    ownership.of("one")
    ownership.of("one")
    ownership.of("one")
    assert len(reads) == 2
