"""The order manager hears of followers until it knows them all; while it is away, once a round."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actors.services import ServiceAwayError
from api.service import bots
from api.service.bots import BotDeployer


class Orders:
    """An order manager that goes away after some calls."""

    def __init__(self) -> None:
        self.calls_left = 100
        self.asked = 0
        self.registered: list[Any] = []

    def _ask(self) -> None:
        self.asked += 1
        if self.calls_left == 0:
            raise ServiceAwayError("away")
        self.calls_left -= 1

    def register(self, registrations: Sequence[Any]) -> None:
        self._ask()
        self.registered += registrations

    def withdraw(self, ids: Sequence[str], reason: str) -> None:
        self._ask()


def following(name: str) -> Any:
    return SimpleNamespace(subscription=SimpleNamespace(id=name, version=1))


def test_one_that_is_away_is_asked_once_and_nobody_is_told_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bots, "registration_of", lambda each: each.subscription.id)
    rows = [following(name) for name in "abc"]
    subscriptions: Any = SimpleNamespace(all_active=lambda: rows)
    orders = Orders()
    orders.calls_left = 2  # enough for the first of them
    noted: list[list[str]] = []

    def news() -> None:
        noted.append(list(orders.registered))

    deployer = BotDeployer(subscriptions, orders, tmp_path, on_news=news)
    with pytest.raises(ServiceAwayError):
        deployer.round()
    assert (orders.asked, orders.registered) == (3, ["a"])
    assert deployer.refusals == {}
    orders.calls_left = 100
    another = BotDeployer(subscriptions, orders, tmp_path, on_news=news)  # it is on disk, too
    another.round()
    assert orders.registered == ["a", "b", "c"]
    assert noted == [[], ["a"], ["a"], ["a", "b"]]  # before each was told
    another.round()
    assert len(noted) == 4
