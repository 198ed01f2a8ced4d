"""A single indicator on its own, outside a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from indicators.bars import PRICES, Array, Bar
from indicators.errors import IndicatorError
from indicators.kernels import Value
from indicators.manager import IndicatorManager
from indicators.specs import IndicatorSpec

__all__ = ["Indicator", "batch", "create"]

_NAME = "it"


class Indicator:
    """One indicator over one stream of candles; made by `create`.

    Attributes:
        spec: What it is.
        outputs: Short names of its outputs.
        warmup: Candles until the first value (see `IndicatorManager.warmup`).

    >>> from collections import namedtuple
    >>> Candle = namedtuple("Candle", "seq open_time open high low close volume")
    >>> from indicators import create, spec
    >>> sma = create(spec("sma", {"period": 2}))
    >>> [sma.update(Candle(i, 0, c, c, c, c, 1.0)) for i, c in enumerate([1.0, 2.0, 4.0])]
    [nan, 1.5, 3.0]
    >>> sma.peek(Candle(3, 0, 8.0, 8.0, 8.0, 8.0, 1.0)), sma.value
    (6.0, 3.0)
    """

    __slots__ = ("_manager", "outputs", "spec")

    def __init__(self, spec: IndicatorSpec) -> None:
        """Prepare an indicator; see `create`."""
        self.spec = spec
        self._manager = IndicatorManager({_NAME: spec})
        self.outputs = self._manager.outputs(_NAME)

    @property
    def warmup(self) -> int:
        """Candles until the first value."""
        return self._manager.warmup

    @property
    def anchor(self) -> int | None:
        """`seq` of the first candle consumed."""
        return self._manager.anchor

    @property
    def ready(self) -> bool:
        """Whether there has been a value."""
        return self._manager.ready

    @property
    def value(self) -> Value:
        """The present value, or a tuple of one per output; NaN before ready."""
        return self._shape(self._manager.slots)

    def update(self, bar: Bar) -> Value:
        """Consume one closed candle and return the value.

        Raises:
            IndicatorError: A field of the candle is NaN or infinite; nothing has moved.
        """
        self._manager.update(bar)
        return self._shape(self._manager.slots)

    def peek(self, bar: Bar) -> Value:
        """Return what `update` would; commits nothing.

        Raises:
            IndicatorError: A field of the candle is NaN or infinite.
        """
        return self._shape(self._manager.peek(bar))

    def reopen(self, bars: Sequence[Bar]) -> None:
        """Start anew on all candles from the anchor on; see `IndicatorManager.reopen`."""
        self._manager.reopen(bars)

    @staticmethod
    def _shape(slots: list[float]) -> Value:
        return slots[0] if len(slots) == 1 else tuple(slots)


def create(spec: IndicatorSpec) -> Indicator:
    """Return a fresh indicator.

    Raises:
        IndicatorError: The spec reads another indicator; that takes an `IndicatorManager`.
    """
    _refuse_chained(spec)
    return Indicator(spec)


def batch(spec: IndicatorSpec, columns: Mapping[str, Array]) -> tuple[Array, ...]:
    """Return one array per output, each value as `Indicator.update` would have given it.

    Args:
        spec: What to compute; must read prices only.
        columns: As for `IndicatorManager.batch`.

    Raises:
        IndicatorError: A column is missing or not finite, or the spec reads another indicator.
    """
    _refuse_chained(spec)
    return tuple(IndicatorManager({_NAME: spec}).batch(columns))


def _refuse_chained(spec: IndicatorSpec) -> None:
    for source in spec.sources:
        if source not in PRICES:
            raise IndicatorError(
                f"indicator type {spec.type!r}: source {source!r} is not a price; "
                "put both indicators into one IndicatorManager"
            )
