"""Everybody reads its own history, all of it, page by page, and nobody else's."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.access import Caller
from engine.errors import ConfigError, NotFoundError
from engine.history import History, Selection
from engine.store import Store, Strategy
from tests.engine.history.conftest import (
    ADMIN,
    ANN,
    BOB,
    EVE,
    a_fill,
    a_position,
    a_signal,
    an_execution,
    an_order,
)

ALL = Selection()


@pytest.fixture
def traded(people: Store) -> Store:
    """Return the store with six orders, a fill and a position each."""
    whose = [("s-ann", "a-ann"), ("s-bob", "a-bob"), ("bot", "a-bob")]
    with people.write() as session:
        for n in range(6):
            strategy, account = whose[n % 3]
            own = {"strategy_id": strategy, "account_id": account}
            side = "sell" if n > 2 else "buy"
            status = "open" if n == 4 else "filled"
            session.add(an_order(f"o{n}", created_ms=n // 2, side=side, status=status, **own))
            session.flush()
            session.add(a_fill(f"o{n}#1", at_ms=n // 2, side=side, symbol=f"X{n}/USDT", **own))
            session.add(a_position(symbol=f"X{n}/USDT", quantity=Decimal(n % 2), **own))
    return people


def ids(page: Any) -> list[str]:
    return [row.id for row in page.items]


@pytest.mark.parametrize(
    ("caller", "orders"),
    [
        (ANN, ["o3", "o0"]),
        (BOB, ["o5", "o4", "o2", "o1"]),
        (EVE, []),
        (ADMIN, ["o5", "o4", "o3", "o2", "o1", "o0"]),
    ],
)
def test_one_sees_what_its_strategies_and_subscriptions_did(
    traded: Store, caller: Caller, orders: list[str]
) -> None:
    history = History(traded)
    assert ids(history.orders(caller, ALL)) == orders
    assert ids(history.fills(caller, ALL)) == [f"{order}#1" for order in orders]
    symbols = [row.symbol for row in history.positions(caller, Selection(sort="-symbol")).items]
    assert symbols == [f"X{order[1]}/USDT" for order in orders]


@pytest.mark.parametrize(
    ("selection", "orders"),
    [
        (Selection(strategy="bot"), ["o5", "o2"]),
        (Selection(account="a-ann"), ["o3", "o0"]),
        (Selection(side="buy"), ["o2", "o1", "o0"]),
        (Selection(status="open"), ["o4"]),
        (Selection(since_ms=1, until_ms=2), ["o3", "o2"]),
        (Selection(symbol="Y/Z"), []),
        (Selection(sort="created"), ["o0", "o1", "o2", "o3", "o4", "o5"]),
        (Selection(strategy="s-ann", side="sell", since_ms=1), ["o3"]),
    ],
)
def test_lists_are_narrowed(traded: Store, selection: Selection, orders: list[str]) -> None:
    assert ids(History(traded).orders(ADMIN, selection)) == orders


@pytest.mark.parametrize("sort", ["created", "-created", "updated", "-updated"])
def test_pages_together_are_the_list(traded: Store, sort: str) -> None:
    history = History(traded)
    whole = ids(history.orders(ADMIN, Selection(sort=sort)))
    found, after = [], None
    while True:
        page = history.orders(ADMIN, Selection(sort=sort, limit=2, after=after))
        found += ids(page)
        after = page.next
        if after is None:
            break
    assert found == whole
    assert len(found) == 6


@pytest.mark.parametrize("sort", ["updated", "symbol", "-symbol"])
def test_positions_have_pages_too(traded: Store, sort: str) -> None:
    history = History(traded)
    first = history.positions(ADMIN, Selection(sort=sort, limit=4))
    rest = history.positions(ADMIN, Selection(sort=sort, after=first.next))
    assert len({row.symbol for row in [*first.items, *rest.items]}) == 6
    assert rest.next is None


def test_positions_are_open_or_flat(traded: Store) -> None:
    history = History(traded)
    by_symbol = Selection(sort="symbol")
    found = {
        is_open: [
            row.symbol[1] for row in history.positions(ADMIN, by_symbol, is_open=is_open).items
        ]
        for is_open in (True, False)
    }
    assert found == {True: ["1", "3", "5"], False: ["0", "2", "4"]}


def test_a_list_says_what_it_cannot_be_sorted_by(history: History) -> None:
    with pytest.raises(ConfigError, match="sort: must be one of created, updated, got 'price'"):
        history.orders(ANN, Selection(sort="price"))


def test_an_order_comes_with_its_fills_as_they_came(people: Store, history: History) -> None:
    with people.write() as session:
        session.add(an_order("o"))
        session.flush()
        session.add_all(a_fill(f"o#{n}", at_ms=5) for n in (10, 9, 1))
    order, fills = history.order("o", ANN)
    assert (order.id, [fill.id for fill in fills]) == ("o", ["o#1", "o#9", "o#10"])
    assert history.order("o", ADMIN)[0].id == "o"
    for caller, order_id in ((BOB, "o"), (EVE, "o"), (ANN, "x")):
        with pytest.raises(NotFoundError, match=f"order '{order_id}': there is none"):
            history.order(order_id, caller)


def test_signals_and_executions_are_of_one_strategy(people: Store, history: History) -> None:
    with people.write() as session:
        session.add_all(a_signal(f"g{n}", at_ms=n, code="cooldown") for n in range(3))
        session.add(a_signal("g9", at_ms=9))
        session.add(a_signal("other", strategy_id="s-bob"))
        session.add_all(an_execution(n, result="no_signal") for n in range(3))
        session.add(an_execution(0, strategy_id="s-bob"))
    assert ids(history.signals("s-ann", ANN, ALL)) == ["g9", "g2", "g1", "g0"]
    assert ids(history.signals("s-ann", ADMIN, Selection(code="accepted"))) == ["g9"]
    assert ids(history.signals("s-ann", ANN, Selection(sort="at", since_ms=1, limit=2))) == [
        "g1",
        "g2",
    ]
    intervals = history.executions("s-ann", ANN, Selection(status="no_signal", limit=2))
    assert [row.interval_ms for row in intervals.items] == [2, 1]
    rest = history.executions("s-ann", ANN, Selection(status="no_signal", after=intervals.next))
    assert [row.interval_ms for row in rest.items] == [0]
    assert history.executions("s-ann", ANN, Selection(status="failed")).items == []


def read_of(history: History, what: str, caller: Caller) -> object:
    return {
        "signals": lambda: history.signals("s-ann", caller, ALL),
        "executions": lambda: history.executions("s-ann", caller, ALL),
        "performance": lambda: history.performance("s-ann", caller),
        "equity": lambda: history.equity("s-ann", caller),
        "own": lambda: history.require_own("s-ann", caller),
    }[what]()


EVERYTHING = ["signals", "executions", "performance", "equity", "own"]
SHOWN = {"signals", "performance", "equity"}


@pytest.mark.parametrize("what", EVERYTHING)
def test_what_is_private_is_not_there_for_others_even_if_they_follow(
    history: History, what: str
) -> None:
    for caller in (ANN, ADMIN):
        read_of(history, what, caller)
    for caller in (BOB, EVE):
        with pytest.raises(NotFoundError, match="strategy 's-ann': there is none"):
            read_of(history, what, caller)


@pytest.mark.parametrize("what", EVERYTHING)
def test_of_a_public_strategy_others_see_what_it_wanted_and_made(
    people: Store, history: History, what: str
) -> None:
    with people.write() as session:
        session.get_one(Strategy, "s-ann").visibility = "public"
    if what in SHOWN:
        read_of(history, what, EVE)
    else:
        with pytest.raises(NotFoundError):
            read_of(history, what, EVE)
    with people.write() as session:
        session.get_one(Strategy, "s-ann").deleted_ms = 5
    with pytest.raises(NotFoundError):
        read_of(history, what, EVE)
    read_of(history, what, ANN)


def test_a_subscription_has_a_performance_of_its_own(people: Store, history: History) -> None:
    with people.write() as session:
        own = {"strategy_id": "bot", "account_id": "a-bob"}
        session.add(an_order("b", **own))
        session.flush()
        session.add(a_fill("b#1", **own))
    found = history.performance("bot", BOB)
    assert (found.fills, found.capital, found.net) == (1, Decimal(250), Decimal("-0.5"))
    assert history.equity("bot", BOB).points == [(10, Decimal("249.5"))]
    assert history.performance("s-ann", ANN).fills == 0
    with pytest.raises(NotFoundError):
        history.performance("bot", ANN)


def test_capital_is_not_known_where_the_account_has_no_longer_what_it_is_in(
    people: Store, history: History
) -> None:
    with people.write() as session:
        strategy = session.get_one(Strategy, "s-ann")
        strategy.config = strategy.config | {"symbol": "ETH/BTC"}
    found = history.performance("s-ann", ANN)
    assert (found.currency, found.capital, found.total_return) == ("BTC", None, None)
