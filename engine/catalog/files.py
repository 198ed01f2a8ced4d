"""The strategy files of the configured folders, and what is on record of each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Final

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.access import CHORUS, Caller
from engine.audit import record
from engine.catalog.code_checks import check_code
from engine.catalog.discovery import BrokenPlugin, Catalog, LoadedType, collect, plugin_files
from engine.errors import ConfigError, NotFoundError
from engine.store import Store, StrategyFile
from engine.store.paging import Page, order_of, take_page

__all__ = ["StrategyFiles", "SyncReport", "file_id"]

_SORTS: Final = {
    "path": StrategyFile.path,
    "type": StrategyFile.type,
    "validated": StrategyFile.validated_ms,
}


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
    may write into the folders decides what runs. May be used by several threads.

    Args:
        store: Where they are recorded.
        folders: Where to look.
        clock: Milliseconds UTC.
    """

    def __init__(
        self, store: Store, folders: Sequence[str | Path], clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._folders = tuple(folders)
        self._clock = clock
        self._catalog = Catalog({}, [])
        self._looking = Lock()

    @property
    def catalog(self) -> Catalog:
        """Return the types that can be used, all of them as of the same look.

        Whoever needs several keeps what it got: the next look makes another catalog.
        """
        return self._catalog

    def type_of(self, name: str) -> LoadedType:
        """Return a strategy type.

        Raises:
            NotFoundError: There is none of that name.
        """
        try:
            return self._catalog.get(name)
        except ConfigError as error:
            raise NotFoundError(str(error)) from error

    def get(self, file_id: str) -> StrategyFile:
        """Return what is on record of a file.

        Raises:
            NotFoundError: There is none of that id.
        """
        with self._store.read() as session:
            found = session.get(StrategyFile, file_id)
        if found is None:
            raise NotFoundError(f"strategy file {file_id!r}: there is none")
        return found

    def page(
        self,
        *,
        sort: str = "path",
        after: str | None = None,
        limit: int = 100,
        valid: bool | None = None,
        present: bool | None = None,
    ) -> Page[StrategyFile]:
        """Return what is on record of some of the files.

        Args:
            sort: ``path``, ``type`` or ``validated``; with ``-`` in front descending.
            after: As for `take_page`.
            limit: As for `take_page`.
            valid: Only those that can be used, or cannot.
            present: Only those that were there at the last look, or were not.

        Raises:
            ConfigError: An argument is not usable.
        """
        order = order_of(sort, _SORTS, last=StrategyFile.id)
        query = select(StrategyFile)
        if valid is not None:
            query = query.where(StrategyFile.is_usable == valid)
        if present is not None:
            query = query.where(StrategyFile.is_present == present)
        with self._store.read() as session:
            return take_page(session, query, order, after=after, limit=limit)

    def sync(self, caller: Caller = CHORUS) -> SyncReport:
        """Look at all files anew, record what they are, and use from now on what can be used.

        Strategies that run keep the code they were started with. Runs the files' own module code.

        Args:
            caller: Who asks; Chorus itself does at start.

        Raises:
            ForbiddenError: The caller is no admin.
            ConfigError: A folder does not exist.
            StoreError: It cannot be recorded; nothing has changed.
        """
        caller.require("admin", "to look at the strategy files anew")
        # One at a time: of two, the one that looked last has to be the one whose catalog stays.
        with self._looking:
            files = list(plugin_files(self._folders))
            refused = {file: problems for file in files if (problems := _forbidden(file))}
            catalog = collect(file for file in files if file not in refused)
            refusals = [BrokenPlugin(file, problems[0]) for file, problems in refused.items()]
            loaded = {each.file: each for each in catalog.types.values()}
            errors = refused | {each.file: [_kept(str(each))] for each in catalog.broken}
            with self._store.write() as session:
                report = self._record(session, files, loaded, errors, caller)
            self._catalog = Catalog(catalog.types, [*catalog.broken, *refusals])
        return report

    def _record(
        self,
        session: Session,
        files: Sequence[Path],
        loaded: dict[Path, LoadedType],
        errors: dict[Path, list[str]],
        caller: Caller,
    ) -> SyncReport:
        now = self._clock()
        known = {row.id: row for row in session.scalars(select(StrategyFile))}
        added: list[str] = []
        changed: list[str] = []
        unchanged = 0
        for file in files:
            path = str(file)
            before = known.pop(file_id(path), None)
            row = StrategyFile(
                id=file_id(path),
                path=path,
                code_hash=loaded[file].code_hash if file in loaded else _hash_of(file),
                problems={"errors": errors.get(file, [])},
                is_usable=file in loaded,
                is_present=True,
                validated_ms=now,
                **_described(loaded.get(file)),
            )
            last = before.code_hash if before is not None and before.is_present else None
            if last == row.code_hash:
                unchanged += 1
            else:
                (added if last is None else changed).append(path)
                change = {"path": path, "code_hash": [last, row.code_hash]}
                record(session, caller, "sync", row, change=change, at_ms=now)
            session.merge(row)
        gone = [row for row in known.values() if row.is_present]
        for row in gone:
            row.is_present = row.is_usable = False
            row.validated_ms = now
            change = {"path": row.path, "code_hash": [row.code_hash, None]}
            record(session, caller, "sync", row, change=change, at_ms=now)
        unusable = {str(file): problems[0] for file, problems in errors.items()}
        return SyncReport(added, changed, [row.path for row in gone], unusable, unchanged)


def file_id(path: str) -> str:
    """Return by which id a file is on record."""
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _forbidden(file: Path) -> list[str]:
    """Return what a file does that strategies may not; that it cannot be read is found later."""
    try:
        problems = check_code(file.read_bytes())
    except (OSError, SyntaxError):
        return []
    return [f"{file}:{problem}" for problem in problems]


def _kept(text: str) -> str:
    """Return a text as every database keeps it; a file may raise any."""
    return text.encode(errors="replace").decode().replace("\0", "?")


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
