"""What keeps something in a store is tested on both databases."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from engine.store import Store
from tests.servers import postgres_server
from tests.stores import an_empty_store

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Return a PostgreSQL server, one for all tests of a process."""
    with postgres_server() as address:
        yield address


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of an empty database."""
    if request.param == "sqlite":
        return str(tmp_path / "chorus.db")
    server: str = request.getfixturevalue("postgres")
    name = f"t{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # made up above
    return server.rpartition("/")[0] + f"/{name}"


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    with Store.open(address) if "://" in address else an_empty_store(Path(address)) as opened:
        yield opened
