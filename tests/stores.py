"""Empty stores for tests: migrated once, and copied."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.store import Store

__all__ = ["an_empty_store"]


def an_empty_store(file: Path) -> Store:
    """Return a store in a new file; migrating one for every test would take most of its time."""
    file.write_bytes(_migrated())
    return Store.open(file)


@cache
def _migrated() -> bytes:
    with TemporaryDirectory(prefix="chorus-store-") as name:
        file = Path(name) / "chorus.db"
        Store.open(file).close()
        return file.read_bytes()
