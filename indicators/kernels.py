"""The calculation inside an indicator: plain numbers in, plain numbers out, one bar at a time."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from indicators.bars import Array, usable
from indicators.library import InsufficientHistory

__all__ = [
    "NAN",
    "HandleKernel",
    "Kernel",
    "Value",
    "aligned",
    "leading_gap",
    "replay",
    "usable_rows",
]

NAN = float("nan")

Value = float | tuple[float, ...]
"""What one bar gives: a number, or a tuple where the indicator has several outputs."""


class Kernel(Protocol):
    """A calculation over one or several input series.

    Inputs are finite and within `indicators.bars.LIMIT`: a bar on which they are not is not fed.
    """

    @property
    def ready(self) -> bool:
        """Tell whether there is a value yet; never turns back."""

    @property
    def update(self) -> Callable[..., Any]:
        """The function that commits one bar and returns its `Value` (NaN before ready).

        Once `ready` the same function serves for good, so a caller may keep it.
        """

    @property
    def peek(self) -> Callable[..., Any]:
        """The function that returns the `Value` `update` would return, and commits nothing."""

    def skip(self) -> None:
        """Count a bar before `ready` whose inputs are undefined. Later ones leave no trace."""

    def fill(self, arrays: Sequence[Array]) -> list[Array]:
        """Start anew and consume whole arrays, as `aligned` returns them, without gaps inside.

        Returns:
            One array per output, NaN before ready; the state is as if the bars had streamed.
        """

    def open(self, arrays: Sequence[Array]) -> Value:
        """Start anew and consume whole arrays as `fill` does, for the state alone.

        Returns:
            What the last `update` would have returned; NaN before ready and without any bar.
        """


def leading_gap(arrays: Sequence[Array]) -> int:
    """Return how many first rows are unusable in any array (no usable row: the length)."""
    if arrays[0].size and usable_rows([array[:1] for array in arrays])[0]:
        return 0  # prices always, and they are long
    rows = usable_rows(arrays)
    at = int(rows.argmax()) if rows.size else 0
    return at if rows.size and rows[at] else int(rows.size)


def aligned(arrays: Sequence[Array]) -> list[Array]:
    """Return arrays that are all NaN in the leading rows where any of them is unusable.

    TA-Lib itself skips a leading NaN, but takes a leading infinity for history.
    """
    gap = leading_gap(arrays)
    if not gap:
        return list(arrays)
    blank = np.full(gap, NAN)
    return [np.concatenate((blank, array[gap:])) for array in arrays]


def usable_rows(arrays: Sequence[Array]) -> npt.NDArray[np.bool_]:
    """Tell for each row whether all arrays are usable there."""
    rows: npt.NDArray[np.bool_] = np.logical_and.reduce([usable(array) for array in arrays])
    return rows


def replay(kernel: Kernel, arrays: Sequence[Array], width: int) -> tuple[list[Array], Value]:
    """Stream arrays through a fresh kernel; unusable rows are skipped.

    Returns:
        One array per output, NaN before ready and on skipped rows; and what the last row gave.
    """
    size = arrays[0].size
    out = np.full((width, size), NAN)
    value: Value = NAN
    rows = zip(*(array.tolist() for array in arrays), strict=True)
    for i, (row, fits) in enumerate(zip(rows, usable_rows(arrays).tolist(), strict=True)):
        if fits:
            out[:, i] = value = kernel.update(*row)
        else:
            kernel.skip()
            value = NAN
    return list(out), value


class HandleKernel:
    """One of TA-Lib's streaming handles, and the short history until it can be opened.

    The history is dropped the moment the handle opens. Where TA-Lib's seeding wants more bars
    than the lookback says, opening is tried again with each further bar.
    """

    __slots__ = ("_arguments", "_blank", "_handle", "_history", "_minimum", "_open", "_skipped")

    def __init__(self, opener: Any, arguments: tuple[float, ...], minimum: int, width: int) -> None:
        """Prepare a handle.

        Args:
            opener: A class of `talib.stream`.
            arguments: Its parameters, in order.
            minimum: Bars of history without which it cannot open.
            width: Number of outputs.
        """
        self._open = opener
        self._arguments = arguments
        self._minimum = minimum
        self._blank: Value = NAN if width == 1 else (NAN,) * width
        self._handle: Any = None
        # One array per input; the gap that leads them is in it as NaN.
        self._history: list[array[float]] | None = []
        self._skipped = 0

    @property
    def ready(self) -> bool:
        """Tell whether the handle is open."""
        return self._handle is not None

    @property
    def update(self) -> Callable[..., Any]:
        """The handle's own ``update`` once it is open: no layer of ours in between."""
        handle = self._handle
        if handle is None:
            return self._warm
        update: Callable[..., Any] = handle.update
        return update

    def _warm(self, *inputs: float) -> Value:
        history = self._history
        if history is None:
            updated: Value = self._handle.update(*inputs)
            return updated
        if not history:
            history.extend(array("d", [NAN] * self._skipped) for _ in inputs)
        for series, value in zip(history, inputs, strict=True):
            series.append(value)
        if len(history[0]) - self._skipped < self._minimum:
            return self._blank
        handle = self._try_open(history)
        if handle is None:
            return self._blank
        self._handle = handle
        self._history = None
        first: Value = handle.value
        return first

    def _try_open(self, history: list[array[float]]) -> Any:
        if len(history[0]) - self._skipped < self._minimum:
            return None
        # The skipped rows lead as NaN: functions that report an index count them, as batch does.
        try:
            return self._open(*map(np.frombuffer, history), *self._arguments)
        except InsufficientHistory:
            return None

    def peek(self, *inputs: float) -> Value:
        """Return what `update` would return; before ready, on a handle opened for the question."""
        history = self._history
        handle = self._handle
        if history is not None:
            gap = array("d", [NAN] * self._skipped)
            past = history or [gap] * len(inputs)
            handle = self._try_open(
                [series + array("d", [x]) for series, x in zip(past, inputs, strict=True)]
            )
        if handle is None:
            return self._blank
        value: Value = handle.value if history is not None else handle.peek(*inputs)
        return value

    def skip(self) -> None:
        """Count a bar of the gap that leads the history."""
        if not self._history and self._handle is None:
            self._skipped += 1

    def fill(self, arrays: Sequence[Array]) -> list[Array]:
        """Open on whole arrays: one pass in C for both the values and the handle."""
        size = arrays[0].size
        gap = leading_gap(arrays)
        try:
            if size - gap < self._minimum:
                raise InsufficientHistory  # noqa: TRY301 - one way out for both kinds of "too few"
            handle, filled = self._open.open_and_fill(*arrays, *self._arguments)
        except InsufficientHistory:
            self._wait(arrays, gap)
            width = 1 if isinstance(self._blank, float) else len(self._blank)
            return [np.full(size, NAN) for _ in range(width)]
        self._handle = handle
        self._history = None
        begin = handle.out_range.begidx
        series = filled if isinstance(filled, tuple) else (filled,)
        outputs = [np.array(array, dtype=np.float64) for array in series]
        for output in outputs:
            output[:begin] = NAN  # integer outputs hold 0 there
        return outputs

    def open(self, arrays: Sequence[Array]) -> Value:
        """Open on whole arrays without keeping what the bars gave: one pass in C."""
        gap = leading_gap(arrays)
        try:
            if arrays[0].size - gap < self._minimum:
                raise InsufficientHistory  # noqa: TRY301 - one way out for both kinds of "too few"
            handle = self._open(*arrays, *self._arguments)
        except InsufficientHistory:
            self._wait(arrays, gap)
            return self._blank
        self._handle = handle
        self._history = None
        value: Value = handle.value
        return value

    def _wait(self, arrays: Sequence[Array], gap: int) -> None:
        """Keep arrays that are too short to open on, as bars would have been kept."""
        self._handle = None
        self._skipped = gap
        self._history = []
        if arrays[0].size > gap:
            lead = [NAN] * gap
            self._history = [array("d", lead + series[gap:].tolist()) for series in arrays]
