"""Symbols in file names and command lines, and which of them mean the same instrument.

Files cannot hold ``/`` in their names, exchanges differ in case and separator. Symbols therefore
compare by a key in which ``/``, ``-`` and ``_`` are one separator and case does not count. A
settlement currency after a colon marks a perpetual future, as ``-PERP`` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from engine.errors import DataError
from engine.timeframes import TIMEFRAMES

__all__ = ["PERPETUAL_SUFFIX", "FileSpec", "parse_file_spec", "symbol_key"]

PERPETUAL_SUFFIX = "-PERP"
"""Ending of a perpetual future's symbol key; its file may stand in for the spot symbol's."""

_SEPARATORS = str.maketrans("/_", "--")
_NAMING = (
    "name it SYMBOL_TIMEFRAME, e.g. BTC-USDT_1m.parquet, or write SYMBOL:TIMEFRAME=PATH, "
    "e.g. BTC/USDT:1m=PATH"
)


class FileSpec(NamedTuple):
    """A candle file as a user names it."""

    symbol: str
    timeframe: str
    path: Path


def symbol_key(symbol: str) -> str:
    """Return what symbols are compared by.

    >>> symbol_key("btc_usdt-perp"), symbol_key("BTC/USDT:USDT"), symbol_key("BTC/USDT")
    ('BTC-USDT-PERP', 'BTC-USDT-PERP', 'BTC-USDT')
    """
    key, colon, _ = symbol.translate(_SEPARATORS).upper().partition(":")
    return key + PERPETUAL_SUFFIX if colon else key


def parse_file_spec(text: str) -> FileSpec:
    """Read ``PATH``, ``SYMBOL=PATH`` or ``SYMBOL:TIMEFRAME=PATH``.

    What the text does not say comes from the file's name: ``BTC-USDT-PERP_1m.parquet`` holds
    1-minute candles of BTC/USDT-PERP. A path that exists as it stands may itself hold ``=``.

    Raises:
        DataError: Symbol or timeframe is neither given nor in the file's name.
    """
    head, equals, tail = text.partition("=")
    if not equals or _exists(text):
        symbol, timeframe = _from_name(Path(text))
        return FileSpec(symbol, timeframe, Path(text))
    path = Path(tail.strip())
    symbol, _, timeframe = head.strip().rpartition(":")
    if timeframe not in TIMEFRAMES:  # no timeframe given: a symbol may itself hold a colon
        symbol, timeframe = head.strip(), _from_name(path, any_symbol=True)[1]
    if not symbol or not tail.strip():
        raise DataError(f"replay {text!r}: needs a symbol before '=' and a path after it")
    return FileSpec(symbol, timeframe, path)


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except OSError:  # e.g. too long for a path
        return False


def _from_name(path: Path, *, any_symbol: bool = False) -> tuple[str, str]:
    stem = path.name.partition(".")[0]
    symbol, _, timeframe = stem.rpartition("_")
    if timeframe not in TIMEFRAMES:
        raise DataError(
            f"{path}: the file name must end in one of the timeframes {', '.join(TIMEFRAMES)} "
            f"after '_', got {path.name!r}; {_NAMING}"
        )
    if not symbol and not any_symbol:
        raise DataError(f"{path}: the file name has no symbol before '_'; {_NAMING}")
    return symbol.replace("-", "/", 1), timeframe
