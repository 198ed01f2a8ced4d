"""API keys: ``chorus_<public id>_<secret>``, found by the one part and proved by the other."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable
from typing import Final

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from engine.access import Caller
from engine.audit import record
from engine.errors import NotFoundError, StoreError
from engine.store import ApiKey, Store, User
from engine.store.paging import Order, Page, take_page
from engine.users.checks import check_expiry, check_label, check_role
from engine.users.errors import AuthenticationError
from engine.users.finding import find_user
from engine.users.passwords import Hasher
from engine.users.verified import VerifiedKeys
from engine.users.views import KeyView

__all__ = ["Keys", "add_key", "make_key"]


_log = logging.getLogger(__name__)

_KEY: Final = re.compile(r"chorus_([0-9a-f]{16})_([0-9a-f]{64})")
_USED_EVERY_MS: Final = 60_000


def _parts_of(text: str) -> tuple[str, str]:
    """Return the public id and the secret of a key.

    Raises:
        AuthenticationError: It is none.
    """
    parts = _KEY.fullmatch(text)
    if parts is None:
        raise AuthenticationError
    key_id, secret = parts.groups()
    return key_id, secret


def make_key() -> tuple[str, str, str]:
    """Return the public id, the secret and the full text of a new key."""
    key_id, secret = secrets.token_hex(8), secrets.token_hex(32)
    return key_id, secret, f"chorus_{key_id}_{secret}"


def add_key(session: Session, key: ApiKey, caller: Caller) -> None:
    """Write a key whose user is there, and that it was made."""
    session.add(key)
    change = {"user_id": key.user_id, "name": key.name, "expires_ms": key.expires_ms}
    record(session, caller, "create", key, change=change, at_ms=key.created_ms)


class Keys:
    """The keys of users; the only one who writes their table.

    Everybody has keys of their own; admins see, make and take back everybody's.

    Args:
        store: Where they are kept.
        clock: Milliseconds UTC.
        hasher: Of their secret parts.
        verified: Which were verified lately.
    """

    def __init__(
        self, store: Store, clock: Callable[[], int], hasher: Hasher, verified: VerifiedKeys
    ) -> None:
        self._store = store
        self._clock = clock
        self._hasher = hasher
        self._verified = verified

    def create(
        self, user_id: str, name: str, caller: Caller, *, expires_ms: int | None = None
    ) -> str:
        """Make a key, and return its full text, which is never to be had again.

        Args:
            user_id: Whose.
            name: What for, 1 to 64 characters.
            caller: Who asks.
            expires_ms: When it ends to be accepted, milliseconds UTC; None: never.

        Raises:
            NotFoundError: There is no such user, or not for the caller.
            ConfigError: The name is not usable, or the key would be over already.
        """
        now = self._clock()
        check_label(name)
        check_expiry(expires_ms, now)
        with self._store.read() as session:
            find_user(session, user_id, caller)
        key_id, secret, text = make_key()
        key = ApiKey(
            id=key_id,
            user_id=user_id,
            name=name,
            secret_hash=self._hasher.hash(secret),  # not within the transaction: others wait
            created_ms=now,
            expires_ms=expires_ms,
        )
        with self._store.write() as session:
            add_key(session, key, caller)
        return text

    def page(
        self, user_id: str, caller: Caller, *, after: str | None = None, limit: int = 100
    ) -> Page[KeyView]:
        """Return some of a user's keys, the oldest first, also those that are over.

        Args:
            user_id: Whose.
            caller: Who asks.
            after: As for `take_page`.
            limit: As for `take_page`.

        Raises:
            NotFoundError: There is no such user, or not for the caller.
            ConfigError: An argument is not usable.
        """
        query = select(ApiKey).where(ApiKey.user_id == user_id)
        order = [Order(ApiKey.created_ms), Order(ApiKey.id)]
        with self._store.read() as session:
            find_user(session, user_id, caller)
            page = take_page(session, query, order, after=after, limit=limit)
        return Page([KeyView.of(row) for row in page.items], page.next)

    def revoke(self, key_id: str, caller: Caller) -> KeyView:
        """Take a key back for good; it is refused from now on. Doing it again changes nothing.

        Raises:
            NotFoundError: There is no such key, or not for the caller.
        """
        with self._store.write() as session:
            # No text the database cannot even compare with: PostgreSQL knows no NUL.
            found = session.get(ApiKey, key_id, with_for_update=True) if key_id.isalnum() else None
            if found is None or not (caller.is_admin or found.user_id == caller.user_id):
                raise NotFoundError(f"key {key_id[:80]!r}: there is none; look at the list of keys")
            if found.revoked_ms is None:
                found.revoked_ms = now = self._clock()
                change = {"user_id": found.user_id, "revoked_ms": [None, now]}
                record(session, caller, "revoke", found, change=change, at_ms=now)
        return KeyView.of(found)

    def authenticate(self, text: str) -> Caller:
        """Return whose key this is.

        Raises:
            AuthenticationError: Nobody's, or it is not accepted any more.
        """
        key_id, secret = _parts_of(text)
        key, user = self._accepted(key_id)
        if not self._verified.has(text, key.id, key.secret_hash, self._clock()):
            if not self._hasher.verify(key.secret_hash, secret):
                raise AuthenticationError
            self._verified.add(text, key.id, key.secret_hash, self._clock())
            key, user = self._accepted(key_id)  # it may have been taken back meanwhile
        self._note_use(key)
        return Caller(user.id, check_role(user.role))

    def recall(self, text: str) -> Caller | None:
        """Return whose key this is if that was verified lately; takes no argon2.

        Returns:
            None: there is such a key, but `authenticate` has to say whether this is it.

        Raises:
            AuthenticationError: There is none of that id, or it is not accepted any more.
        """
        key_id, _ = _parts_of(text)
        key, user = self._accepted(key_id)
        if not self._verified.has(text, key.id, key.secret_hash, self._clock()):
            return None
        self._note_use(key)
        return Caller(user.id, check_role(user.role))

    def _accepted(self, key_id: str) -> tuple[ApiKey, User]:
        query = select(ApiKey, User).join(User, User.id == ApiKey.user_id)
        with self._store.read() as session:
            found = session.execute(query.where(ApiKey.id == key_id)).one_or_none()
        if found is None:
            raise AuthenticationError
        key, user = found
        is_over = key.expires_ms is not None and key.expires_ms <= self._clock()
        if is_over or key.revoked_ms is not None or user.is_disabled:
            raise AuthenticationError
        return key, user

    def _note_use(self, key: ApiKey) -> None:
        """Write down that a key is used, once a minute."""
        now = self._clock()
        if key.used_ms is not None and now < key.used_ms + _USED_EVERY_MS:
            return
        unnoted = or_(ApiKey.used_ms.is_(None), ApiKey.used_ms <= now - _USED_EVERY_MS)
        try:
            with self._store.write() as session:
                session.execute(
                    update(ApiKey).where(ApiKey.id == key.id, unnoted).values(used_ms=now)
                )
        except StoreError as error:
            # Whoever comes to stop trading because the disk is full must be let in.
            _log.warning("key %s: its use could not be noted: %s", key.id, error)
