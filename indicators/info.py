"""What the catalogue knows of one indicator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from indicators.bars import Array
from indicators.errors import IndicatorError, did_you_mean
from indicators.kernels import Kernel
from indicators.parameters import Parameter, ParameterValue, parameters_schema, squeeze

__all__ = ["IndicatorInfo", "Input", "Maker", "Params"]

Params = Mapping[str, ParameterValue]


class Maker(Protocol):
    """Makes the calculations of one indicator type."""

    def check(self, params: Params) -> None:
        """Refuse parameters that are each in range but do not go together.

        Raises:
            IndicatorError: Without subject.
        """

    def warmup(self, params: Params) -> int:
        """Return the bars until the first value; a lower bound where seeding is data-dependent."""

    def kernel(self, params: Params) -> Kernel:
        """Return a fresh calculation."""

    def batch(self, params: Params, arrays: Sequence[Array]) -> list[Array]:
        """Return one array per output, NaN before ready. Arrays are finite after a leading gap."""


@dataclass(frozen=True, slots=True)
class Input:
    """One series an indicator reads.

    Attributes:
        name: Its role.
        default: The price it reads unless told otherwise.
        free: Whether it takes any series; a role that is not free (the high of an ATR) is
            replaced only by naming a source for every input.
    """

    name: str
    default: str
    free: bool


@dataclass(frozen=True, slots=True)
class IndicatorInfo:
    """One entry of the catalogue.

    Attributes:
        name: Lower-case name, the `type` of a spec.
        title: For people.
        group: TA-Lib's group, or ours.
        description: What it measures and how it is defined, where TA-Lib does not say it all.
        origin: ``talib`` or ``chorus``.
        inputs: The series it reads.
        outputs: Short names of its outputs; the first is the main one.
        output_aliases: Other names of outputs that are understood.
        parameters: In the order of TA-Lib's function.
        aliases: Other names of the indicator.
        flags: TA-Lib's remarks, e.g. that the output depends on where the history began.
        maker: Makes the calculation.
    """

    name: str
    title: str
    group: str
    description: str
    origin: str
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    maker: Maker
    output_aliases: Mapping[str, str]
    aliases: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema (Draft 7) of the parameters."""
        return parameters_schema(self.title, self.parameters)

    @property
    def default_source(self) -> str:
        """The canonical source of a spec that names none, e.g. ``close`` or ``high,low``."""
        return ",".join(item.default for item in self.inputs)

    def output_index(self, output: str | None) -> int:
        """Return the position of an output; None is the main one.

        Raises:
            IndicatorError: No such output.
        """
        if output is None:
            return 0
        if output in self.outputs:
            return self.outputs.index(output)
        alias = self.output_aliases.get(squeeze(output), "")
        if alias in self.outputs:
            return self.outputs.index(alias)
        raise IndicatorError(
            f"indicator type {self.name!r}: no output {output!r}"
            f"{did_you_mean(output, self.outputs)}; it has {', '.join(self.outputs)}"
        )

    def sources(self, source: str | None) -> tuple[str, ...]:
        """Return the source of every input.

        Args:
            source: None for the defaults; one name for the first free input; or several names
                with commas between: for the free inputs, or for all inputs. ``close`` alone
                leaves an indicator that reads fixed prices (ATR, volume oscillators) as it is.

        Raises:
            IndicatorError: More or fewer sources than the indicator has use for; without subject.
        """
        defaults = [item.default for item in self.inputs]
        if source is None:
            return tuple(defaults)
        given = [part.strip() for part in source.split(",")]
        if not all(given):
            raise IndicatorError(f"source must be names with commas between, is {source!r}")
        free = [i for i, item in enumerate(self.inputs) if item.free]
        if not free and given == ["close"]:
            return tuple(defaults)
        if len(given) == len(defaults):
            return tuple(given)
        if len(given) > len(free):
            roles = ", ".join(item.name for item in self.inputs)
            raise IndicatorError(
                f"it reads {roles}: source must name "
                f"{f'up to {len(free)} or ' if free else ''}all {len(defaults)}, is {source!r}"
            )
        for i, name in zip(free, given, strict=False):
            defaults[i] = name
        return tuple(defaults)
