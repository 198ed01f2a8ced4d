"""What keeps something in a store is tested on both databases."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from engine.store import Store
from engine.store.base import Base
from tests.servers import postgres_server
from tests.stores import an_empty_store

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Return a PostgreSQL server, one for all tests of a process."""
    with postgres_server() as address:
        yield address


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Return which database it is."""
    return str(request.param)


@pytest.fixture(scope="session")
def migrated(postgres: str) -> str:
    """Return the address of a database with our tables; making one takes a second."""
    address = _create(postgres)
    Store.open(address).close()
    return address


@pytest.fixture
def address(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> str:
    """Return the address of a database without rows; of the store's, if the test has one."""
    if kind == "sqlite":
        return str(tmp_path / "chorus.db")
    if "store" not in request.fixturenames:
        return _create(request.getfixturevalue("postgres"))
    shared: str = request.getfixturevalue("migrated")
    _empty(shared)
    return shared


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    with Store.open(address) if "://" in address else an_empty_store(Path(address)) as opened:
        yield opened


def _create(server: str) -> str:
    """Return the address of a new database."""
    name = f"t{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    return server.rpartition("/")[0] + f"/{name}"


def _empty(address: str) -> None:
    """Delete all rows; whoever still holds a lock in an ended test makes this fail."""
    tables = SQL(", ").join(map(Identifier, Base.metadata.tables))
    with psycopg.connect(address, options="-c lock_timeout=10000") as connection:
        connection.execute(SQL("TRUNCATE {} RESTART IDENTITY").format(tables))
