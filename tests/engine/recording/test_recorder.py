"""What is on record is what the order manager did, each line once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from sqlalchemy import select

from engine.errors import ConfigError, StoreError
from engine.recording import Owner, RecordingError
from engine.recording.lines import FillLine, parse_line
from engine.store import Fill, Order, Position, Recording, Signal, Store
from engine.trading import OrderManager
from engine.trading.records import SignalRecord, intent_line
from engine.types import Action, CancelRequest, Intent, OrderRequest, OrderType, Side
from engine.types import Signal as Wish
from tests.engine.recording.ledgers import (
    NAMES,
    OWNERS,
    a_ledger,
    a_recorder,
    contents,
    record_all,
    rows_of,
)
from tests.examples import examples
from tests.stores import an_empty_store

policies = st.sampled_from(["independent", "net", "priority", "first"])
seeds = st.integers(0, 10**6)
LEDGER, MANAGER = a_ledger("independent", 3)


def wish(intent: Intent, code: str = "accepted", order_id: str = "", number: int = 0) -> bytes:
    record = SignalRecord(5, 60_000, "a", f"a|s|{number}|0", intent, code, "why", order_id)
    return intent_line(record)


# ------------------------------------------------------------------ what is on record


def assert_positions_are(store: Store, run_id: str, manager: OrderManager) -> None:
    with store.read() as session:
        found = session.scalars(select(Position).where(Position.run_id == run_id)).all()
    kept = {(row.strategy_id, row.symbol): row for row in found}
    for name in NAMES:
        for state in manager.positions(name):
            row = kept.pop((name, state.symbol), None)
            if row is None:
                assert (state.quantity, state.realised) == (0, 0)
                continue
            assert row.account_id == OWNERS[name].account_id
            assert row.quantity == state.quantity
            assert row.cost == state.cost
            assert row.entry_price == state.average_price
            assert row.realized == state.realised
    assert kept == {}


@examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(policies, seeds)
def test_positions_orders_and_fills_are_those_of_the_order_manager(
    store: Store, policy: str, seed: int
) -> None:
    lines, manager = a_ledger(policy, seed)
    recorder = a_recorder(store)
    run = recorder._run_id
    assert record_all(recorder, lines) == len(lines)
    assert_positions_are(store, run, manager)
    with store.read() as session:
        orders = {row.id: row for row in session.scalars(select(Order).where(Order.run_id == run))}
        fills = session.scalars(select(Fill).where(Fill.run_id == run)).all()
        signals = session.scalars(select(Signal).where(Signal.run_id == run)).all()
    working = {}
    for name in NAMES:
        for record in manager.ledger.orders(name):
            row = orders[f"{run}|{record.order.order_id}"]
            working[row.id] = row
            status = {"working": "open", "filled": "filled"}.get(record.state, "canceled")
            assert (row.status, row.reason) == (
                status,
                record.state if status == "canceled" else "",
            )
            assert (row.quantity, row.price) == (record.order.quantity, record.order.price)
            assert row.signal_id == f"{run}|{record.order.intent_id}"
    assert {row.status for id_, row in orders.items() if id_ not in working} <= {"rejected"}
    expected = [record for name in NAMES for record in manager.ledger.fills(name)]
    assert {row.id for row in fills} == {f"{run}|{record.fill.fill_id}" for record in expected}
    filled = dict.fromkeys(working, Decimal(0))
    for each in fills:
        filled[each.order_id] += each.quantity
        assert each.fee_currency == "USDT"
    assert {id_: row.filled for id_, row in working.items()} == filled
    assert sum(row.realized or 0 for row in fills) == sum(r.realised for r in expected)
    assert len(signals) == sum(len(manager.ledger.signals(name)) for name in NAMES)


def test_a_fill_has_its_line_and_a_profit_only_where_it_closes_something(store: Store) -> None:
    record_all(a_recorder(store, run_id="r"), LEDGER)
    held: dict[tuple[str, str], Decimal] = {}
    profits = {row["id"]: row["realized"] for row in rows_of(store, Fill)}
    lines = {row["id"]: row["line"] for row in rows_of(store, Fill)}
    for number, line in enumerate(map(parse_line, LEDGER)):
        if isinstance(line, FillLine):
            before = held.get((line.instance, line.symbol), Decimal(0))
            closes = before * line.side.sign < 0
            assert lines[f"r|{line.fill_id}"] == number
            assert profits[f"r|{line.fill_id}"] == (line.realised if closes else None)
            held[line.instance, line.symbol] = before + line.side.sign * line.quantity
    assert None in profits.values()


def test_signals_requests_and_cancels_keep_all_that_was_asked_for(store: Store) -> None:
    one = Decimal("1.50")
    lines = [
        wish(Wish(Action.BUY, "BTC/USDT", 0.25, "up", one, one, one, one, one), "accepted", "o", 1),
        wish(Wish(Action.HOLD, "BTC/USDT"), "recorded", "", 2),
        wish(OrderRequest("BTC/USDT", Side.SELL, OrderType.STOP, one, one, True), "flat", "", 3),
        wish(CancelRequest("o", "enough"), "accepted", "", 4),
    ]
    recorder = a_recorder(store, run_id="r", clock=lambda: 99)
    record_all(recorder, lines)
    signal, hold, request, cancel = rows_of(store, Signal)
    assert signal == {
        "id": "r|a|s|1|0",
        "run_id": "r",
        "strategy_id": "a",
        "at_ms": 60_000,
        "recorded_ms": 99,
        "kind": "signal",
        "action": "BUY",
        "symbol": "BTC/USDT",
        "order_type": None,
        **dict.fromkeys(("quantity", "price", "stop_loss", "take_profit", "trailing_stop"), one),
        "is_reduce_only": False,
        "confidence": Decimal("0.25"),
        "reason": "up",
        "code": "accepted",
        "detail": "why",
        "order_id": "r|o",
    }
    assert (hold["action"], hold["code"], hold["order_id"]) == ("HOLD", "recorded", None)
    assert (request["kind"], request["action"], request["order_type"]) == (
        "request",
        "SELL",
        "stop",
    )
    assert request["is_reduce_only"] is True
    assert (cancel["kind"], cancel["action"], cancel["order_id"]) == ("cancel", "CANCEL", "r|o")
    assert (cancel["symbol"], cancel["confidence"]) == (None, None)
    (rejected,) = rows_of(store, Order)
    assert (rejected["id"], rejected["status"]) == (request["id"], "rejected")
    assert rejected["reason"] == "flat: why"
    assert (rejected["kind"], rejected["role"], rejected["side"]) == ("stop", "exit", "sell")


def test_whatever_a_strategy_asks_for_can_be_kept(store: Store) -> None:
    long, dark = "S" * 500, "a\0b"
    vast = Decimal("1e300")
    lines = [
        wish(Wish(Action.BUY, long, 1e300, dark, vast, Decimal("1e-300")), "unknown_symbol"),
        wish(OrderRequest(dark, Side.BUY, OrderType.LIMIT, vast, vast), "bad_order", "", 1),
        wish(CancelRequest(dark * 900, dark), "unknown_order", "", 2),
        wish(Wish(Action.BUY, "BTC/USDT", float("nan")), "capital", "", 3),
    ]
    assert record_all(a_recorder(store), lines) == 4
    first, second, third, fourth = rows_of(store, Signal)
    assert (first["symbol"], first["quantity"], first["price"]) == (long, vast, Decimal("1e-300"))
    assert (first["confidence"], first["reason"]) == (Decimal("1e300"), "a\ufffdb")
    assert second["symbol"] == third["reason"] == "a\ufffdb"
    assert fourth["confidence"] is None


def test_what_nobody_knows_is_on_record_all_the_same(store: Store) -> None:
    recorder = a_recorder(store, whose=lambda _: None)
    assert record_all(recorder, LEDGER) == len(LEDGER)
    assert {row["account_id"] for row in rows_of(store, Fill)} == {""}


# ------------------------------------------------------------------ once


@pytest.fixture
def undisturbed(tmp_path: Path) -> Iterator[Store]:
    with an_empty_store(tmp_path / "undisturbed.db") as store:
        record_all(a_recorder(store, run_id="r"), LEDGER)
        yield store


@pytest.mark.parametrize("seed", range(3))
def test_batches_of_any_size_that_overlap_give_the_same(
    store: Store, undisturbed: Store, seed: int
) -> None:
    rng = random.Random(seed)
    at = a_recorder(store, run_id="r").position()
    while at < len(LEDGER):
        recorder = a_recorder(store, run_id="r")  # whoever goes on knows nothing
        first = max(0, at - rng.randrange(9))
        at = recorder.apply(first, LEDGER[first : at + rng.randrange(12)])
        assert recorder.position() == at
    assert contents(store) == contents(undisturbed)


def test_lines_that_are_on_record_change_nothing(store: Store) -> None:
    recorder = a_recorder(store)
    record_all(recorder, LEDGER)
    before = contents(store)
    assert recorder.apply(0, LEDGER) == len(LEDGER)
    assert recorder.apply(0, LEDGER[:3]) == len(LEDGER)
    assert recorder.apply(7, []) == len(LEDGER)
    assert contents(store) == before


def test_more_than_fits_into_one_transaction_is_recorded_in_several(
    store: Store, undisturbed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.recording.recorder.MAX_LINES", 13)
    record_all(a_recorder(store, run_id="r"), LEDGER)
    assert contents(store) == contents(undisturbed)


def test_a_gap_is_refused(store: Store) -> None:
    recorder = a_recorder(store)
    recorder.apply(0, LEDGER[:5])
    with pytest.raises(RecordingError, match="lines from 6 on cannot be recorded, 5 is the next"):
        recorder.apply(6, LEDGER[6:9])
    assert recorder.position() == 5


def test_another_ledger_is_refused(store: Store) -> None:
    recorder = a_recorder(store)
    recorder.apply(0, LEDGER[:5])
    other = [*LEDGER[:4], LEDGER[5], *LEDGER[5:9]]
    before = contents(store)
    with pytest.raises(RecordingError, match="line 4 is not the one on record"):
        recorder.apply(3, other[3:])
    assert contents(store) == before


def test_a_damaged_line_is_named_and_nothing_of_its_batch_written(store: Store) -> None:
    recorder = a_recorder(store)
    recorder.apply(0, LEDGER[:5])
    before = contents(store)
    with pytest.raises(RecordingError, match=r"line 8: ledger: a line cannot be read"):
        recorder.apply(5, [*LEDGER[5:8], LEDGER[8][:-9], *LEDGER[9:]])
    assert contents(store) == before
    assert recorder.apply(5, LEDGER[5:]) == len(LEDGER)


def test_a_fill_of_an_order_nobody_accepted_is_refused(store: Store) -> None:
    place, line = next(
        (place, line) for place, line in enumerate(LEDGER) if line.startswith(b'["fill"')
    )
    recorder = a_recorder(store)
    with pytest.raises(RecordingError, match=r"line 0: order .* must have been accepted before"):
        recorder.apply(0, [line])
    assert recorder.apply(0, LEDGER[: place + 1]) == place + 1


def test_a_store_that_cannot_be_written_leaves_nothing_behind(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = a_recorder(store)
    recorder.apply(0, LEDGER[:5])
    before = contents(store)

    def fail(*_: object) -> None:
        raise StoreError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(recorder._outbox, "put", fail)
        with pytest.raises(StoreError, match="no room"):
            recorder.apply(5, LEDGER[5:])
    assert contents(store) == before
    assert recorder.position() == 5


@pytest.mark.parametrize("name", ["", "a|b", "x" * 65])
def test_ids_that_cannot_stand_in_others_are_refused(store: Store, name: str) -> None:
    with pytest.raises(ConfigError, match="engine: needs 1 to 64"):
        a_recorder(store, engine=name)


# ------------------------------------------------------------------ runs


def test_ids_of_two_runs_never_meet(store: Store) -> None:
    record_all(a_recorder(store, run_id="one"), LEDGER)
    record_all(a_recorder(store, run_id="two"), LEDGER)
    ids = [row["id"] for row in rows_of(store, Fill)]
    assert len(ids) == 2 * sum(line.startswith(b'["fill"') for line in LEDGER)


def test_a_new_run_of_an_engine_begins_flat_and_ends_what_the_old_one_left_open(
    store: Store,
) -> None:
    record_all(a_recorder(store, run_id="one"), LEDGER)
    record_all(a_recorder(store, run_id="other", engine="elsewhere"), LEDGER)
    before = {row["id"]: row["status"] for row in rows_of(store, Order)}
    ended = {id_ for id_, was in before.items() if was == "open" and id_.startswith("one|")}
    assert ended
    assert a_recorder(store, run_id="two").position() == 0
    assert {row["run_id"] for row in rows_of(store, Position)} <= {"other"}
    after = {row["id"]: row["status"] for row in rows_of(store, Order)}
    assert after == {**before, **dict.fromkeys(ended, "canceled")}


def test_an_engine_that_goes_back_to_a_run_has_it_recorded_anew(store: Store) -> None:
    record_all(a_recorder(store, run_id="one"), LEDGER)
    before = contents(store)
    record_all(a_recorder(store, run_id="two"), LEDGER[:20])
    again = a_recorder(store, run_id="one")
    assert record_all(again, LEDGER) == len(LEDGER)

    def of_one(found: dict[str, list[dict[str, object]]]) -> dict[str, list[dict[str, object]]]:
        return {
            table: [row for row in rows if row.get("run_id") == "one"]
            for table, rows in found.items()
        }

    assert of_one(contents(store)) == of_one(before)
    with store.read() as session:
        kept = {row.run_id: row.lines for row in session.scalars(select(Recording))}
    assert kept == {"one": len(LEDGER), "two": 0}


def test_accounts_and_owners_are_asked_for_each_time(store: Store) -> None:
    accounts = iter(["first", "second"])
    owner: dict[str, Owner] = {}

    def whose(name: str) -> Owner:
        return owner[name]

    recorder = a_recorder(store, whose=whose)
    for lines in (LEDGER[:20], LEDGER):
        account = next(accounts)
        owner.update({name: Owner(name, "u", account) for name in NAMES})
        recorder.apply(0, lines)
    assert {row["account_id"] for row in rows_of(store, Order)} == {"first", "second"}
