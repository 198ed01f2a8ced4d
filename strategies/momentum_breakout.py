"""MOMENTUM_BREAKOUT: buy a new high that volume or trend strength confirms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from engine.config import StrategyConfig
from engine.instance.services import StrategyServices
from engine.types import Candle
from indicators import IndicatorSpec, spec
from strategies.base import Strategy, StrategyMetadata

__all__ = ["MomentumBreakout"]

_LARGEST_STOP = 0.99


class MomentumBreakout(Strategy):
    """Trades closes outside the price channel of the candles before.

    Long from a close above the highest high of the `channel_period` candles before it until a
    close below the lowest low of the `exit_period` candles before it; short is the mirror image.
    `confirm_by` demands more of an entry: ``volume`` that its z-score over `volume_period` is at
    least `min_volume_z`, ``adx`` that the ADX is at least `min_adx`. The stop of an entry is
    `atr_multiple` average true ranges away, or the fraction `stop_loss` with ``stop: fixed``.

    Source of the idea: R. Donchian's channel rule, as in Faith, "Way of the Turtle" (2007).
    """

    metadata: ClassVar[StrategyMetadata] = StrategyMetadata(
        type="MOMENTUM_BREAKOUT",
        name="Momentum breakout",
        description="Buys closes above the channel of recent highs when volume or ADX confirms, "
        "with an ATR or fixed stop; leaves below the channel of recent lows.",
        tags=("trend", "breakout", "donchian"),
    )
    warmup_candles = 1  # the channel is that of the candle before
    state_fields = ("_before",)
    history_candles = 0

    @classmethod
    def get_parameters_schema(cls) -> dict[str, Any]:
        """Return the schema; periods are candles, fractions are of the price."""
        live = {"x-updatable": True}
        period = {"type": "integer", "minimum": 2, "maximum": 1000}
        return {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "channel_period": {**period, "default": 20},
                "exit_period": {**period, "default": 10},
                "confirm_by": {"enum": ["volume", "adx", "none"], "default": "volume"},
                "volume_period": {**period, "default": 20},
                "min_volume_z": {
                    "type": "number",
                    "minimum": -5,
                    "maximum": 10,
                    "default": 1.0,
                    **live,
                },
                "adx_period": {**period, "default": 14},
                "min_adx": {"type": "number", "minimum": 0, "maximum": 100, "default": 20, **live},
                "stop": {"enum": ["atr", "fixed"], "default": "atr"},
                "atr_period": {**period, "default": 14},
                "atr_multiple": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "maximum": 20,
                    "default": 2.0,
                    **live,
                },
                "stop_loss": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "maximum": 0.5,
                    "default": 0.02,
                    **live,
                },
                "allow_short": {"type": "boolean", "default": False, **live},
            },
        }

    @classmethod
    def indicator_specs(
        cls, config: StrategyConfig, parameters: Mapping[str, Any]
    ) -> Mapping[str, IndicatorSpec]:
        """Return the channels and what the chosen confirmation and stop read."""
        del config
        entry, leave = (
            {"period": parameters["channel_period"]},
            {"period": parameters["exit_period"]},
        )
        specs = {
            "entry_high": spec("max", entry, source="high"),
            "entry_low": spec("min", entry, source="low"),
            "exit_high": spec("max", leave, source="high"),
            "exit_low": spec("min", leave, source="low"),
        }
        if parameters["confirm_by"] == "volume":
            window = {"period": parameters["volume_period"]}
            specs["volume_mean"] = spec("sma", window, source="volume")
            specs["volume_deviation"] = spec("stddev", window, source="volume")
        elif parameters["confirm_by"] == "adx":
            specs["adx"] = spec("adx", {"period": parameters["adx_period"]})
        if parameters["stop"] == "atr":
            specs["atr"] = spec("atr", {"period": parameters["atr_period"]})
        return specs

    def on_init(self, services: StrategyServices) -> None:
        """Look the indicators up once."""
        indicators = services.market_data.indicators
        names = self.indicator_specs(services.config, services.parameters)
        self._slots = indicators.slots
        self._slot = {name: indicators.slot(name) for name in names}
        self._channel = tuple(
            self._slot[name] for name in ("entry_high", "entry_low", "exit_high", "exit_low")
        )
        self._order = services.order
        self._position = services.position
        self._before = [0.0, 0.0, 0.0, 0.0]
        self.on_parameters(services.parameters)

    def on_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Take the thresholds."""
        self._confirm_by: str = parameters["confirm_by"]
        self._min_volume_z: float = parameters["min_volume_z"]
        self._min_adx: float = parameters["min_adx"]
        self._atr_multiple: float | None = (
            parameters["atr_multiple"] if parameters["stop"] == "atr" else None
        )
        self._stop_loss: float = parameters["stop_loss"]
        self._allow_short: bool = parameters["allow_short"]

    def on_history(self, candle: Candle) -> None:
        """Remember the channels for the candle that follows."""
        del candle
        slots = self._slots
        high, low, exit_high, exit_low = self._channel
        self._before = [slots[high], slots[low], slots[exit_high], slots[exit_low]]

    def on_candle(self, candle: Candle) -> None:
        """Compare the close with the channels of the candle before."""
        high, low, exit_high, exit_low = self._before
        self.on_history(candle)
        close = candle.close
        position = self._position
        if position.is_long:
            if close < exit_low:
                self._order.close(reason=f"close below {exit_low:.10g}")
        elif position.is_short:
            if close > exit_high:
                self._order.close(reason=f"close above {exit_high:.10g}")
        elif close > high:
            if self._is_confirmed(candle):
                self._order.buy(stop_loss=self._stop(close), reason=f"close above {high:.10g}")
        elif close < low and self._allow_short and self._is_confirmed(candle):
            self._order.sell(stop_loss=self._stop(close), reason=f"close below {low:.10g}")

    def _is_confirmed(self, candle: Candle) -> bool:
        slots, slot = self._slots, self._slot
        if self._confirm_by == "volume":
            deviation = slots[slot["volume_deviation"]]
            excess = candle.volume - slots[slot["volume_mean"]]
            return deviation > 0.0 and excess >= self._min_volume_z * deviation
        if self._confirm_by == "adx":
            return slots[slot["adx"]] >= self._min_adx
        return True

    def _stop(self, close: float) -> float | None:
        """Return the stop as a fraction of the price; None where the range is zero."""
        if self._atr_multiple is None:
            return self._stop_loss
        distance = self._atr_multiple * self._slots[self._slot["atr"]] / close
        return min(distance, _LARGEST_STOP) if distance > 0.0 else None
