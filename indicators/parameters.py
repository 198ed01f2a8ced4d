"""Parameters of an indicator: names, ranges, defaults, and their JSON Schema."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indicators.errors import IndicatorError, did_you_mean

__all__ = ["Parameter", "ParameterValue", "parameters_schema", "parse_parameters", "squeeze"]

ParameterValue = int | float | str

_ALIASES: dict[str, tuple[tuple[str, ...], ...]] = {
    "period": (("timeperiod",), ("period",)),
    "length": (("timeperiod",), ("period",)),
    "window": (("timeperiod",), ("period",)),
    "stddev": (("nbdevup", "nbdevdn"), ("nbdev",)),
    "nbdev": (("nbdevup", "nbdevdn"),),
    "multiplier": (("nbdev",), ("nbdevup", "nbdevdn")),
    "fast": (("fastperiod",),),
    "slow": (("slowperiod",),),
    "signal": (("signalperiod",),),
    "kperiod": (("fastk_period",),),
    "dperiod": (("slowd_period",), ("fastd_period",)),
    "smoothk": (("slowk_period",),),
    "smooth": (("slowk_period",),),
}
"""What people write -> the parameters it may set; the first group the indicator has, counts."""


def squeeze(name: str) -> str:
    """Return a name without case, underscores, hyphens and blanks: how names are compared.

    >>> squeeze("fastK_Period")
    'fastkperiod'
    """
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. A choice is given by name, or by TA-Lib's number (its place in the list).

    >>> Parameter("timeperiod", "Time Period", 14, minimum=2, maximum=100000).parse(20.0)
    20
    """

    name: str
    title: str
    default: ParameterValue
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    help: str = ""

    def parse(self, value: Any) -> ParameterValue:
        """Return the canonical value: int, float, or the lower-case name of a choice.

        Raises:
            IndicatorError: Wrong type or out of range; the message has no subject yet.
        """
        if self.choices:
            return self._parse_choice(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise IndicatorError(f"{self.name} must be a number, is {value!r}")
        if not math.isfinite(value):
            raise IndicatorError(f"{self.name} must be finite, is {value!r}")
        if isinstance(self.default, int):
            if value != int(value):
                raise IndicatorError(f"{self.name} must be a whole number, is {value!r}")
            number: int | float = int(value)
        else:
            number = float(value)
        if (self.minimum is not None and number < self.minimum) or (
            self.maximum is not None and number > self.maximum
        ):
            raise IndicatorError(
                f"{self.name} must be from {self.minimum} to {self.maximum}, is {value!r}"
            )
        return number

    def _parse_choice(self, value: Any) -> str:
        if isinstance(value, str):
            for choice in self.choices:
                if squeeze(choice) == squeeze(value):
                    return choice
        elif isinstance(value, int) and not isinstance(value, bool) and value in self.numbers:
            return self.choices[self.numbers.index(value)]
        hint = did_you_mean(value.lower(), self.choices) if isinstance(value, str) else ""
        raise IndicatorError(
            f"{self.name} must be one of {', '.join(self.choices)}, is {value!r}{hint}"
        )

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema (Draft 7) of the value."""
        out: dict[str, Any] = {"title": self.title, "default": self.default}
        if self.help:
            out["description"] = self.help
        if self.choices:
            out["enum"] = list(self.choices)
            return out
        out["type"] = "integer" if isinstance(self.default, int) else "number"
        if self.minimum is not None:
            out["minimum"] = self.minimum
        if self.maximum is not None:
            out["maximum"] = self.maximum
        return out


def parameters_schema(title: str, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Return the JSON Schema (Draft 7) of a whole set of parameters."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": title,
        "type": "object",
        "properties": {parameter.name: parameter.schema() for parameter in parameters},
        "additionalProperties": False,
    }


def parse_parameters(
    parameters: Sequence[Parameter], given: Mapping[str, Any]
) -> tuple[tuple[str, ParameterValue], ...]:
    """Return every parameter with its canonical value, defaults filled in, in declared order.

    Raises:
        IndicatorError: Unknown name, a parameter given twice, or a bad value; without subject.
    """
    by_name = {squeeze(parameter.name): parameter for parameter in parameters}
    values: dict[str, ParameterValue] = {}
    for name, value in given.items():
        targets = _targets(name, by_name)
        if not targets:
            known = [parameter.name for parameter in parameters]
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise IndicatorError(f"unknown parameter {name!r}{did_you_mean(name, known)}; {takes}")
        for parameter in targets:
            if parameter.name in values:
                raise IndicatorError(f"{parameter.name} is given twice (again as {name!r})")
            values[parameter.name] = parameter.parse(value)
    return tuple((p.name, values.get(p.name, p.default)) for p in parameters)


def _targets(name: str, by_name: Mapping[str, Parameter]) -> list[Parameter]:
    key = squeeze(name)
    if key in by_name:
        return [by_name[key]]
    for group in _ALIASES.get(key, ()):
        if all(squeeze(target) in by_name for target in group):
            return [by_name[squeeze(target)] for target in group]
    return []
