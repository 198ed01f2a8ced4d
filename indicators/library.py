"""TA-Lib, imported without its optional data-frame wrappers.

TA-Lib imports polars and pandas when it finds them, only to accept their Series. That costs 16 MB
and 0.4 s in every process, and this package hands over numpy arrays alone. So while TA-Lib is
imported for the first time, and only in the importing thread, those two names are not found; a
later ``import polars`` works as ever. The price: in a process that imports `indicators` before
TA-Lib, TA-Lib's own functions take numpy arrays but no Series (pass ``series.to_numpy()``).
A frame library that is imported already costs nothing more and is left alone.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["InsufficientHistory", "core", "stream"]

_FRAME_LIBRARIES = frozenset({"pandas", "polars"})


class _FrameLibrariesAbsent(MetaPathFinder):
    """Answers one thread that pandas and polars are not installed."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the signature is importlib's
        target: ModuleType | None = None,  # noqa: ARG002 - the signature is importlib's
    ) -> ModuleSpec | None:
        """Refuse a frame library to the importing thread; leave all else to the next finder."""
        if fullname in _FRAME_LIBRARIES and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


@contextmanager
def _without_frame_libraries() -> Iterator[None]:
    finder = _FrameLibrariesAbsent()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


with _without_frame_libraries():
    import talib

InsufficientHistory: type[Exception] = talib.InsufficientHistory

stream: Any = talib.stream
"""TA-Lib's streaming handles by upper-case name."""

core: Any = importlib.import_module("talib._ta_lib")
"""TA-Lib's Function API by upper-case name, and its self-description."""
