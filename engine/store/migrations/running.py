"""Runs the migrations on an open connection, within its transaction."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from engine.errors import StoreError

__all__ = ["downgrade", "revision_of", "upgrade"]

_LOCK = 0x63_68_6F_72_75_73
"""PostgreSQL's advisory lock of those who migrate ("chorus")."""


def upgrade(connection: Connection, name: str, to: str = "head") -> None:
    """Bring the tables to a version, all of it or nothing.

    Args:
        connection: In a transaction that may write.
        name: Of the store, for messages.
        to: The version; ``head`` is this program's.

    Raises:
        StoreError: The database is of a newer version.
    """
    config = _config(connection)
    present = revision_of(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if present is not None and present not in known:
        raise StoreError(
            f"store {name!r}: was written by a newer version of Chorus (tables {present}, this one "
            f"knows up to {max(known)}); install that version, or use another store"
        )
    command.upgrade(config, to)


def downgrade(connection: Connection, to: str) -> None:
    """Take the tables back to an earlier version; what it has no place for is lost.

    Args:
        connection: In a transaction that may write.
        to: The version; ``base`` is an empty database.
    """
    command.downgrade(_config(connection), to)


def revision_of(connection: Connection) -> str | None:
    """Return the version of the tables; None where there are none."""
    if connection.dialect.name == "postgresql":
        # Two engines that start at the same moment: one migrates, the other finds it done.
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config
