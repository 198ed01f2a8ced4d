"""Services tell what they have changed, once it is on record; what is refused is not told."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from actors.services import ServiceAwayError
from engine.access import Caller
from engine.catalog.built_ins import seed_built_ins
from engine.catalog.definitions import Change, Definitions, Draft
from engine.credentials import Vault
from engine.deployments import Accounts
from engine.deployments.trading import TradingSwitch
from engine.errors import ChorusError
from engine.settings import Settings
from engine.store import Account, Definition, Setting, Store
from engine.trading import TradingMode
from tests.engine.deployments.conftest import ADMIN, ANN, BOB, CATALOG, Desk, desk

__all__ = ["desk"]

MONEY = {"USDT": Decimal(1)}
SECRET = {"apiKey": "hunter2"}


class Told:
    """Is told of rows of a table, and looks whether that is what is on record."""

    def __init__(self, store: Store, table: type[Any]) -> None:
        self._store = store
        self._table = table
        self.told: list[tuple[str, int | None]] = []

    def __call__(self, name: str, version: int | None) -> None:
        with self._store.read() as session:  # sees what is on record, not what is under way
            assert session.get_one(self._table, name).version == version
        self.told.append((name, version))


@pytest.fixture
def clock() -> Callable[[], int]:
    return count(1_000_000).__next__


def test_definitions(desk: Desk, clock: Callable[[], int]) -> None:
    told = Told(desk.store, Definition)
    definitions = Definitions(desk.store, lambda: CATALOG, clock, on_change=told)
    made = definitions.create(Draft(key="mine", strategy_type="EMA_CROSS"), ANN)
    definitions.update(made.id, Change(defaults={"timeframes": ["1m"]}), ANN)
    definitions.enable(made.id, ANN, is_enabled=False)
    definitions.roll_back(made.id, 1, ANN)
    refused: list[Callable[[], object]] = [
        lambda: definitions.create(Draft(key="mine", strategy_type="EMA_CROSS"), ANN),
        lambda: definitions.update(made.id, Change(name="x"), ANN, if_version=1),
        lambda: definitions.roll_back(made.id, 9, ANN),
    ]
    for call in refused:
        with pytest.raises(ChorusError):
            call()
    seed_built_ins(definitions, CATALOG)  # they are there already
    assert told.told == [(made.id, version) for version in range(1, 5)]
    definitions.seed([Draft(key="new", strategy_type="EMA_CROSS")])
    assert told.told[4:] == [("builtin-new", 1)]


def test_accounts(desk: Desk, clock: Callable[[], int]) -> None:
    told = Told(desk.store, Account)
    accounts = Accounts(desk.store, clock, Vault(b"k" * 32), on_change=told)
    accounts.create("live", MONEY, ANN, account_id="live", venue="some")
    accounts.enable("live", ANN, is_enabled=False)
    accounts.set_credentials("live", SECRET, ANN)
    accounts.forget_credentials("live", ANN)
    refused: list[Callable[[], object]] = [
        lambda: accounts.create("live", MONEY, ANN),
        lambda: accounts.enable("live", BOB, is_enabled=True),
        lambda: accounts.enable("live", ANN, is_enabled=True, if_version=1),
    ]
    for call in refused:
        with pytest.raises(ChorusError):
            call()
    assert told.told == [("live", version) for version in range(1, 5)]


def test_settings(desk: Desk, clock: Callable[[], int]) -> None:
    told = Told(desk.store, Setting)
    settings = Settings(desk.store, clock, on_change=told)
    settings.put("a", {"secret": "no"}, ADMIN)
    settings.put("a", 2, ADMIN, if_version=1)
    with pytest.raises(ChorusError):
        settings.put("a", 3, ADMIN, if_version=1)
    assert told.told == [("a", 1), ("a", 2)]


class Switched:
    """An engine whose trading is switched; it may have done so although it does not answer."""

    def __init__(self) -> None:
        self.modes: dict[str, TradingMode] = {}
        self.answers = True

    def trading(self) -> dict[str, TradingMode]:
        return self.modes

    def set_trading(self, mode: TradingMode, account: str | None = None) -> None:
        self.modes[account or ""] = mode
        if not self.answers:
            raise ServiceAwayError("order manager: no answer")


@pytest.mark.parametrize(("account", "caller"), [("a-ann", ANN), (None, ADMIN)])
def test_trading(desk: Desk, clock: Callable[[], int], account: str | None, caller: Caller) -> None:
    engine, told = Switched(), list[tuple[str, int | None, TradingMode]]()

    def tell(name: str, version: int | None) -> None:
        told.append((name, version, engine.modes[name]))

    switch = TradingSwitch(desk.store, desk.accounts, engine, clock, on_change=tell)
    name = account or ""
    switch.turn("halt", account, caller)
    with pytest.raises(ChorusError):
        switch.turn("resume", account, BOB)
    assert told == [(name, None, "halted")]
    engine.answers = False
    with pytest.raises(ServiceAwayError):
        switch.turn("reduce", account, caller)
    assert told[1:] == [(name, None, "reduce")]
