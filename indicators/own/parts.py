"""What our own indicators are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from indicators.bars import Array
from indicators.info import Params
from indicators.kernels import NAN, Kernel, Value, leading_gap
from indicators.parameters import Parameter, ParameterValue
from indicators.talib_functions import talib_info

__all__ = ["OwnKernel", "OwnMaker", "period", "talib_kernel"]

_LONGEST = 100_000


class OwnKernel(ABC):
    """What our calculations have in common."""

    __slots__ = ()

    def skip(self) -> None:  # noqa: B027 - right for most, and no duty
        """Leave no trace: windows, displacements and streaks run over defined bars only."""

    def fill(self, arrays: Sequence[Array]) -> list[Array]:
        """Start anew and consume whole arrays; see `Kernel.fill`."""
        gap = leading_gap(arrays)
        outputs = self._consume([array[gap:] for array in arrays])
        if not gap:
            return outputs
        blank = np.full(gap, NAN)
        return [np.concatenate((blank, output)) for output in outputs]

    def open(self, arrays: Sequence[Array]) -> Value:
        """Start anew and consume whole arrays for the state alone; see `Kernel.open`."""
        outputs = self.fill(arrays)
        last = tuple(float(output[-1]) if output.size else NAN for output in outputs)
        return last[0] if len(last) == 1 else last

    @abstractmethod
    def _consume(self, arrays: Sequence[Array]) -> list[Array]:
        """Consume arrays in which every row is usable; return one array per output."""


@dataclass(frozen=True, slots=True)
class OwnMaker:
    """Makes calculations of an indicator of ours.

    Attributes:
        start: Returns a fresh calculation.
        bars: Returns the bars until the first value.
    """

    start: Callable[[Params], Kernel]
    bars: Callable[[Params], int]

    def check(self, params: Params) -> None:
        """Accept everything that is in range: our parameters do not restrict each other."""

    def warmup(self, params: Params) -> int:
        """Return the bars until the first value."""
        return self.bars(params)

    def kernel(self, params: Params) -> Kernel:
        """Return a fresh calculation."""
        return self.start(params)

    def batch(self, params: Params, arrays: Sequence[Array]) -> list[Array]:
        """Fill a fresh calculation with the arrays."""
        return self.start(params).fill(arrays)


def talib_kernel(name: str, **params: ParameterValue) -> Kernel:
    """Return one of TA-Lib's handles as a part, the parameters not given at their defaults."""
    info = talib_info(name)
    return info.maker.kernel({**{p.name: p.default for p in info.parameters}, **params})


def period(name: str, title: str, default: int, *, minimum: int = 1) -> Parameter:
    """Return a parameter that counts bars, with TA-Lib's upper limit."""
    return Parameter(name, title, default, minimum=minimum, maximum=_LONGEST)
