"""All indicators of one strategy, updated together once per candle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from indicators.bars import (
    LIMIT,
    LIMIT_SQUARED,
    PRICES,
    Array,
    Bar,
    Frame,
    columns_of,
    frame,
    refuse_non_finite,
    usable,
)
from indicators.batches import gapless, slots_of
from indicators.kernels import NAN, Kernel, Value, aligned, replay
from indicators.nodes import Node, Plan, plan
from indicators.prices import Prices
from indicators.specs import IndicatorSpec
from indicators.steps import Step, step_of

__all__ = ["IndicatorManager"]


class IndicatorManager:
    """A set of indicators over one stream of candles, computed in dependency order.

    Equal specs are computed once. Outputs live in one flat list, `slots`; look a position up once
    with `slot` and read the list from then on.

    Attributes:
        slots: Present outputs, NaN before ready and where undefined. Always the same list object.
        ready: Whether every indicator has had its first value.
        warmup: Candles until everything is ready (a lower bound where TA-Lib's seeding depends on
            the data, e.g. on the first price change).
        anchor: `seq` of the first candle consumed, None before it. With the candles since then it
            defines the whole state.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Candle:
    ...     seq: int
    ...     close: float
    ...     open: float = 1.0
    ...     high: float = 9.0
    ...     low: float = 1.0
    ...     volume: float = 5.0
    ...     open_time: int = 0
    >>> from indicators import spec
    >>> two = {"period": 2}
    >>> manager = IndicatorManager({"fast": spec("sma", two), "twice": spec("sma", two, "fast")})
    >>> for seq, close in enumerate([1.0, 3.0, 5.0]):
    ...     manager.update(Candle(seq, close))
    ...     print(manager.slots, manager.ready)
    [nan, nan] False
    [2.0, nan] False
    [4.0, 3.0] True
    >>> manager.slot("twice")
    1
    """

    __slots__ = (
        "_close_single",
        "_close_triple",
        "_kernels",
        "_plan",
        "_steps",
        "anchor",
        "ready",
        "slots",
        "warmup",
    )

    def __init__(self, specs: Mapping[str, IndicatorSpec]) -> None:
        """Plan a set.

        Args:
            specs: Own name -> what it is. A source may be another name of this mapping.

        Raises:
            IndicatorError: A source is unknown, or indicators read each other in a circle.
        """
        self._plan: Plan = plan(specs)
        self.warmup: int = self._plan.warmup
        self.slots: list[float] = [NAN] * self._plan.size
        self.anchor: int | None = None
        self.ready: bool = False
        self._kernels: list[Kernel] = self._new_kernels()
        self._close_single: list[tuple[Callable[[float], float], int]] = []
        self._close_triple: list[
            tuple[Callable[[float], tuple[float, float, float]], int, int, int]
        ] = []
        self._steps: list[Step] = []

    def _new_kernels(self) -> list[Kernel]:
        return [node.info.maker.kernel(dict(node.items)) for node in self._plan.nodes]

    def slot(self, name: str, output: str | None = None) -> int:
        """Return the index in `slots` of an output; None is the indicator's main one.

        Raises:
            IndicatorError: Unknown indicator or output.
        """
        return self._plan.slot(name, output)

    def outputs(self, name: str) -> tuple[str, ...]:
        """Return the output names of an indicator; their slots follow each other.

        Raises:
            IndicatorError: Unknown indicator.
        """
        self._plan.slot(name, None)
        return self._plan.node_of[name].info.outputs

    def update(self, bar: Bar) -> None:
        """Consume one closed candle. Called once per candle; does not block.

        Raises:
            IndicatorError: A field of the candle is NaN or infinite; nothing has moved.
        """
        if not self.ready:
            self._warm(bar)
            return
        close = bar.close
        # Squares cannot cancel: NaN or too large if any field is; see `refuse_non_finite`.
        first, high, low, volume = bar.open, bar.high, bar.low, bar.volume
        squares = first * first + high * high + low * low + close * close + volume * volume
        if not squares <= LIMIT_SQUARED:
            refuse_non_finite(bar)
        slots = self.slots
        for update, i in self._close_single:
            slots[i] = update(close)
        for update3, i, j, k in self._close_triple:
            slots[i], slots[j], slots[k] = update3(close)
        for step in self._steps:
            step(bar)

    def _warm(self, bar: Bar) -> None:
        prices = frame(bar)
        if self.anchor is None:
            self.anchor = bar.seq
        slots = self.slots
        for node, kernel in zip(self._plan.nodes, self._kernels, strict=True):
            inputs = _inputs(node, prices, slots)
            if inputs is None:
                kernel.skip()
                _write(slots, node, NAN)
            else:
                _write(slots, node, kernel.update(*inputs))
        if all(kernel.ready for kernel in self._kernels):
            self._compile()

    def _compile(self) -> None:
        """Bind every ready kernel's own function: from here on no layer lies in between."""
        on_close = (~PRICES.index("close"),)
        self._close_single = []
        self._close_triple = []
        self._steps = []
        for node, kernel in zip(self._plan.nodes, self._kernels, strict=True):
            i = node.first
            if node.inputs == on_close and node.width == 1:
                self._close_single.append((kernel.update, i))
            elif node.inputs == on_close and node.width == 3:  # noqa: PLR2004 - MACD and bands
                self._close_triple.append((kernel.update, i, i + 1, i + 2))
            else:
                self._steps.append(step_of(node, kernel, self.slots))
        self.ready = True

    def peek(self, bar: Bar) -> list[float]:
        """Return the slots as `update` would leave them; commits nothing.

        Args:
            bar: Usually the candle that is still open.

        Raises:
            IndicatorError: A field of the candle is NaN or infinite.
        """
        prices = frame(bar)
        slots = [NAN] * self._plan.size
        for node, kernel in zip(self._plan.nodes, self._kernels, strict=True):
            inputs = _inputs(node, prices, slots)
            if inputs is not None:
                _write(slots, node, kernel.peek(*inputs))
        return slots

    def reopen(self, bars: Sequence[Bar]) -> None:
        """Start anew on history; as `open`, from bars.

        Args:
            bars: All candles from the anchor on, oldest first. Empty: back to the beginning.

        Raises:
            IndicatorError: A candle is not finite; nothing has moved.
        """
        columns = columns_of(bars)
        for name in ("open", "high", "low", "close", "volume"):
            fits = usable(columns[name])
            if not fits.all():
                refuse_non_finite(bars[int(fits.argmin())])
        self.open(Prices(columns), anchor=bars[0].seq if bars else 0)

    def open(self, prices: Prices, *, anchor: int) -> None:
        """Start anew on history, at C speed; bit-identical to having streamed it.

        Args:
            prices: Of all candles from the anchor on, oldest first. Empty: back to the beginning.
            anchor: `seq` of the first of them.
        """
        if self.anchor is not None:
            self._kernels = self._new_kernels()
        outputs: dict[int, Array] = {}
        for node, kernel in zip(self._plan.nodes, self._kernels, strict=True):
            _write(self.slots, node, self._opened(node, kernel, prices, outputs))
        self.anchor = anchor if prices.size else None
        self.ready = False
        if prices.size and all(kernel.ready for kernel in self._kernels):
            self._compile()

    def _opened(
        self, node: Node, kernel: Kernel, prices: Prices, outputs: dict[int, Array]
    ) -> Value:
        """Open one kernel and return its present value; keep in `outputs` what others read."""
        inputs = [prices.of(PRICES[~code]) if code < 0 else outputs[code] for code in node.inputs]
        slots = range(node.first, node.first + node.width)
        if max(node.inputs) >= 0:  # prices have no gaps, what indicators give may
            inputs = aligned(inputs)
            if not gapless(inputs):
                arrays, value = replay(kernel, inputs, node.width)
                outputs.update(zip(slots, arrays, strict=True))
                return value
        if not self._plan.sources.isdisjoint(slots):
            arrays = node.info.maker.batch(dict(node.items), inputs)
            outputs.update(zip(slots, arrays, strict=True))
        return kernel.open(inputs)

    def batch(self, columns: Mapping[str, Array]) -> list[Array]:
        """Return the batch twin: one array per slot, each value as `update` would have given it.

        Args:
            columns: open, high, low, close, volume (and open_time where a session needs it) as
                float arrays of one length; only those that are read are needed.

        Raises:
            IndicatorError: A column is missing, or not finite.
        """
        return slots_of(self._plan, columns)


def _inputs(node: Node, prices: Frame, slots: list[float]) -> list[float] | None:
    """Return what a node reads, None if some of it is unusable."""
    values = [prices[~code] if code < 0 else slots[code] for code in node.inputs]
    for value in values:
        if not -LIMIT <= value <= LIMIT:
            return None
    return values


def _write(slots: list[float], node: Node, value: Value) -> None:
    if isinstance(value, tuple):
        slots[node.first : node.first + node.width] = value
    else:
        for i in range(node.first, node.first + node.width):
            slots[i] = value
