"""The strategy files of the configured folders, and what is on record of each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.catalog.code_checks import check_code
from engine.catalog.discovery import BrokenPlugin, Catalog, LoadedType, collect, plugin_files
from engine.store import Store, StrategyFile

__all__ = ["StrategyFiles", "SyncReport"]


class SyncReport(msgspec.Struct, frozen=True):
    """What a look at all folders has found.

    Attributes:
        added: Files that are new, or back.
        changed: Files with other content than at the last look.
        gone: Files that were there at the last look.
        unusable: Files that cannot be used, with the first reason.
        unchanged: How many others there are.
    """

    added: list[str]
    changed: list[str]
    gone: list[str]
    unusable: dict[str, str]
    unchanged: int


class StrategyFiles:
    """Looks at the configured folders; the only one who writes the table of files.

    A file that does what strategies may not is not run at all. Nothing is ever uploaded: whoever
    may write into the folders decides what runs.

    Args:
        store: Where they are recorded.
        folders: Where to look.
        clock: Milliseconds UTC.

    Attributes:
        catalog: The types that can be used, as of the last look.
    """

    def __init__(
        self, store: Store, folders: Sequence[str | Path], clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._folders = tuple(folders)
        self._clock = clock
        self.catalog = Catalog({}, [])

    def sync(self) -> SyncReport:
        """Look at all files anew, and record what they are.

        Raises:
            ConfigError: A folder does not exist.
            StoreError: It cannot be recorded; nothing has changed.
        """
        files = list(plugin_files(self._folders))
        refused = {file: problems for file in files if (problems := _forbidden(file))}
        catalog = collect(file for file in files if file not in refused)
        refusals = [BrokenPlugin(file, problems[0]) for file, problems in refused.items()]
        loaded = {each.file: each for each in catalog.types.values()}
        errors = {broken.file: [str(broken)] for broken in catalog.broken} | refused
        with self._store.write() as session:
            report = self._record(session, files, loaded, errors)
        self.catalog = Catalog(catalog.types, [*catalog.broken, *refusals])
        return report

    def _record(
        self,
        session: Session,
        files: Sequence[Path],
        loaded: dict[Path, LoadedType],
        errors: dict[Path, list[str]],
    ) -> SyncReport:
        known = {row.path: row for row in session.scalars(select(StrategyFile))}
        added, changed, unchanged = [], [], 0
        for file in files:
            path = str(file)
            row = known.pop(path, None)
            code_hash = loaded[file].code_hash if file in loaded else _hash_of(file)
            if row is None or not row.is_present:
                added.append(path)
            elif row.code_hash != code_hash:
                changed.append(path)
            else:
                unchanged += 1
            session.merge(
                StrategyFile(
                    path=path,
                    code_hash=code_hash,
                    problems={"errors": errors.get(file, [])},
                    is_usable=file in loaded,
                    is_present=True,
                    validated_ms=self._clock(),
                    **_described(loaded.get(file)),
                )
            )
        gone = [path for path, row in known.items() if row.is_present]
        for path in gone:
            known[path].is_present = known[path].is_usable = False
            known[path].validated_ms = self._clock()
        unusable = {str(file): problems[0] for file, problems in errors.items()}
        return SyncReport(added, changed, gone, unusable, unchanged)


def _forbidden(file: Path) -> list[str]:
    """Return what a file does that strategies may not; that it cannot be read is found later."""
    try:
        problems = check_code(file.read_bytes())
    except (OSError, SyntaxError):
        return []
    return [f"{file}:{problem}" for problem in problems]


def _hash_of(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""


def _described(loaded: LoadedType | None) -> dict[str, Any]:
    if loaded is None:
        return {
            "type": "",
            "version": "",
            "author": "",
            "description": "",
            "compatibility": {},
            "schema": {},
        }
    metadata = loaded.metadata
    return {
        "type": metadata.type,
        "version": metadata.version,
        "author": metadata.author,
        "description": metadata.description,
        "compatibility": msgspec.to_builtins(metadata.compatibility),
        "schema": loaded.cls.get_parameters_schema(),
    }
