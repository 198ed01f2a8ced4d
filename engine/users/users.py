"""Users: who they are, what they may do, and how they get in."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from engine.access import CHORUS, Caller
from engine.audit import record
from engine.errors import (
    ConfigError,
    ConflictError,
    ConstraintError,
    ForbiddenError,
    StoreError,
)
from engine.store import ApiKey, Store, User
from engine.store.paging import Order, Page, take_page
from engine.store.versions import check_version
from engine.users.checks import as_given, as_name, check_name, check_password, check_role
from engine.users.errors import AuthenticationError
from engine.users.finding import find_user
from engine.users.keys import Keys, add_key, make_key
from engine.users.passwords import Hasher
from engine.users.tokens import Tokens
from engine.users.verified import VerifiedKeys
from engine.users.views import UserView

__all__ = ["FIRST_ADMIN", "Users"]

_log = logging.getLogger(__name__)

FIRST_ADMIN: Final = "admin"


class Users:
    """Users, and the four ways in; the only one who writes their table.

    Admins see and change everybody; others see themselves, and change their password. May be
    shared by threads; processes that share the store need the same secret.

    Args:
        store: Where they are kept.
        clock: Milliseconds UTC.
        secret: Tokens are signed with it; see `secret_of`.
        hasher: Of passwords and keys.
        verified: Which keys were verified lately.

    Attributes:
        keys: Their keys.

    Raises:
        ConfigError: The secret is too short.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int],
        secret: bytes,
        *,
        hasher: Hasher | None = None,
        verified: VerifiedKeys | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._tokens = Tokens(secret)
        self._hasher = hasher or Hasher()
        # An empty one is false, too.
        known = VerifiedKeys() if verified is None else verified
        self.keys = Keys(store, clock, self._hasher, known)

    # ------------------------------------------------------------------ reading

    def get(self, user_id: str, caller: Caller) -> UserView:
        """Return a user.

        Raises:
            NotFoundError: There is none of that id, or not for the caller.
        """
        with self._store.read() as session:
            return UserView.of(find_user(session, user_id, caller))

    def page(self, caller: Caller, *, after: str | None = None, limit: int = 100) -> Page[UserView]:
        """Return some of the users a caller sees, the oldest first.

        Args:
            caller: Who asks.
            after: As for `take_page`.
            limit: As for `take_page`.

        Raises:
            ConfigError: An argument is not usable.
        """
        query = select(User)
        if not caller.is_admin:
            query = query.where(User.id == caller.user_id)
        order = [Order(User.created_ms), Order(User.id)]
        with self._store.read() as session:
            page = take_page(session, query, order, after=after, limit=limit)
        return Page([UserView.of(row) for row in page.items], page.next)

    # ------------------------------------------------------------------ writing

    def ensure_admin(self) -> str | None:
        """Make an admin where there are no users yet; also of several engines only one does.

        Returns:
            The admin's key, which is never to be had again; None: there are users.
        """
        if self._has_users():
            return None
        now = self._clock()
        key_id, secret, text = make_key()
        user = User(id=secrets.token_hex(8), name=FIRST_ADMIN, role="admin", created_ms=now)
        key = ApiKey(
            id=key_id,
            user_id=user.id,
            name="first start",
            secret_hash=self._hasher.hash(secret),
            created_ms=now,
        )
        try:
            with self._store.write() as session:
                if session.scalars(select(User.id).limit(1)).first() is not None:
                    return None
                self._add(session, user, CHORUS)
                add_key(session, key, CHORUS)
        except ConstraintError:
            # Two who saw no user both make one of that name: the database takes one of them.
            if not self._has_users():
                raise
            return None
        return text

    def create(
        self, name: str, role: str, caller: Caller, *, password: str | None = None
    ) -> UserView:
        """Make a user.

        Args:
            name: 1 to 64 letters, digits and ``_.-@``; kept in lower case.
            role: ``viewer``, ``trader`` or ``admin``.
            caller: Who asks.
            password: At least 12 characters; None: it signs in only by key.

        Raises:
            ForbiddenError: The caller is no admin.
            ConfigError: An argument is not usable.
            ConflictError: The name is taken.
        """
        _require_admin(caller, "make users")
        name = check_name(name)
        user = User(
            id=secrets.token_hex(8),
            name=name,
            role=check_role(role),
            password_hash=None if password is None else self._hash_of(password, name),
            created_ms=self._clock(),
        )
        try:
            with self._store.write() as session:
                self._add(session, user, caller)
        except ConstraintError as error:
            if self._named(name) is None:
                raise
            raise ConflictError(f"user {name!r}: the name is taken; choose another") from error
        return UserView.of(user)

    def set_role(
        self, user_id: str, role: str, caller: Caller, *, if_version: int | None = None
    ) -> UserView:
        """Change what a user may do, at once, also by the keys and tokens it has.

        Args:
            user_id: Who.
            role: ``viewer``, ``trader`` or ``admin``.
            caller: Who asks.
            if_version: Only if nobody else has changed it since it had this version.

        Raises:
            ForbiddenError: The caller is no admin.
            NotFoundError: There is no such user.
            ConfigError: There is no such role.
            ConflictError: It is the last admin, or has another version by now.
        """
        _require_admin(caller, "change roles")
        return self._change(user_id, caller, if_version, "role", check_role(role))

    def enable(
        self, user_id: str, caller: Caller, *, is_enabled: bool, if_version: int | None = None
    ) -> UserView:
        """Let a user in again, or no more: its password, keys and tokens are refused at once.

        Raises:
            ForbiddenError: The caller is no admin.
            NotFoundError: There is no such user.
            ConflictError: It is the last admin, or has another version by now.
        """
        _require_admin(caller, "enable and disable users")
        return self._change(user_id, caller, if_version, "is_disabled", not is_enabled)

    def set_password(
        self,
        user_id: str,
        password: str,
        caller: Caller,
        *,
        present: str | None = None,
        if_version: int | None = None,
    ) -> UserView:
        """Give a user another password. Its keys and tokens stay as they are.

        Args:
            user_id: Whose.
            password: At least 12 characters.
            caller: Who asks. Whoever changes its own says the present one, if there is one: a
                token or key that somebody else has got hold of is not enough.
            present: The present one.
            if_version: Only if nobody else has changed the user since it had this version.

        Raises:
            NotFoundError: There is no such user, or not for the caller.
            ForbiddenError: The present password is needed, and this is not it.
            ConfigError: The password is not usable.
            ConflictError: It has another version by now.
        """
        with self._store.read() as session:
            user = find_user(session, user_id, caller)
        name, hash_before = user.name, user.password_hash
        is_own = caller.user_id == user_id
        if is_own and hash_before is not None and not self._is_right(hash_before, present):
            raise _wrong_password(name)
        hashed = self._hash_of(password, name)
        with self._store.write() as session:
            user = find_user(session, user_id, caller, locks=True)
            check_version(user, if_version, f"user {user.name!r}")
            if is_own and user.password_hash != hash_before:  # changed meanwhile
                raise _wrong_password(name)
            user.password_hash = hashed
            self._touch(session, user, caller, {"password": "changed"})
        return UserView.of(user)

    # ------------------------------------------------------------------ ways in

    def authenticate(self, name: str, password: str) -> Caller:
        """Return who signs in. A wrong name takes as long as a wrong password.

        Raises:
            AuthenticationError: Nobody who is let in.
        """
        given, known = as_given(password), as_name(name)
        if given is None:
            raise AuthenticationError
        user = self._named(known)
        hashed = None if user is None else user.password_hash
        if not self._hasher.verify(hashed, given) or hashed is None:
            raise AuthenticationError
        user = self._named(known)  # it may have been disabled meanwhile
        if user is None or user.is_disabled or user.password_hash != hashed:
            raise AuthenticationError
        if self._hasher.is_outdated(hashed):
            self._rehash(user.id, hashed, given)
        return Caller(user.id, check_role(user.role))

    def authenticate_key(self, text: str) -> Caller:
        """Return whose key this is.

        Raises:
            AuthenticationError: Nobody's, or it is not accepted any more.
        """
        return self.keys.authenticate(text)

    def issue_token(self, caller: Caller) -> str:
        """Return a token for somebody who has just been authenticated, for 15 minutes.

        Raises:
            ConfigError: The caller is Chorus itself.
        """
        if caller.user_id is None:
            raise ConfigError("token: is issued to users only, got Chorus itself; name a user")
        return self._tokens.issue(caller.user_id, caller.role, self._clock())

    def caller_of_token(self, text: str) -> Caller:
        """Return who holds a token, with the role it has now.

        Raises:
            AuthenticationError: Nobody who is let in, or the token is over.
        """
        user_id = self._tokens.read(text, self._clock())
        with self._store.read() as session:
            user = session.get(User, user_id)
        if user is None or user.is_disabled:
            raise AuthenticationError
        return Caller(user.id, check_role(user.role))

    # ------------------------------------------------------------------ the parts of it

    def _has_users(self) -> bool:
        with self._store.read() as session:
            return session.scalars(select(User.id).limit(1)).first() is not None

    def _named(self, name: str | None) -> User | None:
        if name is None:
            return None
        with self._store.read() as session:
            return session.scalars(select(User).where(User.name == name)).first()

    def _is_right(self, hashed: str, password: str | None) -> bool:
        given = None if password is None else as_given(password)
        return given is not None and self._hasher.verify(hashed, given)

    def _hash_of(self, password: str, name: str) -> str:
        return self._hasher.hash(check_password(password, name))

    def _add(self, session: Session, user: User, caller: Caller) -> None:
        session.add(user)
        session.flush()
        change = {"name": user.name, "role": user.role}
        record(session, caller, "create", user, change=change, at_ms=user.created_ms)

    def _change(
        self, user_id: str, caller: Caller, if_version: int | None, field: str, value: object
    ) -> UserView:
        """Change what decides over being an enabled admin, of whom one has to stay."""
        with self._store.write() as session:
            admins = _enabled_admins(session)
            user = find_user(session, user_id, caller, locks=True)
            check_version(user, if_version, f"user {user.name!r}")
            before = getattr(user, field)
            if before != value:
                if admins == [user]:
                    raise ConflictError(
                        f"user {user.name!r}: is the last admin who is let in, and must stay so; "
                        "make somebody else an admin first"
                    )
                setattr(user, field, value)
                self._touch(session, user, caller, {field: [before, value]})
        return UserView.of(user)

    def _touch(self, session: Session, user: User, caller: Caller, change: dict[str, Any]) -> None:
        user.version += 1
        record(session, caller, "update", user, change=change, at_ms=self._clock())

    def _rehash(self, user_id: str, hashed: str, password: str) -> None:
        """Hash a password with the parameters of now, unless it was changed meanwhile.

        The version stays: nothing has changed for whoever edits the user.
        """
        fresh = self._hasher.hash(password)
        same = (User.id == user_id, User.password_hash == hashed)
        try:
            with self._store.write() as session:
                changed = update(User).where(*same).values(password_hash=fresh).returning(User)
                user = session.scalars(changed).first()
                if user is not None:
                    change, now = {"password_hash": "new parameters"}, self._clock()
                    record(session, CHORUS, "update", user, change=change, at_ms=now)
        except StoreError as error:
            # Whoever comes to stop trading because the disk is full must be let in.
            _log.warning("user %s: the password could not be hashed anew: %s", user_id, error)


def _require_admin(caller: Caller, what: str) -> None:
    if not caller.is_admin:
        raise ForbiddenError(f"users: only admins may {what}, not a {caller.role}; ask an admin")


def _wrong_password(name: str) -> ForbiddenError:
    return ForbiddenError(
        f"user {name!r}: whoever changes its own password has to say the present one, and this is "
        "not it; an admin can set another"
    )


def _enabled_admins(session: Session) -> list[User]:
    """Return all admins who are let in; nobody else can change them until the transaction ends.

    Of two who each take another admin away, the second waits here and sees what the first left.
    Always in the same order, so that none of them waits for the other for ever.
    """
    query = select(User).where(User.role == "admin", User.is_disabled.is_(False))
    return list(session.scalars(query.order_by(User.id).with_for_update()))
