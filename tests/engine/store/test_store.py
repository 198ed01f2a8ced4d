"""The store says what keeps it from working, and loses nothing it has acknowledged."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from sqlalchemy import create_engine, select, text

from engine.errors import ConfigError, ConstraintError, StoreError
from engine.store import ApiKey, BacktestJob, Base, Setting, Store, User
from engine.store.migrations import downgrade, revision_of, upgrade
from tests.examples import examples

SECRETS = ("secret-one", "secret-two")


def a_user(name: str = "ann", **changes: object) -> User:
    fields = {"id": f"u-{name}", "name": name, "role": "trader", "created_ms": 5}
    return User(**{**fields, **changes})


def test_the_migrations_make_the_tables_the_program_has(store: Store) -> None:
    with store._transaction(writes=False) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_opening_again_changes_nothing_and_finds_everything(address: str) -> None:
    with Store.open(address) as first, first.write() as session:
        session.add(a_user())
    with Store.open(address) as second, second.read() as session:
        assert session.scalars(select(User.name)).all() == ["ann"]


def test_tables_go_back_to_nothing_and_come_again(store: Store) -> None:
    with store.write() as session:
        session.add(a_user())
    with store._transaction(writes=True) as connection:
        downgrade(connection, "base")
        assert revision_of(connection) is None
    with store._transaction(writes=True) as connection:
        upgrade(connection, store.name)
    with store.read() as session:
        assert session.scalars(select(User)).all() == []


def test_a_store_of_a_newer_version_is_refused_and_left_alone(address: str) -> None:
    with Store.open(address) as store, store.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"newer version of Chorus \(tables 9999") as refused:
        Store.open(address)
    assert "install that version" in str(refused.value)


def test_many_who_open_an_empty_store_at_once_all_find_it_ready(address: str) -> None:
    def open_and_write(number: int) -> None:
        with Store.open(address) as store, store.write() as session:
            session.add(a_user(f"n{number}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(open_and_write, range(8)))
    with Store.open(address) as store, store.read() as session:
        assert len(session.scalars(select(User)).all()) == 8


def test_changes_made_at_the_same_time_are_all_there(store: Store) -> None:
    with store.write() as session:
        session.add(Setting(key="n", value={"value": 0}, updated_ms=0))

    def add_one(_: int) -> None:
        with store.write() as session:
            row = session.scalars(select(Setting).with_for_update()).one()
            row.value = {"value": row.value["value"] + 1}

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add_one, range(60)))
    with store.read() as session:
        assert session.scalars(select(Setting)).one().value == {"value": 60}


def test_a_reader_sees_one_state_of_everything(store: Store) -> None:
    with store.write() as session:
        session.add(a_user("ann"))
    with store.read() as reading:
        assert reading.scalars(select(User.name)).all() == ["ann"]
        with store.write() as session:
            session.add(a_user("bob"))
        assert reading.scalars(select(User.name)).all() == ["ann"]
    with store.read() as reading:
        assert len(reading.scalars(select(User.name)).all()) == 2


def test_what_is_written_is_in_no_message(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "sqlalchemy")
    with pytest.raises(ConstraintError) as refused, store.write() as session:
        session.add(a_user(password_hash=SECRETS[0], role="king"))
    with store.write() as session:
        session.add(a_user(password_hash=SECRETS[1]))
    shown = "".join(traceback.format_exception(refused.value)) + caplog.text
    assert "secret-" not in shown
    assert "users" in str(refused.value)


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    def write_and_fail() -> None:
        with store.write() as session:
            session.add(a_user())
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    with store.read() as session:
        assert session.scalars(select(User)).all() == []


def test_rows_of_somebody_who_is_not_there_are_refused(store: Store) -> None:
    key = ApiKey(id="k", user_id="nobody", name="", secret_hash="", created_ms=0)
    with pytest.raises(ConstraintError), store.write() as session:
        session.add(key)
    with pytest.raises(ConstraintError), store.write() as session:
        session.add(a_user(role="king"))


@examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(amount=st.decimals(-(10**9), 10**9, places=12))
def test_amounts_keep_every_digit(store: Store, amount: Decimal) -> None:
    with store.write() as session:
        session.merge(a_user())
        session.flush()
        fields = {"config": {}, "status": "done", "error": "", "created_ms": 0}
        session.merge(BacktestJob(id="b", owner_id="u-ann", progress=amount, **fields))
    with store.read() as session:
        assert session.scalars(select(BacktestJob)).one().progress == amount


WRITER = """
import sys
import traceback
from engine.store import Setting, Store

store = Store.open(sys.argv[1])
number = 0
while True:
    with store.write() as session:
        session.add(Setting(key=f"k{number:06d}", value={"value": number}, updated_ms=0))
    print(number, flush=True)
    number += 1
