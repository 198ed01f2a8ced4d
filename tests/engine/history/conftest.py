"""Two users with a strategy each, one of which the other follows, and what was traded."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.access import Caller
from engine.history import History
from engine.store import (
    Account,
    Execution,
    Fill,
    Order,
    Position,
    Signal,
    Store,
    Strategy,
    Subscription,
    User,
)

ANN, BOB = Caller("u-ann", "trader"), Caller("u-bob", "trader")
EVE, ADMIN = Caller("u-eve", "viewer"), Caller("u-admin", "admin")

CONFIG = {"symbol": "BTC/USDT", "timeframe": "15m", "type": "EMA_CROSS"}


def an_order(order_id: str, **changes: Any) -> Order:
    fields = {
        "id": order_id,
        "run_id": "r1",
        "strategy_id": "s-ann",
        "account_id": "a-ann",
        "signal_id": order_id,
        "slice": 1,
        "symbol": "BTC/USDT",
        "side": "buy",
        "kind": "market",
        "role": "entry",
        "quantity": Decimal(1),
        "status": "filled",
        "reason": "",
        "created_ms": 10,
        "updated_ms": 10,
    }
    return Order(**(fields | changes))


def a_fill(fill_id: str, **changes: Any) -> Fill:
    fields = {
        "id": fill_id,
        "order_id": fill_id.partition("#")[0],
        "run_id": "r1",
        "strategy_id": "s-ann",
        "account_id": "a-ann",
        "symbol": "BTC/USDT",
        "side": "buy",
        "role": "entry",
        "quantity": Decimal(1),
        "price": Decimal(100),
        "fee": Decimal("0.5"),
        "fee_currency": "USDT",
        "at_ms": 10,
    }
    return Fill(**(fields | changes))


def a_position(strategy_id: str = "s-ann", **changes: Any) -> Position:
    fields = {
        "strategy_id": strategy_id,
        "account_id": "a-ann",
        "symbol": "BTC/USDT",
        "run_id": "r1",
        "quantity": Decimal(2),
        "cost": Decimal(200),
        "entry_price": Decimal(100),
        "realized": Decimal("7.25"),
        "updated_ms": 10,
    }
    return Position(**(fields | changes))


def a_signal(signal_id: str, **changes: Any) -> Signal:
    fields = {
        "id": signal_id,
        "run_id": "r1",
        "strategy_id": "s-ann",
        "at_ms": 10,
        "recorded_ms": 11,
        "kind": "signal",
        "action": "BUY",
        "symbol": "BTC/USDT",
        "confidence": Decimal("0.8"),
        "reason": "rsi < 25",
        "code": "accepted",
    }
    return Signal(**(fields | changes))


def an_execution(interval_ms: int, **changes: Any) -> Execution:
    fields = {
        "strategy_id": "s-ann",
        "interval_ms": interval_ms,
        "recorded_ms": interval_ms,
        "worker": "w",
        "duration_us": 80,
        "result": "success",
        "subscribers": 1,
        "trades": 2,
    }
    return Execution(**(fields | changes))


def a_strategy(name: str, **changes: Any) -> Strategy:
    fields = {
        "id": f"s-{name}",
        "owner_id": f"u-{name}",
        "account_id": f"a-{name}",
        "given": {},
        "config": {"id": f"s-{name}", "account": f"a-{name}", **CONFIG},
        "desired": "running",
        "created_ms": 1,
        "updated_ms": 1,
    }
    return Strategy(**(fields | changes))


@pytest.fixture
def people(store: Store) -> Store:
    """Return the store with users, accounts and strategies, and Bob following Ann's."""
    with store.write() as session:
        for caller in (ANN, BOB, EVE, ADMIN):
            user_id = str(caller.user_id)
            session.add(User(id=user_id, name=user_id, role=caller.role, created_ms=0))
        session.flush()
        for name in ("ann", "bob"):
            session.add(
                Account(
                    id=f"a-{name}",
                    owner_id=f"u-{name}",
                    name="paper",
                    venue="paper",
                    balances={"USDT": "1000"},
                    limits={},
                    created_ms=0,
                )
            )
        session.flush()
        session.add_all([a_strategy("ann"), a_strategy("bob")])
        session.flush()
        session.add(
            Subscription(
                id="bot",
                owner_id="u-bob",
                strategy_id="s-ann",
                account_id="a-bob",
                capital=Decimal(250),
                risk={},
                status="active",
                created_ms=2,
            )
        )
    return store


@pytest.fixture
def history(people: Store) -> History:
    return History(people)
