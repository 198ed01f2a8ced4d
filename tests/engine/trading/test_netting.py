"""Policy `net`: one order per account and symbol, shared out exactly."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.money import UNIT
from engine.trading.netting import apportion
from engine.types import Action, OrderRequest, OrderType, Side, Signal
from tests.examples import examples

SYMBOL = "BTC/USDT"
FLAT = (100, 100, 100, 100)
CLOSE = Signal(Action.CLOSE, SYMBOL)


def want(quantity: Any) -> Any:
    action = Action.BUY if quantity > 0 else Action.SELL
    return Signal(action, SYMBOL, quantity=abs(Decimal(str(quantity))))


NET_ROWS = [
    # wishes of a, b, c; price with 1 % slippage at an open of 100; fee at 100 bps; net; crossed
    ((2, 1, 1), "101", "4.04", "4", "0"),
    ((3, -1, 0), "101", "2.02", "2", "1"),
    ((1, -3, 0), "99", "1.98", "-2", "1"),
    ((1, -1, 0), "100", "0", "0", "1"),
    ((1, 1, -3), "99", "0.99", "-1", "2"),
]


@pytest.mark.parametrize("row", NET_ROWS)
def test_opposing_wishes_cross_and_the_rest_goes_to_market(scene: Any, row: Any) -> None:
    wishes, price, fee, net, crossed = row
    stage = scene(
        *({"id": name} for name in "abc"),
        policy="net",
        execution={"slippage_bps": 100, "taker_fee_bps": 100},
    )
    stage.step(FLAT, {n: want(q) for n, q in zip("abc", wishes, strict=True) if q})
    stage.step(FLAT)
    fills = [fill for name in "abc" for fill in stage.fills(name)]
    assert {fill.price for fill in fills} == {Decimal(price)}
    assert sum(fill.fee for fill in fills) == Decimal(fee)
    for name, quantity in zip("abc", wishes, strict=True):
        assert stage.position(name).quantity == quantity
    (record,) = stage.manager.ledger.nets()
    assert (record.quantity, record.crossed, record.fee) == tuple(map(Decimal, (net, crossed, fee)))
    assert record.order_id == "net|paper|paper:BTC/USDT|0"


def test_fee_is_shared_pro_rata_to_the_last_unit(scene: Any) -> None:
    stage = scene(
        *({"id": name} for name in "abc"), policy="net", execution={"taker_fee_bps": "0.0001"}
    )
    stage.step(FLAT, {"a": want(1), "b": want(1), "c": want(1)})
    stage.step((0.01, 0.01, 0.01, 0.01))
    fees = [stage.fills(name)[0].fee for name in "abc"]
    assert fees == [Decimal(0)] * 3  # 3 x 0.01 x 1e-8 is below half a unit of money
    stage = scene(
        *({"id": name} for name in "abc"), policy="net", execution={"taker_fee_bps": "0.0001"}
    )
    stage.step(FLAT, {"a": want(1), "b": want(1), "c": want(2)})
    stage.step((2.5, 2.5, 2.5, 2.5))  # fee 1e-7: ten units for weights 1, 1, 2
    assert [stage.fills(name)[0].fee / UNIT for name in "abc"] == [3, 2, 5]


def test_exits_and_entries_net_against_each_other(scene: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b"}, policy="net", execution={"taker_fee_bps": 10})
    stage.step(FLAT, {"a": want(2)})
    stage.step(FLAT, {"a": CLOSE, "b": want(2)})
    stage.step(FLAT)
    assert stage.position("a").quantity == 0
    assert stage.position("b").quantity == 2
    assert stage.fills("a")[1].fee == stage.fills("b")[0].fee == 0


def test_partial_fills_keep_the_proportions(scene: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b"}, {"id": "c"}, policy="net",
                  execution={"volume_share": "0.1"})  # fmt: skip
    stage.step(FLAT, {"a": want(4), "b": want(2), "c": want(-2)})
    for volume in (10, 0.001, 20, 100):
        stage.step((100, 100, 100, 100, volume))
    shares = [[(f.quantity, f.leaves) for f in stage.fills(name)] for name in "abc"]
    assert shares == [
        [(1, 3), (2, 1), (1, 0)],
        [(Decimal("0.5"), Decimal("1.5")), (1, Decimal("0.5")), (Decimal("0.5"), 0)],
        [(Decimal("0.5"), Decimal("1.5")), (1, Decimal("0.5")), (Decimal("0.5"), 0)],
    ]
    assert [record.quantity for record in stage.manager.ledger.nets()] == [1, 2, 1]


def test_withdrawn_child_leaves_the_net_order(scene: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b"}, policy="net")
    stage.step(FLAT, {"a": want(2), "b": want(-2)})
    stage.manager.withdraw("b", "test")
    stage.step(FLAT)
    assert stage.position("a").quantity == 2
    assert stage.position("b").quantity == 0
    assert [record.quantity for record in stage.manager.ledger.nets()] == [2]


def test_child_the_capital_does_not_carry_is_cut_before_netting(scene: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b"}, policy="net", balance="300")
    stage.step(FLAT, {"a": want(2), "b": want(1)})
    stage.step((150, 150, 150, 150))
    assert [stage.position(name).quantity for name in "ab"] == [
        Decimal("1.333"),
        Decimal("0.666"),
    ]
    assert stage.wallet().committed <= stage.wallet().balance
    assert stage.cancels("a") == [("0", "capital")]


def test_several_exits_of_one_position_close_it_once(scene: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b"}, policy="net")
    stage.step(FLAT, {"a": want(2)})
    reduce = OrderRequest(SYMBOL, Side.SELL, OrderType.MARKET, Decimal(2), reduce_only=True)
    stage.step(FLAT, {"a": [reduce, reduce], "b": want(1)})
    stage.step(FLAT)
    assert [fill.quantity for fill in stage.fills("a")] == [2, 2]
    assert stage.cancels("a") == [("1", "flat")]
    assert stage.position("a").quantity == 0
    assert stage.manager.ledger.nets()[-1].quantity == -1


def test_limit_orders_are_not_netted(scene: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b"}, policy="net")
    resting = Signal(Action.SELL, SYMBOL, limit_price=Decimal(105))
    stage.step(FLAT, {"a": want(1), "b": resting})
    stage.step((100, 106, 100, 100))
    assert [record.quantity for record in stage.manager.ledger.nets()] == [1]
    assert stage.fills("b")[0].price == 105


def test_tick_fills_a_net_order(scene: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b"}, policy="net")
    stage.step(FLAT, {"a": want(2), "b": want(-1)})
    stage.tick(10, 99.0)
    assert stage.fills("a")[0].price == stage.fills("b")[0].price == 99


def test_latency_fills_a_net_order_at_the_close(scene: Any) -> None:
    stage = scene({"id": "a"}, {"id": "b"}, policy="net", execution={"latency_ms": 5})
    stage.step(FLAT, {"a": want(2), "b": want(-1)})
    stage.step((100, 110, 90, 105))
    assert stage.fills("a")[0].price == 105


@examples(60)
@given(
    weights=st.lists(st.integers(0, 1000), min_size=1, max_size=8).filter(any),
    total=st.integers(0, 10_000),
)
def test_parts_add_up_and_stay_within_a_step_of_their_share(weights: Any, total: Any) -> None:
    whole = sum(weights)
    parts = apportion(Decimal(total), [Decimal(w) for w in weights], Decimal(1))
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * whole - total * weight) < whole
        assert total > whole or part <= weight
