"""A lock kept by PostgreSQL: an advisory one, of a session that lives as long as its holder."""

from __future__ import annotations

from typing import Any, Final

import psycopg

from engine.errors import ConfigError
from engine.locks.errors import LockUnavailableError
from engine.locks.lease import Grant
from engine.locks.lock import Claim

__all__ = ["AdvisoryRegistry"]

_KEY: Final = int.from_bytes(b"chorus-l", "big") >> 1


class AdvisoryRegistry:
    """As `LeaseRegistry`.

    The lock goes with the session, which PostgreSQL may end, with a restart for one, before its
    holder hears of it. So whoever gets the lock of one that has not given it back is not sure.

    Args:
        address: ``postgresql://USER:PASSWORD@HOST/NAME``; the lock is the database's.
        timeout_s: How long a call may take.
    """

    def __init__(self, address: str, *, timeout_s: float) -> None:
        scheme, _, rest = address.partition("://")
        if not scheme.startswith("postgresql") or not rest:
            raise ConfigError("lock: needs the address of a PostgreSQL database")
        self._address = f"postgresql://{rest}"
        self._timeout_s = timeout_s
        self._connection: psycopg.Connection[Any] | None = None

    def take(self, token: str, lease_s: float, last: Claim) -> Grant | None:  # noqa: ARG002 - the session says all
        """Give the lock to this session, if it is free."""
        if not self._ask("SELECT pg_try_advisory_lock(%s)", _KEY):
            return None
        return Grant(last.term + 1, last.is_released)

    def renew(self, token: str, term: int, lease_s: float) -> bool:  # noqa: ARG002 - as above
        """Tell whether the session lives: the lock is its own then."""
        if self._connection is None:
            return False
        try:
            return bool(self._ask("SELECT true"))
        except LockUnavailableError:
            return False  # the session has gone, and the lock with it

    def release(self, token: str) -> None:  # noqa: ARG002 - as above
        """End the session."""
        self._close()

    def _ask(self, query: str, *arguments: object) -> Any:
        try:
            if self._connection is None:
                self._connection = self._connect()
            row = self._connection.execute(query.encode(), arguments).fetchone()
        except psycopg.Error as error:
            self._close()
            raise LockUnavailableError(f"lock: PostgreSQL does not answer: {error}") from None
        return None if row is None else row[0]

    def _connect(self) -> psycopg.Connection[Any]:
        whole_s, ms = max(2, round(self._timeout_s)), int(self._timeout_s * 1000)
        return psycopg.connect(
            self._address,
            autocommit=True,
            connect_timeout=whole_s,
            keepalives_idle=whole_s,
            keepalives_interval=1,
            keepalives_count=3,
            tcp_user_timeout=ms,
            application_name="chorus-leader",
            options=f"-c statement_timeout={ms} -c idle_session_timeout=0",
        )

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
