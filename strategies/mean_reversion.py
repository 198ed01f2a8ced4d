"""MEAN_REVERSION: buy what fell unusually far, sell it when it is back at its mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from engine.config import StrategyConfig
from engine.instance.services import StrategyServices
from engine.types import Candle
from indicators import IndicatorSpec, spec
from strategies.base import Strategy, StrategyMetadata

__all__ = ["MeanReversion"]


class MeanReversion(Strategy):
    """Trades the distance of the close from its moving average, confirmed by RSI.

    z = (close - mean) / standard deviation, both over `period` closes: the distance from the
    middle of a Bollinger band in widths of one deviation. Long from z <= -entry_z with RSI below
    `oversold` until z >= -exit_z; short is the mirror image. Where the closes do not move
    (deviation 0), z is undefined and nothing happens.
    """

    metadata: ClassVar[StrategyMetadata] = StrategyMetadata(
        type="MEAN_REVERSION",
        name="Mean reversion",
        description="Buys closes far below their moving average when RSI agrees, leaves at the "
        "average; optionally the same from above, short.",
        tags=("mean reversion", "bollinger", "rsi"),
    )

    @classmethod
    def get_parameters_schema(cls) -> dict[str, Any]:
        """Return the schema; periods are candles, z is in standard deviations."""
        live = {"x-updatable": True}
        return {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "period": {"type": "integer", "minimum": 2, "maximum": 1000, "default": 20},
                "entry_z": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "maximum": 10,
                    "default": 2.0,
                    **live,
                },
                "exit_z": {"type": "number", "minimum": -5, "maximum": 5, "default": 0.0, **live},
                "rsi_period": {"type": "integer", "minimum": 2, "maximum": 500, "default": 14},
                "oversold": {
                    "type": "number",
                    "minimum": 0,
                    "maximum": 100,
                    "default": 35,
                    **live,
                },
                "overbought": {
                    "type": "number",
                    "minimum": 0,
                    "maximum": 100,
                    "default": 65,
                    **live,
                },
                "allow_short": {"type": "boolean", "default": False, **live},
            },
        }

    @classmethod
    def indicator_specs(
        cls, config: StrategyConfig, parameters: Mapping[str, Any]
    ) -> Mapping[str, IndicatorSpec]:
        """Return a band of one standard deviation and the RSI."""
        del config
        width = {"nbdevup": 1.0, "nbdevdn": 1.0}
        return {
            "band": spec("bbands", {"period": parameters["period"], **width}),
            "rsi": spec("rsi", {"period": parameters["rsi_period"]}),
        }

    def on_init(self, services: StrategyServices) -> None:
        """Look the indicators up once."""
        indicators = services.market_data.indicators
        self._slots = indicators.slots
        self._upper = indicators.slot("band", "upper")
        self._mean = indicators.slot("band", "middle")
        self._rsi = indicators.slot("rsi")
        self._order = services.order
        self._position = services.position
        self.on_parameters(services.parameters)

    def on_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Take the thresholds."""
        self._entry_z: float = parameters["entry_z"]
        self._exit_z: float = parameters["exit_z"]
        self._oversold: float = parameters["oversold"]
        self._overbought: float = parameters["overbought"]
        self._allow_short: bool = parameters["allow_short"]

    def on_candle(self, candle: Candle) -> None:
        """Enter far from the mean, leave near it."""
        slots = self._slots
        mean = slots[self._mean]
        deviation = slots[self._upper] - mean
        if deviation <= 0.0:
            return
        z = (candle.close - mean) / deviation
        position = self._position
        if position.is_long:
            if z >= -self._exit_z:
                self._order.close(reason=f"back at the mean, z = {z:.2f}")
        elif position.is_short:
            if z <= self._exit_z:
                self._order.close(reason=f"back at the mean, z = {z:.2f}")
        elif z <= -self._entry_z and slots[self._rsi] < self._oversold:
            self._order.buy(reason=f"far below the mean, z = {z:.2f}")
        elif self._allow_short and z >= self._entry_z and slots[self._rsi] > self._overbought:
            self._order.sell(reason=f"far above the mean, z = {z:.2f}")
