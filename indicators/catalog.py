"""The catalogue: every indicator there is, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from indicators.errors import IndicatorError, did_you_mean
from indicators.info import IndicatorInfo
from indicators.own import (
    ICHIMOKU,
    KELTNER,
    ROLLING_VWAP,
    SESSION_VWAP,
    SMOOTH_STOCHRSI,
    STREAK,
    VOLUME_ZSCORE,
    ZSCORE,
)
from indicators.parameters import squeeze
from indicators.talib_functions import function_names, talib_aliases, talib_info

__all__ = ["Catalog", "catalog", "lookup"]


_OWN = (
    ICHIMOKU,
    KELTNER,
    ROLLING_VWAP,
    SESSION_VWAP,
    SMOOTH_STOCHRSI,
    STREAK,
    VOLUME_ZSCORE,
    ZSCORE,
)


class Catalog(Mapping[str, IndicatorInfo]):
    """All indicators by lower-case name; an entry is built when it is first asked for.

    >>> catalog()["macd"].outputs
    ('macd', 'signal', 'hist')
    >>> "RSI".lower() in catalog()
    True
    """

    def __init__(self) -> None:
        """Collect the names; where one is taken, TA-Lib's indicator has it."""
        self._own = {info.name: info for info in _OWN}
        self._names = dict.fromkeys(sorted((*function_names(), *self._own)))
        self._by_squeezed = {squeeze(name): name for name in self._names}
        own_aliases = {alias: info.name for info in self._own.values() for alias in info.aliases}
        for alias, name in (talib_aliases() | own_aliases).items():
            self._by_squeezed.setdefault(squeeze(alias), name)

    def __getitem__(self, name: str) -> IndicatorInfo:
        if name not in self._names:
            raise KeyError(name)
        return self._own.get(name) or talib_info(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def find(self, name: str) -> IndicatorInfo:
        """Return an entry by name or alias, however it is written (``MINUS_DI``, ``minusDI``).

        Raises:
            IndicatorError: There is none.
        """
        found = self._by_squeezed.get(squeeze(name))
        if found is None:
            raise IndicatorError(
                f"indicator type {name!r} is not known{did_you_mean(name.lower(), self._names)}"
            )
        return self[found]


@cache
def catalog() -> Catalog:
    """Return the catalogue (one per process)."""
    return Catalog()


def lookup(name: str) -> IndicatorInfo:
    """Return the entry of a name or alias.

    Raises:
        IndicatorError: There is none; suggests the nearest name.
    """
    return catalog().find(name)
