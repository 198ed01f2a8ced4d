"""EMA_CROSS: follow the trend when a fast moving average crosses a slow one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from engine.config import StrategyConfig
from engine.errors import ConfigError
from engine.instance.services import StrategyServices
from engine.types import Candle
from indicators import IndicatorSpec, spec
from strategies.base import Strategy, StrategyMetadata

__all__ = ["EmaCross"]


class EmaCross(Strategy):
    """Long from the candle the fast EMA crosses above the slow one until it crosses below.

    A cross is a change of sign of the spread, fast minus slow: from <= 0 to > 0 upwards, from
    >= 0 to < 0 downwards. With `allow_short` a cross turns the position round by one order.
    """

    metadata: ClassVar[StrategyMetadata] = StrategyMetadata(
        type="EMA_CROSS",
        name="EMA cross",
        description="Buys when a fast EMA crosses above a slow one, leaves (or turns short) when "
        "it crosses below.",
        tags=("trend", "moving average"),
    )
    warmup_candles = 1  # a cross needs the spread of the candle before
    state_fields = ("_spread",)
    history_candles = 0

    @classmethod
    def get_parameters_schema(cls) -> dict[str, Any]:
        """Return the schema; periods are candles."""
        return {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "fast_period": {"type": "integer", "minimum": 2, "maximum": 500, "default": 12},
                "slow_period": {"type": "integer", "minimum": 3, "maximum": 1000, "default": 26},
                "allow_short": {
                    "type": "boolean",
                    "default": False,
                    "description": "Go short on a cross below instead of leaving only.",
                    "x-updatable": True,
                },
            },
        }

    @classmethod
    def indicator_specs(
        cls, config: StrategyConfig, parameters: Mapping[str, Any]
    ) -> Mapping[str, IndicatorSpec]:
        """Return the two averages.

        Raises:
            ConfigError: The fast one is not the faster one.
        """
        fast, slow = parameters["fast_period"], parameters["slow_period"]
        if fast >= slow:
            raise ConfigError(
                f"strategy {config.id!r} ({cls.metadata.type}): parameters.fast_period must be "
                f"below slow_period, is {fast} with {slow}"
            )
        return {"fast": spec("ema", {"period": fast}), "slow": spec("ema", {"period": slow})}

    def on_init(self, services: StrategyServices) -> None:
        """Look the indicators up once."""
        indicators = services.market_data.indicators
        self._slots = indicators.slots
        self._fast = indicators.slot("fast")
        self._slow = indicators.slot("slow")
        self._spread = 0.0
        self._order = services.order
        self._position = services.position
        self._allow_short: bool = services.parameters["allow_short"]

    def on_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Take a changed `allow_short`; a short that is held ends at the next cross above."""
        self._allow_short = parameters["allow_short"]

    def on_history(self, candle: Candle) -> None:
        """Remember the spread."""
        del candle
        self._spread = self._slots[self._fast] - self._slots[self._slow]

    def on_candle(self, candle: Candle) -> None:
        """Act on a cross."""
        del candle
        before = self._spread
        spread = self._spread = self._slots[self._fast] - self._slots[self._slow]
        if before <= 0.0 < spread:
            self._crossed_above()
        elif before >= 0.0 > spread:
            self._crossed_below()

    def _crossed_above(self) -> None:
        if not self._position.is_long:
            self._order.buy(reason="fast EMA crossed above slow EMA")

    def _crossed_below(self) -> None:
        reason = "fast EMA crossed below slow EMA"
        if self._allow_short:
            if not self._position.is_short:
                self._order.sell(reason=reason)
        elif self._position.is_long:
            self._order.close(reason=reason)
