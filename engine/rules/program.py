"""The rules of a strategy: compiled once, bound to its indicators, evaluated per candle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from engine.config import RulesConfig
from engine.errors import RuleError
from engine.rules.arrays import ArrayEvaluator, Bools, Floats
from engine.rules.diagnostics import Mistake, nearest, rule_error
from engine.rules.lowering import Lowering
from engine.rules.memory import Cell
from engine.rules.names import FIELDS, read_parameter, read_scope
from engine.rules.scalar import Closures, Test
from engine.rules.terms import Condition, Output, Rolling, Series, series_of
from indicators import IndicatorManager, IndicatorSpec

__all__ = ["MAX_MEMORY", "RULES", "BoundRules", "RuleProgram", "compile_rules"]

RULES = ("entry", "exit", "short_entry", "short_exit")
"""The rules a strategy may have; `entry` and `exit` are the long side."""

MAX_MEMORY = 100_000
"""Most past values the rules of one strategy may remember together."""


def compile_rules(
    strategy_id: str,
    indicators: Mapping[str, Mapping[str, Any]],
    rules: RulesConfig,
    parameters: Mapping[str, float | bool],
) -> RuleProgram:
    """Compile the rules of a strategy and check everything they name.

    Called once when a configuration is checked and once when an instance is built; never per
    candle.

    Args:
        strategy_id: For error messages.
        indicators: Own name -> ``type`` (default: the name itself), ``source``, thresholds of
            its predicates, and the indicator's parameters.
        rules: The conditions.
        parameters: Numbers and booleans that rules may use by name.

    Raises:
        RuleError: Something does not parse, is unknown, or mixes numbers and conditions. The
            message says which strategy, rule and column, and what to do.
    """
    scope = read_scope(strategy_id, indicators, parameters)
    lowering = Lowering(scope)
    conditions: dict[str, Condition] = {}
    for name in RULES:
        rule = getattr(rules, name)
        if rule is None:
            continue
        try:
            conditions[name] = lowering.rule(rule.condition)
        except Mistake as mistake:
            path = f"{name}.condition"
            raise rule_error(strategy_id, path, rule.condition, mistake) from mistake
    series = series_of(conditions.values())
    _check_memory(strategy_id, series)
    return RuleProgram(
        strategy_id=strategy_id,
        specs={name: entry.spec for name, entry in scope.indicators.items()},
        lookback=lowering.lookback,
        memory=lowering.memory,
        conditions=conditions,
        parameters=scope.parameters,
        fixed=lowering.fixed,
        series=series,
    )


def _check_memory(strategy_id: str, series: Mapping[Series, int]) -> None:
    values = sum(
        back + (item.length if isinstance(item, Rolling) else 0) for item, back in series.items()
    )
    if values > MAX_MEMORY:
        raise RuleError(
            f"strategy {strategy_id!r}: its rules look back over {values} values together; at "
            f"most {MAX_MEMORY} are allowed, use shorter lengths"
        )


@dataclass(frozen=True)
class RuleProgram:
    """Compiled rules; immutable, so one program can be bound any number of times.

    Attributes:
        strategy_id: The strategy they belong to.
        specs: Its indicators by their own names, in the order declared.
        lookback: Candles the rules need beyond the indicators' warm-up before each is defined.
        memory: Candles before the present one that anything they remember is made of.
        conditions: Meaning of each configured rule (keys of `RULES`).
        parameters: Values the rules were compiled with.
        fixed: Parameters that shape what is remembered -> why they cannot change live.
        series: What is remembered and how far back, in order of dependency.
    """

    strategy_id: str
    specs: dict[str, IndicatorSpec]
    lookback: int
    memory: int
    conditions: Mapping[str, Condition]
    parameters: Mapping[str, float | bool]
    fixed: Mapping[str, str]
    series: Mapping[Series, int]

    def bind(self, manager: IndicatorManager) -> BoundRules:
        """Return the rules over a manager that was built from `specs`, nothing observed yet."""
        return BoundRules(self, manager)

    def check_change(self, parameters: Mapping[str, float | bool]) -> dict[str, float | bool]:
        """Return parameters that bound rules can take while they run.

        Args:
            parameters: New values, of all parameters or some.

        Raises:
            RuleError: A parameter is unknown, of another kind than it was, or one of `fixed` and
                would change.
        """
        changed: dict[str, float | bool] = {}
        for name, value in parameters.items():
            where = f"strategy {self.strategy_id!r}: parameters.{name}"
            if name not in self.parameters:
                hint = nearest(name, self.parameters)
                raise RuleError(f"{where}: the rules have no such parameter{hint}")
            new, present = read_parameter(where, value), self.parameters[name]
            if isinstance(new, bool) != isinstance(present, bool):
                kind = "true or false" if isinstance(present, bool) else "a number"
                raise RuleError(f"{where}: must stay {kind}, got {value!r}")
            if name in self.fixed and new != present:
                raise RuleError(
                    f"{where}: cannot change while the strategy runs, {self.fixed[name]}; "
                    "restart it with the new value"
                )
            changed[name] = new
        return changed

    def evaluate_arrays(self, columns: Mapping[str, ArrayLike]) -> dict[str, Bools]:
        """Evaluate every rule at every candle at once.

        Args:
            columns: ``open high low close volume``, each of shape ``(rows,)``.

        Returns:
            For each of `RULES` where it holds, shape ``(rows,)``: exactly what the bound rules
            answer candle by candle; all false for a rule that is not configured.
        """
        data = {name: np.asarray(columns[name], dtype=np.float64) for name in FIELDS}
        rows = len(data["close"])
        manager = IndicatorManager(self.specs)
        slots = manager.batch(data)

        def output(item: Output) -> Floats:
            return slots[manager.slot(item.indicator, item.output)]

        evaluator = ArrayEvaluator(data, output, self.parameters, rows)
        return {
            name: evaluator.test(self.conditions[name])
            if name in self.conditions
            else np.zeros(rows, dtype=np.bool_)
            for name in RULES
        }


class BoundRules:
    """Rules over one strategy's indicators, answering for the candle observed last.

    Per candle: ``manager.update(candle)``, then ``observe(candle)`` exactly once, then any of
    the four questions any number of times.

    Attributes:
        observe: Takes a closed candle in, after the manager; keeps what rules remember.
        entry: Whether the rule of that name holds now; never, if it is not configured.
        exit: As `entry`.
        short_entry: As `entry`.
        short_exit: As `entry`.
    """

    __slots__ = (
        "_places",
        "_program",
        "_values",
        "entry",
        "exit",
        "observe",
        "short_entry",
        "short_exit",
    )

    def __init__(self, program: RuleProgram, manager: IndicatorManager) -> None:
        self._program = program
        self._values: list[float | bool] = list(program.parameters.values())
        self._places = {name: place for place, name in enumerate(program.parameters)}
        slots = manager.slots

        def cell(item: Output) -> Cell:
            return slots, manager.slot(item.indicator, item.output)

        closures = Closures(program.series, cell, self._values, self._places)
        tests = {name: closures.test(item) for name, item in program.conditions.items()}
        self.observe = closures.observe
        self.entry: Test = tests.get("entry", _never)
        self.exit: Test = tests.get("exit", _never)
        self.short_entry: Test = tests.get("short_entry", _never)
        self.short_exit: Test = tests.get("short_exit", _never)

    def set_parameters(self, parameters: Mapping[str, float | bool]) -> None:
        """Change parameters from the next evaluation on; either all given ones or none.

        Raises:
            RuleError: As `RuleProgram.check_change`.
        """
        for name, value in self._program.check_change(parameters).items():
            self._values[self._places[name]] = value


def _never() -> bool:
    return False
