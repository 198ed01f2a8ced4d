"""Accounts are their owners', with balances to the digit."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.deployments import configured
from engine.errors import ConfigError, ConflictError, NotFoundError
from tests.engine.deployments.conftest import ADMIN, ANN, BOB, EVE, Desk


def test_an_account_is_found_with_its_balances(desk: Desk) -> None:
    made = desk.accounts.create("second", {"BTC": Decimal("0.10"), "USDT": Decimal("1E+3")}, ANN)
    found = desk.accounts.get(made.id, ANN)
    assert found.balances == {"BTC": "0.1", "USDT": "1000"}
    assert (found.venue, found.is_enabled, found.credentials) == ("paper", True, None)


def test_others_see_none_of_it(desk: Desk) -> None:
    for caller in (BOB, EVE):
        with pytest.raises(NotFoundError):
            desk.accounts.get("a-ann", caller)
    assert [a.id for a in desk.accounts.page(BOB).items] == ["a-bob"]
    assert len(desk.accounts.page(ADMIN).items) == 3
    with pytest.raises(NotFoundError):
        desk.accounts.enable("a-ann", BOB, is_enabled=False)


def test_names_are_taken_once_per_owner(desk: Desk) -> None:
    with pytest.raises(ConflictError, match="'u-ann': there is one of that name"):
        desk.accounts.create("u-ann", {"USDT": Decimal(1)}, ANN)
    desk.accounts.create("u-ann", {"USDT": Decimal(1)}, BOB)


def test_one_of_two_changes_of_the_same_version_is_refused(desk: Desk) -> None:
    assert desk.accounts.enable("a-ann", ANN, is_enabled=False, if_version=1).version == 2
    with pytest.raises(ConflictError, match="has version 2 by now, not 1"):
        desk.accounts.enable("a-ann", ANN, is_enabled=True, if_version=1)


@pytest.mark.parametrize(
    ("name", "balances", "message"),
    [
        ("", {"USDT": 1}, "name: needs 1 to 64"),
        (" x", {"USDT": 1}, "name: needs 1 to 64"),
        ("x" * 65, {"USDT": 1}, "name: needs 1 to 64"),
        ("x\n", {"USDT": 1}, "name: needs 1 to 64"),
        ("x", {}, "balances: need one currency"),
        ("x", {"usdt": 1}, "balances: 'usdt' is no currency"),
        ("x", {"USDT": 0}, "balances.USDT: must be above 0"),
        ("x", {"USDT": "NaN"}, "balances.USDT: must be above 0"),
        ("x", {"USDT": "1e20"}, "balances.USDT: .* below 1e20"),
    ],
)
def test_what_makes_no_sense_is_refused(
    desk: Desk, name: str, balances: dict[str, object], message: str
) -> None:
    amounts = {currency: Decimal(str(amount)) for currency, amount in balances.items()}
    with pytest.raises(ConfigError, match=message):
        desk.accounts.create(name, amounts, ANN)


def test_limits_reach_the_engine_as_they_were_given(desk: Desk) -> None:
    limits = {"max_drawdown": Decimal("0.25"), "max_open_positions": 3}
    made = desk.accounts.create("tight", {"USDT": Decimal(5)}, ANN, limits=limits)
    config = configured(desk.accounts.get(made.id, ANN))
    assert (config.id, config.balances) == (made.id, {"USDT": Decimal(5)})
    assert (config.max_drawdown, config.max_open_positions) == (Decimal("0.25"), 3)
    assert config.max_daily_loss is None
    with pytest.raises(ConfigError, match="maxDrawdown: Input should be less than"):
        desk.accounts.create("loose", {"USDT": Decimal(5)}, ANN, limits={"max_drawdown": 2})
