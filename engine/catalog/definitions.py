"""The catalogue of definitions: named, versioned ways to run a strategy type. Data, never code."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import ColumnElement, or_, select, true
from sqlalchemy.orm import Session

from engine.access import CHORUS, Caller
from engine.audit import record
from engine.catalog.canonical import sha256_of
from engine.catalog.checks import check_key, check_saying, check_texts
from engine.catalog.discovery import Catalog
from engine.changes import OnChange, nobody_listens
from engine.errors import ConflictError, ConstraintError, ForbiddenError, NotFoundError
from engine.store import Definition, DefinitionVersion, Store
from engine.store.paging import Page, order_of, take_page
from engine.store.versions import check_version

__all__ = ["Change", "Definitions", "Draft", "Visibility"]

Visibility = Literal["private", "public"]

_SORTS: Final = {
    "created": Definition.created_ms,
    "updated": Definition.updated_ms,
    "key": Definition.key,
    "name": Definition.name,
}


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What a new definition says.

    Attributes:
        key: Stable name: lower-case letters, digits, ``_`` and ``-``.
        name: For people; the key by default.
        description: For people.
        strategy_type: What it runs.
        schema: JSON Schema (Draft 7) of the parameters; None: that of the type.
        defaults: Fields of a strategy's configuration, except those only a strategy can have.
        visibility: Who sees it.
        note: Why this version was made.
    """

    key: str
    name: str = ""
    description: str = ""
    strategy_type: str
    schema: dict[str, Any] | None = None
    defaults: dict[str, Any] = {}
    visibility: Visibility = "private"
    note: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be different; None: as it is. A new schema or defaults make a new version."""

    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    defaults: dict[str, Any] | None = None
    visibility: Visibility | None = None
    note: str = ""


class Definitions:
    """Reads and writes definitions; the only one who writes their tables.

    Everybody sees what came with Chorus and what is public; the rest only its owner and admins.
    What somebody may not see is not there for them.

    Args:
        store: Where they are kept.
        catalog: The strategy types there are now.
        clock: Milliseconds UTC.
        on_change: Told of a definition once a change of it is on record.
    """

    def __init__(
        self,
        store: Store,
        catalog: Callable[[], Catalog],
        clock: Callable[[], int],
        *,
        on_change: OnChange = nobody_listens,
    ) -> None:
        self._on_change = on_change
        self._store = store
        self._catalog = catalog
        self._clock = clock

    # ------------------------------------------------------------------ reading

    def get(self, definition_id: str, caller: Caller) -> Definition:
        """Return a definition.

        Raises:
            NotFoundError: There is none of that id, or not for the caller.
        """
        with self._store.read() as session:
            return self._seen(session, definition_id, caller)

    def page(
        self,
        caller: Caller,
        *,
        sort: str = "created",
        after: str | None = None,
        limit: int = 100,
        strategy_type: str | None = None,
        enabled: bool | None = None,
    ) -> Page[Definition]:
        """Return some of the definitions a caller sees.

        Args:
            caller: Who asks.
            sort: ``created``, ``updated``, ``key`` or ``name``; with ``-`` in front descending.
            after: As for `take_page`.
            limit: As for `take_page`.
            strategy_type: Only those of a type.
            enabled: Only those that are, or are not.

        Raises:
            ConfigError: An argument is not usable.
        """
        order = order_of(sort, _SORTS, last=Definition.id)
        query = select(Definition).where(_visible_to(caller))
        if strategy_type is not None:
            query = query.where(Definition.strategy_type == strategy_type)
        if enabled is not None:
            query = query.where(Definition.is_enabled == enabled)
        with self._store.read() as session:
            return take_page(session, query, order, after=after, limit=limit)

    def said(self, definition_id: str, caller: Caller) -> tuple[Definition, DefinitionVersion]:
        """Return a definition and what it says now, both as of the same moment.

        Raises:
            NotFoundError: There is none of that id, or not for the caller.
        """
        with self._store.read() as session:
            definition = self._seen(session, definition_id, caller)
            return definition, _version(session, definition_id, definition.newest)

    def id_of(self, key: str) -> str | None:
        """Return whose key it is, also of a definition the asker may not see; None: nobody's."""
        with self._store.read() as session:
            return session.scalars(select(Definition.id).where(Definition.key == key)).first()

    def versions(self, definition_id: str, caller: Caller) -> list[DefinitionVersion]:
        """Return all versions of a definition, the newest first.

        Raises:
            NotFoundError: There is no such definition, or not for the caller.
        """
        with self._store.read() as session:
            self._seen(session, definition_id, caller)
            query = select(DefinitionVersion).where(
                DefinitionVersion.definition_id == definition_id
            )
            return list(session.scalars(query.order_by(DefinitionVersion.number.desc())))

    def version(self, definition_id: str, number: int, caller: Caller) -> DefinitionVersion:
        """Return one version of a definition.

        Raises:
            NotFoundError: There is none of that number, or not for the caller.
        """
        with self._store.read() as session:
            self._seen(session, definition_id, caller)
            return _version(session, definition_id, number)

    # ------------------------------------------------------------------ writing

    def create(self, draft: Draft, caller: Caller) -> Definition:
        """Make a definition, with its first version.

        Raises:
            ForbiddenError: The caller may only look.
            ConfigError: It would not make strategies that can run; the message names the field.
            ConflictError: The key is taken.
        """
        caller.require("trader", "to make a definition")
        check_key(draft.key)
        check_texts(name=draft.name, description=draft.description, note=draft.note)
        schema = self._checked(draft.strategy_type, draft.schema, draft.defaults)
        try:
            with self._store.write() as session:
                definition = self._added(session, draft, caller, secrets.token_hex(8))
                self._add_version(
                    session, definition, schema, draft.defaults, caller, note=draft.note
                )
                change = {"key": draft.key, "strategy_type": draft.strategy_type}
                at_ms = definition.updated_ms
                record(session, caller, "create", definition, change=change, at_ms=at_ms)
        except ConstraintError as error:
            raise ConflictError(
                f"definition {draft.key!r}: the key is taken; choose another, or update that one"
            ) from error
        self._on_change(definition.id, definition.version)
        return definition

    def update(
        self, definition_id: str, change: Change, caller: Caller, *, if_version: int | None = None
    ) -> Definition:
        """Change a definition. Strategies that run keep the version they were started with.

        Args:
            definition_id: Which.
            change: What is to be different.
            caller: Who asks.
            if_version: Only if nobody else has changed it since it had this version.

        Raises:
            NotFoundError: There is no such definition, or not for the caller.
            ForbiddenError: It is somebody else's.
            ConfigError: It would not make strategies that can run any more.
            StaleError: It has another version by now.
        """
        check_texts(name=change.name, description=change.description, note=change.note)
        with self._store.write() as session:
            definition = self._owned(session, definition_id, caller, if_version)
            newest = _version(session, definition_id, definition.newest)
            schema = newest.schema if change.schema is None else change.schema
            defaults = newest.defaults if change.defaults is None else change.defaults
            if change.schema is not None or change.defaults is not None:
                self._checked(definition.strategy_type, schema, defaults)
            if _digest(schema, defaults) != newest.sha256:
                self._add_version(session, definition, schema, defaults, caller, note=change.note)
            changed: dict[str, Any] = {}
            for name in ("name", "description", "visibility"):
                before, value = getattr(definition, name), getattr(change, name)
                if value not in (None, before):
                    setattr(definition, name, value)
                    changed[name] = [before, value]
            if definition.newest != newest.number:
                changed["newest"] = [newest.number, definition.newest]
            self._touch(definition)
            record(
                session, caller, "update", definition, change=changed, at_ms=definition.updated_ms
            )
        self._on_change(definition.id, definition.version)
        return definition

    def enable(
        self, definition_id: str, caller: Caller, *, is_enabled: bool, if_version: int | None = None
    ) -> Definition:
        """Let new strategies be made from a definition, or no more; those there are go on.

        Raises:
            ChorusError: As `update`.
        """
        with self._store.write() as session:
            definition = self._owned(session, definition_id, caller, if_version)
            changed = {"is_enabled": [definition.is_enabled, is_enabled]}
            definition.is_enabled = is_enabled
            self._touch(definition)
            record(
                session, caller, "update", definition, change=changed, at_ms=definition.updated_ms
            )
        self._on_change(definition.id, definition.version)
        return definition

    def roll_back(
        self,
        definition_id: str,
        number: int,
        caller: Caller,
        *,
        note: str = "",
        if_version: int | None = None,
    ) -> Definition:
        """Say again what an earlier version said, as a new version.

        Raises:
            NotFoundError: There is no such definition or version, or not for the caller.
            ChorusError: As `update`; its strategy type may have changed since then.
        """
        check_texts(note=note)
        with self._store.write() as session:
            definition = self._owned(session, definition_id, caller, if_version)
            earlier = _version(session, definition_id, number)
            self._checked(definition.strategy_type, earlier.schema, earlier.defaults)
            self._add_version(
                session,
                definition,
                earlier.schema,
                earlier.defaults,
                caller,
                note=note or f"back to version {number}",
                is_rollback=True,
            )
            self._touch(definition)
            record(
                session,
                caller,
                "roll back",
                definition,
                change={"to": number},
                at_ms=definition.updated_ms,
            )
        self._on_change(definition.id, definition.version)
        return definition

    def seed(self, drafts: Iterable[Draft]) -> list[str]:
        """Bring what comes with Chorus up to date; doing it again changes nothing.

        One that says something else than when it last came gets a new version. What an admin has
        changed since then, or disabled, stays until it does; a user's own is not touched.

        Args:
            drafts: What comes with Chorus.

        Returns:
            The keys of those that are new or have a new version.

        Raises:
            ConfigError: A draft would not make strategies that can run.
        """
        return [draft.key for draft in drafts if self._seed(draft)]

    def _seed(self, draft: Draft) -> bool:
        check_key(draft.key)
        schema = self._checked(draft.strategy_type, draft.schema, draft.defaults)
        try:
            return self._bring(draft, schema)
        except ConstraintError:
            # Somebody else has just made it, perhaps another engine that starts.
            return self._bring(draft, schema)

    def _bring(self, draft: Draft, schema: dict[str, Any]) -> bool:
        with self._store.write() as session:
            known = session.scalars(
                select(Definition).where(Definition.key == draft.key).with_for_update()
            ).first()
            if known is None:
                known = self._added(session, draft, CHORUS, f"builtin-{draft.key}"[:64])
            elif known.owner_id is not None or _last_seed(session, known.id) == _digest(
                schema, draft.defaults
            ):
                return False
            else:
                known.name, known.description = draft.name or draft.key, draft.description
                self._touch(known)
            self._add_version(
                session, known, schema, draft.defaults, CHORUS, note="came with Chorus"
            )
            change = {"newest": known.newest}
            record(session, CHORUS, "seed", known, change=change, at_ms=known.updated_ms)
        self._on_change(known.id, known.version)
        return True

    # ------------------------------------------------------------------ the parts of it

    def _added(
        self, session: Session, draft: Draft, caller: Caller, definition_id: str
    ) -> Definition:
        now = self._clock()
        definition = Definition(
            id=definition_id,
            key=draft.key,
            owner_id=caller.user_id,
            name=draft.name or draft.key,
            description=draft.description,
            strategy_type=draft.strategy_type,
            is_enabled=True,
            visibility="system" if caller.user_id is None else draft.visibility,
            newest=0,
            created_ms=now,
            updated_ms=now,
            version=1,
        )
        session.add(definition)
        session.flush()
        return definition

    def _seen(self, session: Session, definition_id: str, caller: Caller) -> Definition:
        query = select(Definition).where(Definition.id == definition_id, _visible_to(caller))
        found = session.scalars(query).first()
        if found is None:
            raise NotFoundError(f"definition {definition_id!r}: there is none")
        return found

    def _owned(
        self, session: Session, definition_id: str, caller: Caller, if_version: int | None
    ) -> Definition:
        definition = self._seen(session, definition_id, caller)
        caller.require("trader", "to change a definition")
        if not (caller.is_admin or definition.owner_id == caller.user_id):
            raise ForbiddenError(
                f"definition {definition.key!r}: belongs to somebody else; make one of your own"
            )
        # Whoever else changes it now waits here, and then finds the other version.
        session.refresh(definition, with_for_update=True)
        check_version(definition, if_version, f"definition {definition.key!r}")
        return definition

    def _touch(self, definition: Definition) -> None:
        definition.updated_ms = self._clock()
        definition.version += 1

    def _add_version(
        self,
        session: Session,
        definition: Definition,
        schema: dict[str, Any],
        defaults: dict[str, Any],
        caller: Caller,
        *,
        note: str,
        is_rollback: bool = False,
    ) -> None:
        definition.newest += 1
        session.add(
            DefinitionVersion(
                definition_id=definition.id,
                number=definition.newest,
                schema=schema,
                defaults=defaults,
                sha256=_digest(schema, defaults),
                note=note,
                is_rollback=is_rollback,
                author_id=caller.user_id,
                created_ms=self._clock(),
            )
        )

    def _checked(
        self, strategy_type: str, schema: dict[str, Any] | None, defaults: dict[str, Any]
    ) -> dict[str, Any]:
        return check_saying(self._catalog().get(strategy_type), schema, defaults)


def _visible_to(caller: Caller) -> ColumnElement[bool]:
    if caller.is_admin:
        return true()
    return or_(
        Definition.visibility.in_(("system", "public")), Definition.owner_id == caller.user_id
    )


def _version(session: Session, definition_id: str, number: int) -> DefinitionVersion:
    found = session.get(DefinitionVersion, (definition_id, number))
    if found is None:
        raise NotFoundError(f"definition {definition_id!r}: has no version {number}")
    return found


def _last_seed(session: Session, definition_id: str) -> str | None:
    """Return the hash of what last came with Chorus; admins may have said something else since."""
    query = select(DefinitionVersion.sha256).where(
        DefinitionVersion.definition_id == definition_id, DefinitionVersion.author_id.is_(None)
    )
    return session.scalars(query.order_by(DefinitionVersion.number.desc()).limit(1)).first()


def _digest(schema: dict[str, Any], defaults: dict[str, Any]) -> str:
    return sha256_of({"defaults": defaults, "schema": schema}, name="definition")
