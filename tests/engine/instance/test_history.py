"""Histories as columns: shared by instances, of any length, with candles indicators refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import CandleError, ChorusError
from engine.instance import CandleHistory, Instance, Restart, Status
from engine.instance.buffer import COLUMNS, CandleBuffer
from engine.instance.testing import Desk, random_candles
from engine.market import CandleColumns
from strategies import Candle, Fill, IndicatorSpec, Strategy, StrategyMetadata, spec
from tests.examples import examples

Make = Callable[..., Instance]
BTC_STREAM, ETH_STREAM = "paper:BTC/USDT:1m", "paper:ETH/USDT:1m"
BTC = [msgspec.structs.replace(candle, gap=candle.seq % 3) for candle in random_candles(90, seed=1)]
ETH = random_candles(90, seed=2, stream=ETH_STREAM, price=10.0)
BOTH = [candle for pair in zip(BTC, ETH, strict=True) for candle in pair]


class Remembering(Strategy):
    """Keeps all it has learned in its state; shows all it can see in what it asks for."""

    metadata = StrategyMetadata(type="REMEMBERING")
    state_fields = ("trend",)
    history_candles = 0

    @classmethod
    def indicator_specs(cls, config: object, parameters: Any) -> dict[str, IndicatorSpec]:
        return {"mean": spec("ema", {"period": 5}), "vwap": spec("rolling_vwap", {"period": 4})}

    def on_init(self, services: object) -> None:
        self.trend = 0.0

    def on_history(self, candle: Candle) -> None:
        self.trend = 0.5 * self.trend + candle.close

    def on_candle(self, candle: Candle) -> None:
        self.on_history(candle)
        data = self.services.market_data
        rows = data.candles(candle.stream).rows().tolist()
        reason = f"{self.trend} {data.indicators.slots} {data.last} {rows}"
        self.services.order.buy() if candle.seq % 4 else self.services.order.close(reason=reason)

    def on_order_filled(self, fill: Fill) -> None:
        self.trend += float(len(str(self.services.market_data.last)))


class Learning(Remembering):
    metadata = StrategyMetadata(type="LEARNING")
    state_fields = ()
    history_candles = None

    def on_order_filled(self, fill: Fill) -> None:
        """Learn from candles alone, so that candles bring it back."""


class Recent(Learning):
    metadata = StrategyMetadata(type="RECENT")
    history_candles = 60  # 0.5 ** 60 of a price is beyond its last bit


TWO = {"symbols": ["BTC/USDT", "ETH/USDT"], "bufferCandles": 12}


def histories(*lists: list[Candle]) -> dict[str, CandleHistory]:
    return {candles[0].stream: CandleHistory.of(candles) for candles in lists}


@pytest.mark.parametrize("cut", [0, 1, 2, 9, 30, 31, 120, 179])
def test_several_streams_come_back_from_columns_and_from_candles(make: Make, cut: int) -> None:
    first = make(Remembering, **TWO)
    desk = Desk(first)
    desk.play(BOTH[:cut])
    restored = [make(Remembering, **TWO), make(Remembering, **TWO)]
    restored[0].restore(first.snapshot(), histories(BTC, ETH))
    restored[1].restore(first.snapshot(), BOTH[:cut])
    for candle in BOTH[cut:]:
        assert {one.snapshot() for one in restored} == {first.snapshot()}
        assert len({one.metrics().last_update for one in (first, *restored)}) == 1
        events = list(desk.match(candle))
        for one in restored:
            for event in events:
                one.on_event(event)
        decision = first.on_candle(candle)
        assert [one.on_candle(candle) for one in restored] == [decision] * 2
        if decision is not None:
            for event in desk.decide(decision):
                for one in restored:
                    one.on_event(event)


@pytest.mark.parametrize("cls", [Remembering, Learning, Recent])
def test_a_history_may_hold_more_than_an_instance_has_seen(make: Make, cls: type[Strategy]) -> None:
    first = make(cls)
    desk = Desk(first)
    desk.play(BTC[13:70])
    second = make(cls)
    second.restore(first.snapshot(), histories(BTC, ETH))
    assert second.snapshot() == first.snapshot()
    decisions = [[one.on_candle(candle) for candle in BTC[70:]] for one in (first, second)]
    assert decisions[0] == decisions[1]
    assert sum(decision is not None for decision in decisions[0]) > 10


def test_types_that_learn_from_several_streams_need_them_in_their_order(make: Make) -> None:
    first = make(Learning, **TWO)
    Desk(first).play(BOTH[:100])
    with pytest.raises(ChorusError, match=r"paper:ETH/USDT:1m in their original order"):
        make(Learning, **TWO).restore(first.snapshot(), histories(BTC, ETH))
    for cls in (Learning, Recent):
        first = make(cls, **TWO)
        Desk(first).play(BOTH)
        second = make(cls, **TWO)
        second.restore(first.snapshot(), BOTH)
        assert second.snapshot() == first.snapshot()
        assert second._strategy.trend == first._strategy.trend  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ([], r"history of 'paper:BTC/USDT:1m' holds candles none, the snapshot needs \[0, 50\)"),
        ([BTC[:49]], r"holds candles \[0, 49\), the snapshot needs \[0, 50\)"),
        ([BTC[60:]], r"holds candles \[60, 90\), the snapshot needs \[0, 50\)"),
        ([BTC[1:]], r"holds candles \[1, 50\), the snapshot needs \[0, 50\)"),
    ],
)
def test_columns_that_lack_candles_are_refused(
    make: Make, held: list[list[Candle]], message: str
) -> None:
    first = make(Remembering)
    Desk(first).play(BTC[:50])
    with pytest.raises(ChorusError, match=message):
        make(Remembering).restore(first.snapshot(), histories(*held))


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (BTC[:49], r"holds candles \[0, 49\), the snapshot needs \[0, 50\)"),
        (BTC[:51], r"goes beyond the snapshot: candle 50, it ends before 50"),
        ([*BTC[:20], *BTC[21:50]], r"candle 21 arrived, 20 is missing"),
        ([*BTC[:50], ETH[0]], r"candle of stream 'paper:ETH/USDT:1m', it listens to"),
    ],
)
def test_listed_candles_have_to_be_exactly_what_is_needed(
    make: Make, history: list[Candle], message: str
) -> None:
    first = make(Remembering)
    Desk(first).play(BTC[:50])
    with pytest.raises(ChorusError, match=message):
        make(Remembering).restore(first.snapshot(), history)


def test_a_stream_without_indicators_needs_only_its_full_buffer(make: Make) -> None:
    first = make(Remembering, **TWO)
    Desk(first).play(BOTH)
    make(Remembering, **TWO).restore(first.snapshot(), histories(BTC, ETH[-12:]))
    with pytest.raises(ChorusError, match="history of 'paper:ETH/USDT:1m'"):
        make(Remembering, **TWO).restore(first.snapshot(), histories(BTC, ETH[-11:]))


@pytest.mark.parametrize("field", ["open", "high", "low", "close", "volume"])
@pytest.mark.parametrize("bad", [{0}, {0, 1, 2}, {40}, {3, 30, 31, 59}, set(range(60))])
def test_candles_that_indicators_refused_leave_no_trace_in_them(
    make: Make, field: str, bad: set[int]
) -> None:
    value = 1e150 if field == "volume" else math.nan
    candles = [
        msgspec.structs.replace(candle, **{field: value}) if candle.seq in bad else candle
        for candle in BTC
    ]
    first = make(Remembering)
    for candle in candles[:60]:
        first.on_candle(candle)
        if first.status is Status.ERROR:
            first.on_command(Restart())
    second, third = make(Remembering), make(Remembering)
    second.restore(first.snapshot(), histories(candles))
    third.restore(first.snapshot(), candles[:60])
    for candle in candles[60:]:
        managers = [one._indicators for one in (first, second, third)]
        assert len({repr((it.slots, it.ready, it.anchor)) for it in managers}) == 1
        assert len({repr(one.on_candle(candle)) for one in (first, second, third)}) == 1


def test_a_history_gives_its_candles_back() -> None:
    history = CandleHistory.of(BTC[7:])
    assert (history.stream, history.first_seq, history.end_seq) == (BTC_STREAM, 7, 90)
    assert history.candles(7, 90) == BTC[7:]
    assert history.candles(20, 21) == BTC[20:21]


def test_columns_of_the_market_are_a_history() -> None:
    fields = {
        name: np.array([getattr(candle, name) for candle in BTC]) for name in (*COLUMNS, "gap")
    }
    history = CandleHistory(BTC_STREAM, CandleColumns(timeframe_ms=60_000, **fields))
    assert history.candles(0, 90) == BTC


@pytest.mark.parametrize(
    ("candles", "message"),
    [
        ([], "needs at least one candle"),
        ([BTC[0], BTC[2]], "needs candle 1 next, got 2 of 'paper:BTC/USDT:1m'"),
        ([BTC[0], ETH[1]], "needs candle 1 next, got 1 of 'paper:ETH/USDT:1m'"),
        ([BTC[0], BTC[0]], "needs candle 1 next, got 0"),
    ],
)
def test_a_history_is_of_consecutive_candles(candles: list[Candle], message: str) -> None:
    with pytest.raises(CandleError, match=message):
        CandleHistory.of(candles)


@examples(60)
@given(capacity=st.integers(1, 70), filled=st.integers(0, 90), more=st.integers(0, 90))
def test_a_filled_buffer_goes_on_as_one_that_was_appended_to(
    capacity: int, filled: int, more: int
) -> None:
    buffers = CandleBuffer(capacity), CandleBuffer(capacity)
    columns = [np.array([getattr(candle, name) for candle in BTC[:filled]]) for name in COLUMNS]
    buffers[0].fill(columns)
    for candle in BTC[:filled]:
        buffers[1].append(candle)
    for candle in [*ETH[:more], None]:
        assert len(buffers[0]) == len(buffers[1])
        assert buffers[0].rows().tolist() == buffers[1].rows().tolist()
        if candle is not None:
            for buffer in buffers:
                buffer.append(candle)
