"""What a strategy's code says: bounded, and without a trace in what it decides."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from engine.catalog import LoadedType
from engine.config import StrategyConfig
from engine.instance import Instance, SaidLine, build
from engine.instance.testing import random_candles
from strategies import Candle, Strategy, StrategyMetadata
from tests.examples import examples

CANDLES = random_candles(60, seed=3)


class Talker(Strategy):
    """Says something at every candle, and buys at every tenth."""

    metadata = StrategyMetadata(type="TALKER")
    state_fields = ("seen",)
    words = 1

    def on_init(self, services: object) -> None:
        self.seen = 0
        self.services.log.info("ready")

    def on_candle(self, candle: Candle) -> None:
        self.seen += 1
        for _ in range(self.words):
            text = f"candle {self.seen} {candle.close}"
            self.services.log.debug(text)
        if self.seen % 10 == 0:
            self.services.log.warning({"buys": self.seen})
            self.services.order.buy()


class Silent(Talker):
    metadata = StrategyMetadata(type="TALKER")
    words = 0


class Flooding(Talker):
    metadata = StrategyMetadata(type="TALKER")
    words = 100


def instance(kind: type[Strategy]) -> Instance:
    config = StrategyConfig.model_validate(
        {"id": "one", "type": "TALKER", "symbol": "BTC/USDT", "timeframe": "1m"}
    )
    return build(
        config, LoadedType(kind, Path(__file__), "h", kind.metadata), capital=Decimal(1000)
    )


def test_lines_tell_the_candle_and_are_taken_once() -> None:
    made = instance(Talker)
    made.on_candle(CANDLES[0])
    said = [(line.level, line.candle_ms, line.text) for line in made.log.take()]
    assert said == [
        ("info", -1, "ready"),
        ("debug", CANDLES[0].close_time, f"candle 1 {CANDLES[0].close}"),
    ]
    assert made.log.take() == []


def test_a_flood_is_bounded_and_says_what_is_left_out() -> None:
    made = instance(Flooding)
    for candle in CANDLES[:3]:
        made.on_candle(candle)
    said = made.log.take()
    assert len(said) == 21
    assert said[-1].text == "281 more lines were left out: there were too many at once"
    assert max(len(line.text) for line in said) <= 500


def test_whoever_talks_decides_the_same_and_is_stored_the_same() -> None:
    talker, silent, flooding = map(instance, (Talker, Silent, Flooding))
    for number, candle in enumerate(CANDLES):
        assert talker.on_candle(candle) == silent.on_candle(candle) == flooding.on_candle(candle)
        if number % 7 == 0:
            talker.log.take()
    assert talker.snapshot() == silent.snapshot() == flooding.snapshot()


@given(st.text(st.characters(), max_size=40) | st.just("\ud800 half"))
@examples(100)
def test_any_text_can_be_sent(text: str) -> None:
    made = instance(Silent)
    made.log.take()
    made.log.info(text)
    (line,) = made.log.take()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(line), type=SaidLine) == line


def test_anything_can_be_said() -> None:
    made = instance(Silent)
    for candle in CANDLES[:10]:
        made.on_candle(candle)
    assert [line.text for line in made.log.take()] == ["ready", "{'buys': 10}"]