"""


def test_what_was_acknowledged_is_there_after_a_kill(address: str) -> None:
    process = subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", WRITER, address], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    seen = [int(process.stdout.readline()) for _ in range(50)]
    process.kill()
    rest, _ = process.communicate()
    acknowledged = [*seen, *(int(line) for line in rest.split("\n")[:-1])]
    with Store.open(address) as store, store.read() as session:
        kept = session.scalars(select(Setting.key).order_by(Setting.key)).all()
    assert len(kept) - len(acknowledged) in (0, 1)
    assert kept == [f"k{number:06d}" for number in range(len(kept))]


# ------------------------------------------------------------------ what keeps it from working


def refused(address: object, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        Store.open(str(address))


def test_a_file_that_somebody_else_writes_to_is_said_to_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.store.BUSY_MS", 1)
    file = tmp_path / "chorus.db"
    with Store.open(file) as store:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked by another process"), store.write() as session:
            session.add(a_user())
        refused(file, "locked by another process")
        other.close()
        with store.write() as session:
            session.add(a_user())


def test_a_store_without_room_says_so_and_goes_on_when_there_is_some(tmp_path: Path) -> None:
    def write_much(pages: int) -> None:
        with store.write() as session:
            session.execute(text(f"PRAGMA max_page_count = {pages}"))
            session.add(Setting(key="large", value={"value": "x" * 100_000}, updated_ms=0))

    with Store.open(tmp_path / "chorus.db") as store:
        with pytest.raises(StoreError, match="no room left; nothing of the change"):
            write_much(pages=1)
        write_much(pages=1_000_000)
        with store.read() as session:
            assert len(session.scalars(select(Setting)).all()) == 1


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}"])
def test_only_its_owner_may_read_a_new_file_and_those_beside_it(tmp_path: Path, form: str) -> None:
    file = tmp_path / "chorus.db"
    before = os.umask(0)
    try:
        with Store.open(form.format(file)) as store, store.write() as session:
            session.add(a_user())
            session.flush()
            found = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert found == dict.fromkeys(("chorus.db", "chorus.db-wal", "chorus.db-shm"), 0o600)


def test_the_mode_of_a_file_that_is_there_is_its_owners_choice(tmp_path: Path) -> None:
    file = tmp_path / "chorus.db"
    file.touch()
    file.chmod(0o640)
    Store.open(file).close()
    assert file.stat().st_mode & 0o777 == 0o640


def test_files_that_are_no_store_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("all my notes, more than a hundred bytes of them " * 10)
    refused(file, "no SQLite database")
    assert file.read_text().startswith("all my notes")
    refused(tmp_path / "no" / "folder" / "chorus.db", "cannot be opened")
    refused(tmp_path, "cannot be opened")


def test_a_server_that_is_not_there_is_said_to_be_away_without_the_password() -> None:
    with pytest.raises(StoreError, match="cannot be reached") as away:
        Store.open("postgresql://chorus:secret@127.0.0.1:1/none")
    assert "secret" not in str(away.value)


@pytest.mark.parametrize(
    "address", ["mysql://a/b", "sqlite://", "redis://x", "://", "postgresql://[::1"]
)
def test_what_is_no_address_of_a_store_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^store: "):
        Store.open(address)


ODD = {"half": "\ud800", "nul": "a\x00b", "huge": float("inf"), "long": 10**40, "none": None}
REFUSED_BY_POSTGRESQL = {"half": "type json", "nul": "Unicode escape", "huge": "type json"}


@pytest.mark.parametrize("name", ODD)
def test_a_document_comes_back_as_it_was_written_or_is_refused(store: Store, name: str) -> None:
    value = {"value": [{"deep": [1.5, True]}, SECRETS[0], ODD[name]]}

    def write() -> None:
        with store.write() as session:
            session.add(Setting(key=name, value=value, updated_ms=0))

    if store.name.startswith("postgresql") and name in REFUSED_BY_POSTGRESQL:
        with pytest.raises(StoreError, match=REFUSED_BY_POSTGRESQL[name]) as refused:
            write()
        assert SECRETS[0] not in "".join(traceback.format_exception(refused.value))
        value = {"value": "something else"}
    write()
    with store.read() as session:
        assert session.get_one(Setting, name).value == value


def test_who_finds_no_free_connection_is_told_so(tmp_path: Path) -> None:
    engine = create_engine(
        f"sqlite:///{tmp_path / 'a.db'}", pool_size=1, max_overflow=0, pool_timeout=0.01
    )
    with Store(engine, "a.db") as store, store.read() as one:
        one.execute(text("SELECT 1"))
        with pytest.raises(StoreError, match="too many wait for it at once"), store.read() as two:
            two.execute(text("SELECT 1"))
