"""Each built-in type against a plain loop over TA-Lib arrays that knows nothing of instances."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import talib

from engine.catalog import default_folders, discover
from engine.config import StrategyConfig
from engine.errors import ConfigError
from engine.instance import Instance, Update, build
from engine.instance.testing import Desk, random_candles
from engine.types import Action, Candle
from strategies import Side

TYPES = discover(default_folders()).types
COUNT = 900
Columns = dict[str, np.ndarray]
Wish = Callable[[int, int], str | None]


def new(type_name: str, **parameters: Any) -> Instance:
    config = StrategyConfig.model_validate(
        {
            "id": "one",
            "type": type_name,
            "symbol": "BTC/USDT",
            "timeframe": "1m",
            "parameters": parameters,
        }
    )
    return build(config, TYPES[type_name], capital=Decimal(1000))


def market(seed: int) -> tuple[list[Candle], Columns]:
    candles = random_candles(COUNT, seed=seed, volatility=0.004)
    names = ("open", "high", "low", "close", "volume")
    return candles, {
        name: np.array([getattr(candle, name) for candle in candles]) for name in names
    }


def expected(wish: Wish, start: int) -> list[tuple[int, str]]:
    """Walk over the candles; what is wished at one close is held from the next candle on."""
    held, wishes = 0, []
    for i in range(start, COUNT):
        wanted = wish(i, held)
        if wanted is not None:
            wishes.append((i, wanted))
            held = {"BUY": 1, "SELL": -1, "CLOSE": 0}[wanted]
    return wishes


def played(instance: Instance, candles: list[Candle]) -> list[tuple[int, str]]:
    decisions = Desk(instance).play(candles)
    assert instance.errors == 0
    return [(decision.seq, str(decision.intents[0].action)) for decision in decisions]


@pytest.mark.parametrize("allow_short", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_ema_cross(seed: int, *, allow_short: bool) -> None:
    candles, columns = market(seed)
    spread = talib.EMA(columns["close"], 5) - talib.EMA(columns["close"], 20)

    def wish(i: int, held: int) -> str | None:
        if spread[i - 1] <= 0 < spread[i] and held <= 0:
            return "BUY"
        if spread[i - 1] >= 0 > spread[i]:
            if allow_short and held >= 0:
                return "SELL"
            if not allow_short and held > 0:
                return "CLOSE"
        return None

    instance = new("EMA_CROSS", fast_period=5, slow_period=20, allow_short=allow_short)
    wishes = played(instance, candles)
    assert wishes == expected(wish, 20)
    assert len(wishes) > 20


@pytest.mark.parametrize("allow_short", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_mean_reversion(seed: int, *, allow_short: bool) -> None:
    candles, columns = market(seed)
    close = columns["close"]
    upper, mean, _ = talib.BBANDS(close, 15, 1.0, 1.0)
    z = (close - mean) / (upper - mean)
    rsi = talib.RSI(close, 7)

    def wish(i: int, held: int) -> str | None:
        if held > 0:
            return "CLOSE" if z[i] >= 0.3 else None
        if held < 0:
            return "CLOSE" if z[i] <= -0.3 else None
        if z[i] <= -1.5 and rsi[i] < 40:
            return "BUY"
        if allow_short and z[i] >= 1.5 and rsi[i] > 60:
            return "SELL"
        return None

    instance = new(
        "MEAN_REVERSION",
        period=15,
        entry_z=1.5,
        exit_z=-0.3,
        rsi_period=7,
        oversold=40,
        overbought=60,
        allow_short=allow_short,
    )
    wishes = played(instance, candles)
    assert wishes == expected(wish, 14)
    assert len(wishes) > 20


@pytest.mark.parametrize("confirm_by", ["volume", "adx", "none"])
@pytest.mark.parametrize("allow_short", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_momentum_breakout(seed: int, confirm_by: str, *, allow_short: bool) -> None:
    candles, columns = market(seed)
    close, volume = columns["close"], columns["volume"]
    ceiling, floor = talib.MAX(columns["high"], 12), talib.MIN(columns["low"], 12)
    exit_high, exit_low = talib.MAX(columns["high"], 6), talib.MIN(columns["low"], 6)
    adx = talib.ADX(columns["high"], columns["low"], close, 8)
    atr = talib.ATR(columns["high"], columns["low"], close, 10)
    confirmed = {
        "volume": volume - talib.SMA(volume, 20) >= 0.5 * talib.STDDEV(volume, 20),
        "adx": adx >= 25,
        "none": np.full(COUNT, fill_value=True),
    }[confirm_by]

    def wish(i: int, held: int) -> str | None:
        if held > 0:
            return "CLOSE" if close[i] < exit_low[i - 1] else None
        if held < 0:
            return "CLOSE" if close[i] > exit_high[i - 1] else None
        if confirmed[i] and close[i] > ceiling[i - 1]:
            return "BUY"
        if confirmed[i] and allow_short and close[i] < floor[i - 1]:
            return "SELL"
        return None

    instance = new(
        "MOMENTUM_BREAKOUT",
        channel_period=12,
        exit_period=6,
        confirm_by=confirm_by,
        min_volume_z=0.5,
        adx_period=8,
        min_adx=25,
        atr_period=10,
        atr_multiple=3,
        allow_short=allow_short,
    )
    ready = {"volume": 19, "adx": 15, "none": 11}[confirm_by]
    decisions = Desk(instance).play(candles)
    wishes = [(decision.seq, str(decision.intents[0].action)) for decision in decisions]
    assert instance.errors == 0
    assert wishes == expected(wish, ready + 1)
    assert len(wishes) > 10
    for decision in decisions:
        signal = decision.intents[0]
        if signal.action is not Action.CLOSE:
            i = decision.seq
            assert float(signal.stop_loss) == pytest.approx(3 * atr[i] / close[i], rel=1e-9)


def test_a_fixed_stop_is_taken_as_it_is() -> None:
    candles, _ = market(0)
    instance = new("MOMENTUM_BREAKOUT", confirm_by="none", stop="fixed", stop_loss=0.015)
    entries = [d for d in Desk(instance).play(candles) if d.intents[0].action is Action.BUY]
    assert entries
    assert {entry.intents[0].stop_loss for entry in entries} == {Decimal("0.015")}


def test_a_fast_average_that_is_not_faster_is_refused() -> None:
    with pytest.raises(ConfigError, match="fast_period must be below slow_period, is 30 with 30"):
        new("EMA_CROSS", fast_period=30, slow_period=30)


@pytest.mark.parametrize("type_name", ["EMA_CROSS", "MEAN_REVERSION", "MOMENTUM_BREAKOUT"])
def test_going_short_can_be_switched_on_while_it_runs(type_name: str) -> None:
    candles, _ = market(1)
    instance = new(type_name)
    desk = Desk(instance)
    desk.play(candles[:450])
    assert not any(fill.side is Side.SELL and fill.role == "entry" for fill in desk.fills)
    instance.on_command(Update({"allow_short": True}))
    desk.play(candles[450:])
    assert any(fill.side is Side.SELL and fill.role == "entry" for fill in desk.fills)


def test_prices_that_do_not_move_are_no_opportunity() -> None:
    still = [
        Candle("paper:BTC/USDT:1m", i, i * 60_000, (i + 1) * 60_000, 5.0, 5.0, 5.0, 5.0, 1.0)
        for i in range(200)
    ]
    for type_name in ("EMA_CROSS", "MEAN_REVERSION", "MOMENTUM_BREAKOUT"):
        instance = new(type_name)
        assert Desk(instance).play(still) == []
        assert instance.errors == 0
