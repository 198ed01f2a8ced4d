"""Batch outputs of many sets over the same candles: equal calculations are done once.

A calculation is known by what it is and what it reads, down to the prices, so two sets share it
whatever names they give it. That is what makes a sweep over parameters cheap: a thousand sets
rarely hold more than a few dozen distinct indicators.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from indicators.bars import PRICES, Array, column
from indicators.errors import IndicatorError
from indicators.kernels import aligned, leading_gap, replay, usable_rows
from indicators.nodes import Node, Plan, plan
from indicators.specs import IndicatorSpec

__all__ = ["Batch", "Batches", "gapless", "inputs_of", "slots_of"]

MAX_BYTES = 256 * 1024 * 1024
"""Memory after which the calculation used longest ago is forgotten."""


class Batch(NamedTuple):
    """What one set gives over all candles.

    Attributes:
        slots: One array per slot of the set's manager, shape ``(rows,)``, NaN before ready.
        ready: First row after which `IndicatorManager.ready` is true; the number of rows if the
            candles end before that. 0 for an empty set.
        plan: Which slot is whose.
    """

    slots: list[Array]
    ready: int
    plan: Plan

    def output(self, name: str, output: str | None = None) -> Array:
        """Return the array of an indicator's output; None is its main one.

        Raises:
            IndicatorError: Unknown indicator or output.
        """
        return self.slots[self.plan.slot(name, output)]


class _Calculated(NamedTuple):
    outputs: list[Array]
    ready: int


class Batches:
    """Computes sets over one series of candles and remembers their calculations.

    Args:
        columns: As for `IndicatorManager.batch`; they must not change afterwards.
        max_bytes: Memory for outputs; what was used longest ago goes first.

    Raises:
        IndicatorError: The columns have several lengths.

    >>> import numpy as np
    >>> from indicators import spec
    >>> batches = Batches({"close": np.array([1.0, 3.0, 5.0])})
    >>> batch = batches.of({"fast": spec("sma", {"period": 2})})
    >>> batch.output("fast"), batch.ready
    (array([nan,  2.,  4.]), 1)
    """

    def __init__(self, columns: Mapping[str, Array], *, max_bytes: int = MAX_BYTES) -> None:
        sizes = {len(array) for array in columns.values()}
        if len(sizes) > 1:
            raise IndicatorError(f"columns: must have one length, have {sorted(sizes)}")
        self._columns = columns
        self._max_bytes = max_bytes
        self._bytes = 0
        self._known: OrderedDict[tuple[object, ...], _Calculated] = OrderedDict()

    def of(self, specs: Mapping[str, IndicatorSpec]) -> Batch:
        """Return what a set gives; see `Batch`.

        Args:
            specs: As for `IndicatorManager`; slots are numbered as its `slot` says.

        Raises:
            IndicatorError: The set is not usable, or a column is missing or not finite.
        """
        planned = plan(specs)
        slots: list[Array] = []
        keys: list[object] = []  # per slot, what it is down to the prices
        ready = 0
        for node in planned.nodes:
            sources = tuple(code if code < 0 else keys[code] for code in node.inputs)
            key = (node.info.name, node.items, sources)
            found = self._known.get(key)
            if found is None:
                found = self._calculate(node, slots)
                self._remember(key, found)
            else:
                self._known.move_to_end(key)
            slots += found.outputs
            keys += [(key, output) for output in range(node.width)]
            ready = max(ready, found.ready)
        return Batch(slots, ready, planned)

    def _calculate(self, node: Node, slots: Sequence[Array]) -> _Calculated:
        inputs = inputs_of(node, self._columns, slots)
        has_gaps = not gapless(inputs)
        find = _ready_row_streamed if has_gaps else _ready_row
        return _Calculated(_outputs_of(node, inputs, has_gaps=has_gaps), find(node, inputs))

    def _remember(self, key: tuple[object, ...], found: _Calculated) -> None:
        self._known[key] = found
        self._bytes += sum(array.nbytes for array in found.outputs)
        while self._bytes > self._max_bytes and len(self._known) > 1:
            _, oldest = self._known.popitem(last=False)
            self._bytes -= sum(array.nbytes for array in oldest.outputs)


def slots_of(planned: Plan, columns: Mapping[str, Array]) -> list[Array]:
    """Return one array per slot of a plan.

    Raises:
        IndicatorError: A column is missing or not finite, or they have several lengths.
    """
    slots: list[Array] = []
    for node in planned.nodes:
        inputs = inputs_of(node, columns, slots)
        slots += _outputs_of(node, inputs, has_gaps=not gapless(inputs))
    return slots


def inputs_of(node: Node, columns: Mapping[str, Array], slots: Sequence[Array]) -> list[Array]:
    """Return what a node reads, aligned; `slots` holds the outputs of the nodes before it.

    Raises:
        IndicatorError: A column is missing or not finite, or they have several lengths.
    """
    arrays = [column(columns, PRICES[~code]) if code < 0 else slots[code] for code in node.inputs]
    sizes = {array.size for array in arrays}
    if len(sizes) > 1:
        raise IndicatorError(f"columns: must have one length, have {sorted(sizes)}")
    return aligned(arrays)


def _outputs_of(node: Node, inputs: Sequence[Array], *, has_gaps: bool) -> list[Array]:
    """Return a node's outputs, each value as streaming would have given it."""
    params = dict(node.items)
    if has_gaps:
        return replay(node.info.maker.kernel(params), inputs, node.width)[0]
    return node.info.maker.batch(params, inputs)


def gapless(arrays: Sequence[Array]) -> bool:
    """Tell whether the arrays are usable from their first usable row on."""
    return bool(usable_rows(arrays)[leading_gap(arrays) :].all())


def _ready_row(node: Node, inputs: Sequence[Array]) -> int:
    """Return the row that makes a node's kernel ready, the number of rows if none does.

    The first value does not tell: an indicator may be ready and undefined. A prefix does, and as
    readiness never turns back the shortest one that is ready is found by bisection, from the
    maker's lower bound on. Inputs without gaps only.
    """
    params, rows = dict(node.items), inputs[0].size

    def is_ready(bars: int) -> bool:
        kernel = node.info.maker.kernel(params)
        kernel.fill([array[:bars] for array in inputs])
        return kernel.ready

    bars = leading_gap(inputs) + max(1, node.info.maker.warmup(params))
    before, step = bars - 1, 1  # not ready after so many
    while bars <= rows and not is_ready(bars):
        before, step = bars, 2 * step
        bars = min(bars + step, rows) if bars < rows else rows + 1
    if bars > rows:
        return rows
    while bars - before > 1:
        middle = (before + bars) // 2
        if is_ready(middle):
            bars = middle
        else:
            before = middle
    return bars - 1


def _ready_row_streamed(node: Node, inputs: Sequence[Array]) -> int:
    """As `_ready_row`, for inputs with gaps: bar by bar."""
    kernel = node.info.maker.kernel(dict(node.items))
    rows = zip(*(array.tolist() for array in inputs), strict=True)
    fits = usable_rows(inputs).tolist()
    for row, (values, usable) in enumerate(zip(rows, fits, strict=True)):
        if usable:
            kernel.update(*values)
        else:
            kernel.skip()
        if kernel.ready:
            return row
    return len(fits)
