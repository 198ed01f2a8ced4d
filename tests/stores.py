"""Stores for tests: migrated once, and copied."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.catalog import default_folders, discover
from engine.catalog.built_ins import seed_built_ins
from engine.catalog.definitions import Definitions
from engine.store import Store

__all__ = ["a_seeded_store", "an_empty_store"]


def an_empty_store(file: Path) -> Store:
    """Return a store in a new file; migrating one for every test would take most of its time."""
    file.write_bytes(_migrated())
    return Store.open(file)


def a_seeded_store(file: Path) -> Store:
    """Return a store in a new file that has the definitions that come with Chorus."""
    file.write_bytes(_seeded())
    return Store.open(file)


@cache
def _seeded() -> bytes:
    with TemporaryDirectory(prefix="chorus-store-") as name:
        file = Path(name) / "chorus.db"
        with an_empty_store(file) as store:
            catalog = discover(default_folders())
            seed_built_ins(Definitions(store, lambda: catalog, lambda: 1), catalog)
        return file.read_bytes()


@cache
def _migrated() -> bytes:
    with TemporaryDirectory(prefix="chorus-store-") as name:
        file = Path(name) / "chorus.db"
        Store.open(file).close()
        return file.read_bytes()
