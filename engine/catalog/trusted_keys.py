"""Keys of other installations whose definitions may be imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import select

from engine.access import Caller
from engine.audit import record
from engine.catalog.checks import check_texts
from engine.catalog.signing import PublicKey
from engine.errors import ConfigError, ConflictError, ConstraintError, NotFoundError
from engine.store import Store, TrustedKey
from engine.store.paging import Page, order_of, take_page

__all__ = ["TrustedKeys"]

_SORTS: Final = {"id": TrustedKey.id}


class TrustedKeys:
    """Reads and writes the keys that are trusted; the only one who writes their table.

    Args:
        store: Where they are kept.
        clock: Milliseconds UTC.
    """

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock

    def has(self, fingerprint: str) -> bool:
        """Tell whether a key is trusted, by its full fingerprint."""
        with self._store.read() as session:
            return session.get(TrustedKey, fingerprint) is not None

    def page(
        self, caller: Caller, *, after: str | None = None, limit: int = 100
    ) -> Page[TrustedKey]:
        """Return some of the keys, by their fingerprints.

        Raises:
            ForbiddenError: The caller is no admin.
            ConfigError: An argument is not usable.
        """
        caller.require("admin", "to see the trusted keys")
        order = order_of("id", _SORTS, last=TrustedKey.id)
        with self._store.read() as session:
            return take_page(session, select(TrustedKey), order, after=after, limit=limit)

    def add(self, name: str, public_key: str, caller: Caller) -> TrustedKey:
        """Trust a key: whatever its holder has signed may be imported from now on.

        Args:
            name: Whose it is; not empty.
            public_key: 32 bytes in Base64.
            caller: Who asks.

        Raises:
            ForbiddenError: The caller is no admin.
            ConfigError: It is no key, or has no name.
            ConflictError: It is trusted already.
        """
        caller.require("admin", "to trust a key")
        if not name.strip():
            raise ConfigError("name: must say whose key it is, got nothing")
        check_texts(name=name)
        key = PublicKey.read(public_key)
        row = TrustedKey(
            id=key.fingerprint,
            name=name,
            public_key=key.text,
            author_id=caller.user_id,
            created_ms=self._clock(),
        )
        try:
            with self._store.write() as session:
                session.add(row)
                change = {"name": name, "public_key": key.text}
                record(session, caller, "create", row, change=change, at_ms=row.created_ms)
        except ConstraintError as error:
            raise ConflictError(f"key {key.fingerprint[:16]}: is trusted already") from error
        return row

    def remove(self, key_id: str, caller: Caller) -> TrustedKey:
        """Trust a key no more; what was imported stays.

        Raises:
            ForbiddenError: The caller is no admin.
            NotFoundError: There is none of that fingerprint.
        """
        caller.require("admin", "to trust a key no more")
        with self._store.write() as session:
            row = session.get(TrustedKey, key_id, with_for_update=True)
            if row is None:
                raise NotFoundError(f"trusted key {key_id!r}: there is none")
            change = {"name": row.name, "public_key": row.public_key}
            record(session, caller, "delete", row, change=change, at_ms=self._clock())
            session.delete(row)
        return row
