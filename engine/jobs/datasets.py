"""Named sets of candles: the files of one folder, and no others."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from engine.errors import ChorusError, ConfigError, StoreError
from engine.market.symbols import parse_file_spec, symbol_key
from engine.money import parse_symbol

__all__ = ["Dataset", "Datasets"]

_KINDS = frozenset({".parquet", ".csv"})


class Dataset(msgspec.Struct, frozen=True):
    """Candles of one symbol.

    Attributes:
        name: Of the file, without its folder.
        symbol: As the name says.
        timeframe: Likewise.
        size_bytes: Of the file.
    """

    name: str
    symbol: str
    timeframe: str
    size_bytes: int


class Datasets:
    """Candle files that whoever runs the service offers for backtests.

    Users say names, never paths: a name is looked up among those that are there.

    Args:
        folder: Where they are; what lies deeper is not offered. None: there are none.

    Attributes:
        folder: The same, absolute.

    Raises:
        ConfigError: It is no folder.
    """

    def __init__(self, folder: Path | None) -> None:
        if folder is not None and not folder.is_dir():
            raise ConfigError(f"data folder {folder}: is no folder; make it, or name another")
        self.folder = None if folder is None else folder.resolve()

    def all(self) -> list[Dataset]:
        """Return all there are, by name. Looks into the folder each time.

        Raises:
            StoreError: The folder cannot be read.
        """
        if self.folder is None:
            return []
        try:
            files = sorted(self.folder.iterdir())
            return [found for file in files if (found := _dataset(file)) is not None]
        except OSError as error:
            raise StoreError(
                f"data folder: cannot be read ({error.strerror}); see that it is there"
            ) from error

    def named(self, names: Iterable[str]) -> list[Dataset]:
        """Return some of them.

        Raises:
            ConfigError: There is none of a name, or two hold the same candles; a line for each.
            StoreError: The folder cannot be read.
        """
        offered = {each.name: each for each in self.all()}
        problems, found = [], []
        streams: dict[tuple[str, str], str] = {}
        for name in names:
            dataset = offered.get(name)
            if dataset is None:
                there = ", ".join(list(offered)[:20]) or "none"
                problems.append(f"datasets: there is no {name[:80]!r}; there are: {there}")
                continue
            stream = symbol_key(dataset.symbol), dataset.timeframe
            if stream in streams:
                problems.append(
                    f"datasets: {streams[stream]} and {name} both hold {dataset.symbol} "
                    f"{dataset.timeframe}; name one"
                )
            streams[stream] = name
            found.append(dataset)
        if problems:
            raise ConfigError("\n".join(problems))
        return found


def _dataset(file: Path) -> Dataset | None:
    """Return what a file holds; None if it is none of ours, or its name says too little."""
    # On the command line, what comes before an `=` is a symbol; here there are names alone.
    if file.suffix.lower() not in _KINDS or "=" in file.name or not file.is_file():
        return None
    try:
        spec = parse_file_spec(str(file))
        parse_symbol(spec.symbol)
    except ChorusError:
        return None
    return Dataset(file.name, spec.symbol, spec.timeframe, file.stat().st_size)
