"""RULES: trade by conditions written in the rule language (`docs/rules.md`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, ClassVar

from engine.config import RuleConfig, RulesConfig, StrategyConfig
from engine.errors import RuleError
from engine.instance.services import StrategyServices
from engine.rules import RuleProgram, compile_rules
from engine.types import Candle, OrderRole, Side
from indicators import IndicatorSpec
from strategies.base import Strategy, StrategyMetadata

__all__ = ["RulesStrategy"]

# Bound once: reading a member off its enum class costs more than a function call.
_BUY = Side.BUY
_SELL = Side.SELL
_ENTRIES = (OrderRole.ENTRY,)
_EXITS = (OrderRole.EXIT, OrderRole.ENTRY)  # an entry to the other side leaves the position too


class RulesStrategy(Strategy):
    """Enters and leaves positions when the rules of its configuration say so.

    At each candle, by the position held:

    - flat: `entry` goes long, otherwise `short_entry` goes short;
    - long: `short_entry` turns the position round by one order, otherwise `exit` closes it;
    - short: `entry` turns it round, otherwise `short_exit` closes it.

    While an order that does the same still works, no second one is asked for. Parameters are
    numbers and booleans that rules use by name; they may change live, except those that shape
    what the rules remember.
    """

    metadata: ClassVar[StrategyMetadata] = StrategyMetadata(
        type="RULES",
        name="Rules",
        description="Buys and sells when conditions in the rule language hold; long and short.",
        tags=("rules", "no code"),
    )

    @classmethod
    def get_parameters_schema(cls) -> dict[str, Any]:
        """Return the schema: any names, each a number or a boolean."""
        return {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "description": "Values the rules use by name.",
            "properties": {},
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
            "additionalProperties": {"type": ["number", "boolean"], "x-updatable": True},
        }

    @classmethod
    def indicator_specs(
        cls, config: StrategyConfig, parameters: Mapping[str, Any]
    ) -> Mapping[str, IndicatorSpec]:
        """Return the declared indicators; refuses rules and updates that cannot work.

        Raises:
            RuleError: A rule does not compile, or a parameter that has to stay was changed.
        """
        program = _compile(config, config.parameters)
        program.check_change(parameters)
        return program.specs

    def on_init(self, services: StrategyServices) -> None:
        """Compile the rules and bind them to the indicators."""
        config = services.config
        program = _compile(config, services.parameters)
        indicators = services.market_data.indicators
        self.warmup_candles = program.lookback
        self.history_candles = program.memory
        self._rules = program.bind(indicators)
        # Bound once: `on_candle` runs for every candle.
        self._observe = self._rules.observe
        self._entry = self._rules.entry
        self._exit = self._rules.exit
        self._short_entry = self._rules.short_entry
        self._short_exit = self._rules.short_exit
        self._shorts = "short_entry" in program.conditions
        self._position = services.position
        self._order = services.order
        self._said = {name: _said(config, name) for name in program.conditions}

    def on_history(self, candle: Candle) -> None:
        """Remember what rules look back on."""
        self._observe(candle)

    def on_candle(self, candle: Candle) -> None:
        """Ask the rules that apply to the position held."""
        self._observe(candle)
        position = self._position
        if position.is_flat:
            if self._entry():
                self._go_long()
            elif self._shorts and self._short_entry():
                self._go_short()
        elif position.is_long:
            if self._shorts and self._short_entry():
                self._go_short()
            elif self._exit():
                self._leave("exit", _SELL)
        elif self._entry():
            self._go_long()
        elif self._short_exit():
            self._leave("short_exit", _BUY)

    def on_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Let the rules use the changed values from this candle on."""
        self._rules.set_parameters(parameters)

    def _go_long(self) -> None:
        if not self._is_working(_BUY, _ENTRIES):
            confidence, reason = self._said["entry"]
            self._order.buy(confidence=confidence, reason=reason)

    def _go_short(self) -> None:
        if not self._is_working(_SELL, _ENTRIES):
            confidence, reason = self._said["short_entry"]
            self._order.sell(confidence=confidence, reason=reason)

    def _leave(self, rule: str, side: Side) -> None:
        if not self._is_working(side, _EXITS):
            confidence, reason = self._said[rule]
            self._order.close(confidence=confidence, reason=reason)

    def _is_working(self, side: Side, roles: tuple[OrderRole, ...]) -> bool:
        """Return whether an own order that does the same has yet to fill (latency, partial fills).

        Without this a rule that holds for several candles would ask for the same order again.
        """
        working = self._order.working
        return bool(working) and any(
            order.side is side and order.role in roles for order in working.values()
        )


_COMPILED = {"indicators", "rules"}
"""Fields of a configuration that a program is made of."""

_MOST_PROGRAMS = 1024
"""Distinct rules kept compiled; a process with more of them compiles some of them again."""


@dataclass(frozen=True)
class _Source:
    """What a program is compiled from; equal texts give equal programs."""

    text: str
    config: StrategyConfig = field(compare=False)
    rules: RulesConfig = field(compare=False)
    parameters: Mapping[str, Any] = field(compare=False)


@lru_cache(maxsize=_MOST_PROGRAMS)
def _program(source: _Source) -> RuleProgram:
    config = source.config
    return compile_rules(config.id, config.indicators, source.rules, source.parameters)


def _compile(config: StrategyConfig, parameters: Mapping[str, Any]) -> RuleProgram:
    """Compile the rules of a strategy; the same rules only once, whoever uses them.

    Raises:
        RuleError: There are none, they do not compile, or the strategy listens to several streams.
    """
    if config.rules is None:
        raise RuleError(f"strategy {config.id!r}: type RULES needs `rules` with an entry")
    if len(config.streams) > 1:
        raise RuleError(
            f"strategy {config.id!r}: rules read one symbol and one timeframe, got "
            f"{', '.join(config.streams)}; write one strategy for each"
        )
    text = f"{config.model_dump_json(include=_COMPILED)} {dict(parameters)!r}"
    program = _program(_Source(text, config, config.rules, parameters))
    return replace(program, strategy_id=config.id)


def _said(config: StrategyConfig, name: str) -> tuple[float, str]:
    """Return the confidence and the reason that a rule's signals carry."""
    rule: RuleConfig = getattr(config.rules, name)
    return rule.confidence, f"{name}: {' '.join(rule.condition.split())}"
