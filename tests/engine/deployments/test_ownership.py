"""Whoever reports what a strategy or a bot does knows whose it is."""

from __future__ import annotations

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
