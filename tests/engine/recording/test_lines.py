"""What is read of a line is what was written; what cannot be read is refused."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.recording import RecordingError
from engine.recording.lines import (
    CanceledLine,
    CancelLine,
    FillLine,
    IntentLine,
    Line,
    NetLine,
    OrderLine,
    RequestLine,
    SignalLine,
    TradingLine,
    WithdrawnLine,
    parse_line,
)
from engine.trading import records
from engine.trading.records import (
    NetRecord,
    SignalRecord,
    cancel_line,
    fill_line,
    intent_line,
    mode_line,
    net_line,
    order_line,
    withdrawal_line,
)
from engine.types import (
    Action,
    CancelRequest,
    Fill,
    Intent,
    OrderAccepted,
    OrderCanceled,
    OrderRequest,
    OrderRole,
    OrderType,
    Side,
    Signal,
)
from tests.examples import examples

texts = st.text(st.characters(codec="utf-8"), max_size=20)
amounts = st.decimals(-(10**12), 10**12, places=8)
maybe = st.none() | amounts
times = st.integers(0, 2**45)
confidences = st.floats(allow_nan=False, allow_infinity=False)
sides, types, roles = st.sampled_from(Side), st.sampled_from(OrderType), st.sampled_from(OrderRole)

signals = st.builds(
    Signal, st.sampled_from(Action), texts, confidences, texts, maybe, maybe, maybe, maybe, maybe
)
requests = st.builds(
    OrderRequest, texts, sides, types, amounts, maybe, st.booleans(), texts, confidences
)
cancels = st.builds(CancelRequest, texts, texts)
intents = st.builds(
    SignalRecord, times, times, texts, texts, signals | requests | cancels, texts, texts, texts
)
orders = st.tuples(
    times,
    st.builds(
        OrderAccepted,
        *(texts, texts, texts, texts, sides, types, roles, amounts, maybe, maybe, times),
    ),
    texts,
)
fills = st.tuples(
    times,
    st.builds(
        Fill,
        *(texts, texts, texts, texts, sides, roles, amounts, amounts, amounts, amounts, times),
    ),
    amounts,
)
canceled = st.tuples(times, st.builds(OrderCanceled, texts, texts, texts, texts, times))
nets = st.builds(NetRecord, times, times, texts, texts, texts, amounts, amounts, amounts, amounts)
others = st.tuples(times, times, texts, texts)


def record_of(line: Line) -> object:
    """Return the record a line was made of."""
    match line:
        case OrderLine():
            terms = line.symbol, line.side, line.type, line.role
            numbers = line.quantity, line.price, line.trail
            ids = line.instance, line.order_id, line.intent_id
            return line.slice, OrderAccepted(*ids, *terms, *numbers, line.time), line.net
        case FillLine():
            ids = line.instance, line.fill_id, line.order_id
            what = line.symbol, line.side, line.role
            sums = line.quantity, line.price, line.fee, line.leaves
            return line.slice, Fill(*ids, *what, *sums, line.time), line.realised
        case CanceledLine():
            ids = line.instance, line.order_id, line.symbol
            return line.slice, OrderCanceled(*ids, line.reason, line.time)
        case NetLine():
            ids = line.account, line.order_id, line.symbol
            amounts = line.quantity, line.crossed, line.price, line.fee
            return NetRecord(line.slice, line.time, *ids, *amounts)
        case WithdrawnLine() | TradingLine():
            return msgspec.structs.astuple(line)
    return intent_record(line)


def intent_record(line: IntentLine) -> SignalRecord:
    order_id = line.order_id
    match line:
        case SignalLine():
            levels = line.stop_loss, line.take_profit, line.trailing_stop
            wanted = line.quantity, line.limit_price
            how = _number(line.confidence), line.reason
            intent: Intent = Signal(line.action, line.symbol, *how, *wanted, *levels)
        case RequestLine():
            terms = line.symbol, line.side, line.type, line.quantity, line.price
            how = line.reason, _number(line.confidence)
            intent = OrderRequest(*terms, line.reduce_only, *how)
        case CancelLine():
            intent, order_id = CancelRequest(line.order_id, line.reason), ""
    ids = line.slice, line.time, line.instance, line.intent_id
    return SignalRecord(*ids, intent, line.code, line.detail, order_id)


def _number(value: float | None) -> float:
    assert value is not None
    return value


@examples(300)
@given(intents)
def test_signals_requests_and_cancels_are_read_as_they_were_written(record: SignalRecord) -> None:
    found = record_of(parse_line(intent_line(record)))
    if isinstance(record.intent, CancelRequest):  # a cancel makes no order
        record = SignalRecord(*(getattr(record, f) for f in record.__struct_fields__[:-1]), "")
    assert found == record


@examples(200)
@given(orders, fills, canceled, nets, others)
def test_what_became_of_them_is_read_as_it_was_written(
    order: tuple[int, OrderAccepted, str],
    fill: tuple[int, Fill, Decimal],
    cancel: tuple[int, OrderCanceled],
    net: NetRecord,
    other: tuple[int, int, str, str],
) -> None:
    assert record_of(parse_line(order_line(*order))) == order
    assert record_of(parse_line(fill_line(*fill))) == fill
    assert record_of(parse_line(cancel_line(*cancel))) == cancel
    assert record_of(parse_line(net_line(net))) == net
    assert record_of(parse_line(withdrawal_line(*other))) == other
    assert record_of(parse_line(mode_line(*other))) == other


def test_every_kind_of_line_can_be_read() -> None:
    table = re.findall(r"^(\w+) +slice, time", str(records.__doc__), re.MULTILINE)
    assert {line.__struct_config__.tag for line in get_args(Line)} == set(table)
    assert len(table) == 9


def test_a_confidence_that_is_no_number_is_none() -> None:
    signal = Signal(Action.BUY, "BTC/USDT", float("nan"))
    line = parse_line(intent_line(SignalRecord(0, 0, "a", "a|0", signal, "accepted", "", "")))
    assert isinstance(line, SignalLine)
    assert line.confidence is None


@examples(100)
@given(fills, st.data())
def test_a_line_that_was_cut_or_changed_in_length_is_refused(
    fill: tuple[int, Fill, Decimal], data: st.DataObject
) -> None:
    line = fill_line(*fill)
    end = data.draw(st.integers(0, len(line) - 2))
    with pytest.raises(RecordingError, match="a line cannot be read"):
        parse_line(line[:end])


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{}",
        b"null",
        b'["dividend",1,2,"a","x"]\n',
        b'["withdrawn",1,2,"a"]\n',
        b'["withdrawn",1,2,"a","x","more"]\n',
        b'["withdrawn",1,"2","a","x"]\n',
        b'["withdrawn",1,2,"\xff","x"]\n',
        b'["withdrawn",1,2,"a","x"]\n["withdrawn",1,2,"a","x"]\n',
        b'["canceled",1,2,"a","o","BTC/USDT"]\n',
        b'["net",1,2,"paper","n","BTC/USDT","ten","0","1","0"]\n',
    ],
)
def test_what_is_no_line_is_refused(line: bytes) -> None:
    with pytest.raises(RecordingError, match=r"damaged, or written by another version"):
        parse_line(line)
