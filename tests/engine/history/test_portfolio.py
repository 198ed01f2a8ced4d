"""What accounts hold adds up, and what is not known is not made up."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.errors import NotFoundError
from engine.history import AccountHoldings, History
from engine.store import Store
from tests.engine.history.conftest import ADMIN, ANN, BOB, EVE, a_fill, a_position, an_order

MARKS = {"BTC/USDT": Decimal(110), "ETH/USDT": Decimal(20)}


@pytest.fixture
def held(people: Store) -> Store:
    """Ann's account: a long and a short position of hers, and what an earlier run paid."""
    with people.write() as session:
        session.add_all([an_order("o"), an_order("old", run_id="r0")])
        session.flush()
        session.add_all(
            [
                a_fill("o#1"),
                a_fill("o#2", symbol="ETH/USDT", fee=Decimal("0.25")),
                a_fill("o#3", fee=Decimal("0.001"), fee_currency="BNB"),
                a_fill("old#1", run_id="r0", fee=Decimal(99)),
                a_position(),
                a_position(
                    symbol="ETH/USDT",
                    quantity=Decimal(-3),
                    cost=Decimal(75),
                    realized=Decimal("-1.25"),
                ),
                a_position(symbol="DOGE/EUR", quantity=Decimal(0), realized=Decimal(4)),
            ]
        )
    return people


def portfolio(store: Store, marks: dict[str, Decimal]) -> AccountHoldings:
    [found] = History(store, marks=lambda: marks).portfolio(ANN)
    return found


def test_money_adds_up_and_positions_are_worth_what_the_last_price_says(held: Store) -> None:
    found = portfolio(held, MARKS)
    usdt, bnb, eur = found.currencies
    assert (usdt.currency, usdt.start, usdt.realized) == ("USDT", Decimal(1000), Decimal(6))
    assert usdt.fees == Decimal("0.75")
    assert usdt.balance == Decimal("1005.25")
    assert usdt.unrealized == Decimal(20) + Decimal(15)
    assert usdt.equity == Decimal("1040.25")
    assert (bnb.currency, bnb.balance, bnb.equity) == ("BNB", Decimal("-0.001"), Decimal("-0.001"))
    assert (eur.currency, eur.start, eur.equity) == ("EUR", Decimal(0), Decimal(4))
    assert [(p.symbol, p.mark, p.unrealized) for p in found.positions] == [
        ("BTC/USDT", Decimal(110), Decimal(20)),
        ("ETH/USDT", Decimal(20), Decimal(15)),
    ]


@pytest.mark.parametrize("known", [{}, {"BTC/USDT": Decimal(110)}, {"ETH/USDT": Decimal(20)}])
def test_without_a_last_price_there_is_no_equity(held: Store, known: dict[str, Decimal]) -> None:
    found = portfolio(held, known)
    assert found.currencies[0].unrealized is found.currencies[0].equity is None
    assert found.currencies[0].balance == Decimal("1005.25")
    assert {p.symbol: p.mark for p in found.positions} == {
        "BTC/USDT": known.get("BTC/USDT"),
        "ETH/USDT": known.get("ETH/USDT"),
    }


def test_accounts_are_shown_to_their_owners(held: Store) -> None:
    history = History(held)
    for caller, accounts in ((ANN, ["a-ann"]), (BOB, ["a-bob"]), (EVE, [])):
        assert [each.account.id for each in history.portfolio(caller)] == accounts
    assert len(history.portfolio(ADMIN)) == 2
    assert [each.account.id for each in history.portfolio(ADMIN, account="a-bob")] == ["a-bob"]
    for caller, account in ((ANN, "a-bob"), (EVE, "a-ann"), (ADMIN, "x")):
        with pytest.raises(NotFoundError, match=f"account '{account}': there is none"):
            history.portfolio(caller, account=account)
