"""The database: opened, brought to this version's tables, read and written in transactions."""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
)
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.orm import Session

from engine.errors import ConfigError, ConstraintError, StoreError
from engine.store.migrations import upgrade

__all__ = ["DEFAULT_FILE", "Store"]

DEFAULT_FILE: Final = "chorus.db"

BUSY_MS: Final = 5_000
"""How long one waits for another who writes to the same SQLite file."""

_DRIVERS: Final = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg"}
_WRITES: Final = "chorus_writes"
_MAKING: Final = threading.Lock()

_CAUSES: Final = [
    (
        r"database is locked|lock timeout|could not obtain lock",
        "is locked by another process; end that, or try again",
    ),
    (
        r"database or disk is full|No space left|disk full",
        "has no room left; nothing of the change was written; make room and try again",
    ),
    (r"readonly database|read-only", "cannot be written to; change its permissions"),
    (
        r"not a database|malformed|disk image",
        "is damaged or no SQLite database; put a backup in its place",
    ),
    (
        r"unable to open database file|permission denied",
        "cannot be opened; check that its folder exists and may be written to",
    ),
    (
        r"connection (failed|refused|timeout)|could not connect|server closed|terminating",
        "cannot be reached; check that the server runs and the address is right",
    ),
    (r"password authentication failed|no password", "refuses the user or the password"),
]


class Store:
    """One database, for every thread of a process.

    Objects read in a transaction may be kept after it; they are not followed any more.

    Attributes:
        name: The address without its password, for messages.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self._writing = engine.execution_options(**{_WRITES: True})
        # One state of everything; SQLite has it in every transaction.
        is_server = engine.dialect.name == "postgresql"
        self._reading = (
            engine.execution_options(isolation_level="REPEATABLE READ") if is_server else engine
        )

    @classmethod
    def open(cls, address: str | Path) -> Self:
        """Open a database and migrate it; makes an SQLite file that is not there, for its owner.

        Args:
            address: A file, or ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST/NAME``.

        Raises:
            ConfigError: The address is none.
            StoreError: It cannot be opened or migrated, or is of a newer version of Chorus.
        """
        url = _url_of(address)
        name = url.render_as_string(hide_password=True)
        engine = _engine_of(url)
        store = cls(engine, name)
        try:
            with store._transaction(writes=True) as connection:
                upgrade(connection, name)
        except BaseException:  # whatever it is, it goes on; nobody else would close it
            engine.dispose()
            raise
        return store

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """Read in one transaction, which sees one state of everything.

        Raises:
            StoreError: The database cannot be read.
        """
        with self._told(), Session(self._reading, expire_on_commit=False) as session:
            yield session

    @contextlib.contextmanager
    def write(self) -> Iterator[Session]:
        """Read and write in one transaction: at the end all of it is on the disk, or nothing.

        Raises:
            StoreError: The database cannot be written; nothing was.
            ConstraintError: A rule of a table forbids it; nothing was written. Whoever writes
                knows what that means for its callers.
        """
        session = Session(self._writing, expire_on_commit=False)
        with self._told(), session, session.begin():
            yield session

    def close(self) -> None:
        """Close all connections."""
        self._writing.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        engine = self._writing if writes else self._reading
        with self._told(), engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Say of an error of the database what it means and what to do."""
        try:
            yield
        # Without their causes: PostgreSQL quotes the row or the value, which may be secret.
        except IntegrityError as error:
            raise ConstraintError(f"store {self.name!r}: {_rule_of(error)}") from None
        except DataError as error:
            raise StoreError(f"store {self.name!r}: {_problem_of(error)}") from None
        except DBAPIError as error:
            raise StoreError(f"store {self.name!r}: {_cause_of(error)}") from error
        except NoConnectionError as error:
            raise StoreError(
                f"store {self.name!r}: too many wait for it at once, no connection got free in "
                "time; try again"
            ) from error


def _rule_of(error: IntegrityError) -> str:
    """Return which rule of which table forbids a change."""
    problem, details = _problem_of(error), getattr(error.orig, "diag", None)
    if details is None:
        return problem
    return f"{problem} ({details.constraint_name or details.column_name})"


def _problem_of(error: DBAPIError) -> str:
    """Return what is wrong without any value: SQLite names none, PostgreSQL in its details."""
    details = getattr(error.orig, "diag", None)
    return str(error.orig if details is None else details.message_primary)


def _cause_of(error: DBAPIError) -> str:
    text = " ".join(str(error.orig).split())
    for pattern, cause in _CAUSES:
        if re.search(pattern, text, re.IGNORECASE):
            return f"{cause} ({text})"
    return text


def _url_of(address: str | Path) -> URL:
    text = str(address)
    if "://" not in text:
        return URL.create(_DRIVERS["sqlite"], database=text)
    try:
        url = make_url(text)
        kind = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise ConfigError(f"store: not an address: {error}") from error
    if kind not in _DRIVERS:
        raise ConfigError(
            f"store: needs a file, sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME, "
            f"got {url.render_as_string(hide_password=True)!r}"
        )
    if kind == "sqlite" and not url.database:
        raise ConfigError("store: needs a file, sqlite:///FILE; one in memory would be lost")
    return url.set(drivername=_DRIVERS[kind])


def _document_of(text: str | bytes) -> Any:
    """Read a document; three times as fast as the standard library, which reads more, for most."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:  # half a surrogate pair, a number beyond a float
        return json.loads(text)


def _make_private(file: str) -> None:
    """Make an SQLite file that only its owner may read; SQLite would let everybody read it.

    One that is there is left alone. The files beside it (``-wal``, ``-shm``) get the mode of the
    file. What keeps it from being made, SQLite says better.
    """
    # Closing a file ends all locks this process has on it, so nobody may have opened it meanwhile.
    with contextlib.suppress(OSError), _MAKING:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _engine_of(url: URL) -> Engine:
    # What is written may be secret: no message and no log of SQLAlchemy shows it.
    if url.get_backend_name() == "postgresql":
        return create_engine(
            url,
            pool_pre_ping=True,
            pool_size=10,
            max_overflow=20,
            hide_parameters=True,
            json_deserializer=_document_of,
        )
    if "uri" not in url.query:
        _make_private(str(url.database))
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_MS / 1000},
        hide_parameters=True,
        json_deserializer=_document_of,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # The driver's own transactions would begin too late and end at the first change of a table.
        connection.isolation_level = None
        cursor = connection.cursor()
        for setting in (
            f"busy_timeout = {BUSY_MS}",
            "journal_mode = WAL",
            "synchronous = FULL",  # what was acknowledged is there after a power cut
            "foreign_keys = ON",
        ):
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Whoever means to write says so at first: two who read and then write would both fail.
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
