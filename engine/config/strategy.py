"""Configuration of one strategy: what it trades, by which rules, with how much risk."""

from __future__ import annotations

from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from engine.config.base import ConfigModel
from engine.errors import ConfigError
from engine.timeframes import timeframe_ms

__all__ = [
    "Isolation",
    "RiskConfig",
    "RuleConfig",
    "RulesConfig",
    "SizingConfig",
    "StrategyConfig",
]

RULES_TYPE = "RULES"
"""The one strategy type that reads `indicators` and `rules`."""

Fraction = Annotated[Decimal, Field(gt=0, le=1)]
Isolation = Literal["dedicated", "pooled"]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$")]


class RuleConfig(ConfigModel):
    """One rule: a condition in the rule language and how sure it is."""

    condition: str = Field(min_length=1, max_length=4000)
    confidence: float = Field(default=1.0, ge=0, le=1)


class RulesConfig(ConfigModel):
    """Rules of a RULES strategy. `entry`/`exit` are the long side."""

    entry: RuleConfig | None = None
    exit: RuleConfig | None = None
    short_entry: RuleConfig | None = None
    short_exit: RuleConfig | None = None

    @model_validator(mode="after")
    def _has_an_entry(self) -> Self:
        if self.entry is None and self.short_entry is None:
            raise ValueError("needs an `entry` or a `shortEntry` rule")
        return self


class RiskConfig(ConfigModel):
    """Limits and protective exits of one strategy; None switches a limit off.

    All fractions are of 1 (0.02 is 2 %). Stop, target and trail are fractions of the average
    entry price; losses and position size are fractions of the strategy's equity.
    """

    max_position_size: Fraction = Decimal(1)
    stop_loss: Fraction | None = None
    take_profit: Annotated[Decimal, Field(gt=0)] | None = None
    trailing_stop: Fraction | None = None
    time_limit_candles: int | None = Field(default=None, ge=1)
    max_order_notional: Annotated[Decimal, Field(gt=0)] | None = None
    max_daily_loss: Fraction | None = None
    max_drawdown: Fraction | None = None
    max_trades_per_day: int | None = Field(default=None, ge=1)
    max_signals_per_minute: int | None = Field(default=None, ge=1)
    cooldown_candles: int = Field(default=0, ge=0)


class SizingConfig(ConfigModel):
    """How a signal without its own quantity is sized; always capped by `max_position_size`.

    Modes: `equity_fraction` (value of the strategy's equity, default `max_position_size`),
    `fixed_quantity` (base currency), `fixed_notional` (quote currency).
    """

    mode: Literal["equity_fraction", "fixed_quantity", "fixed_notional"] = "equity_fraction"
    value: Annotated[Decimal, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _fixed_modes_need_a_value(self) -> Self:
        if self.mode != "equity_fraction" and self.value is None:
            raise ValueError(f"sizing mode {self.mode!r} needs a `value`")
        return self


class StrategyConfig(ConfigModel):
    """One strategy of a run.

    `type` names a plugin; with `rules` present it defaults to RULES. `parameters` are checked
    against the plugin's JSON Schema. `indicators` and `rules` belong to RULES. `capital` is the
    part of the account's balance the strategy may use; None: the whole starting balance.
    `isolation`: a process of its own, or one it shares; None: as the run's `placement` says.
    """

    id: Identifier
    name: str = ""
    type: str = ""
    venue: str = "paper"
    symbol: str = ""
    symbols: tuple[str, ...] = ()
    timeframe: str = ""
    timeframes: tuple[str, ...] = ()
    parameters: dict[str, Any] = Field(default_factory=dict)
    indicators: dict[str, dict[str, Any]] = Field(default_factory=dict)
    rules: RulesConfig | None = None
    risk: RiskConfig = RiskConfig()
    sizing: SizingConfig = SizingConfig()
    account: str = ""
    capital: Annotated[Decimal, Field(gt=0)] | None = None
    leverage: Annotated[Decimal, Field(ge=1, le=125)] = Decimal(1)
    priority: int = 0
    enabled: bool = True
    isolation: Isolation | None = None
    buffer_candles: int = Field(default=1000, ge=2, le=1_000_000)
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _defaults_from_siblings(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        filled = dict(data)
        if not filled.get("type") and filled.get("rules") is not None:
            filled["type"] = RULES_TYPE
        for one, many in (("symbol", "symbols"), ("timeframe", "timeframes")):
            if filled.get(one) and not filled.get(many):
                filled[many] = (filled[one],)
            elif (
                filled.get(many) and not filled.get(one) and isinstance(filled[many], list | tuple)
            ):
                filled[one] = filled[many][0]
        if not filled.get("name") and filled.get("id"):
            filled["name"] = filled["id"]
        return filled

    @field_validator("timeframes")
    @classmethod
    def _known_timeframes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for timeframe in value:
            try:
                timeframe_ms(timeframe)
            except ConfigError as error:
                # pydantic gives a place to a ValueError only.
                raise ValueError(str(error)) from None
        return value

    @field_validator("indicators", "rules")
    @classmethod
    def _belong_to_rules(cls, value: Any, info: ValidationInfo) -> Any:
        kind = info.data.get("type", "")
        if value and kind and kind != RULES_TYPE:
            near = get_close_matches(kind.upper(), [RULES_TYPE], n=1)
            hint = f" (did you mean {RULES_TYPE!r}?)" if near else ""
            raise ValueError(
                f"`{info.field_name}` belongs to the type {RULES_TYPE}, the type {kind!r} does not "
                f"read it{hint}; leave it out, or leave out `type`"
            )
        return value

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if not self.type:
            raise ValueError("needs a `type` (a strategy type) or `rules`")
        if not self.symbols:
            raise ValueError("needs a `symbol`, e.g. BTC/USDT")
        if not self.timeframes:
            raise ValueError("needs a `timeframe`, e.g. 15m")
        if self.symbol not in self.symbols or self.timeframe not in self.timeframes:
            raise ValueError("`symbol`/`timeframe` must be among `symbols`/`timeframes`")
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError("`symbols` holds a symbol twice")
        if len(set(self.timeframes)) != len(self.timeframes):
            raise ValueError("`timeframes` holds a timeframe twice")
        return self

    @property
    def streams(self) -> tuple[str, ...]:
        """Return the ids of all streams the strategy listens to (symbols x timeframes)."""
        return tuple(
            f"{self.venue}:{symbol}:{timeframe}"
            for symbol in self.symbols
            for timeframe in self.timeframes
        )

    @property
    def main_stream(self) -> str:
        """Return the stream of the first symbol and timeframe."""
        return f"{self.venue}:{self.symbol}:{self.timeframe}"
