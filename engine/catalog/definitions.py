"""The catalogue of definitions: named, versioned ways to run a strategy type. Data, never code."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec
from jsonschema import Draft7Validator, SchemaError
from pydantic import ValidationError
from sqlalchemy import ColumnElement, or_, select, true
from sqlalchemy.orm import Session

from engine.access import CHORUS, Caller
from engine.audit import record
from engine.catalog.discovery import Catalog, LoadedType
from engine.config import StrategyConfig
from engine.errors import (
    ConfigError,
    ConflictError,
    ConstraintError,
    ForbiddenError,
    NotFoundError,
)
from engine.instance.parameters import check_parameters
from engine.store import Definition, DefinitionVersion, Store
from engine.store.paging import Page, order_of, take_page
from engine.store.versions import check_version
from indicators import IndicatorError, IndicatorManager

__all__ = ["Change", "Definitions", "Draft", "Visibility"]

Visibility = Literal["private", "public"]

_OF_THE_STRATEGY: Final = frozenset({"id", "account", "capital", "enabled"})
"""Fields of a strategy's configuration that no definition can know."""

_SORTS: Final = {
    "created": Definition.created_ms,
    "updated": Definition.updated_ms,
    "key": Definition.key,
    "name": Definition.name,
}

_ANYTHING: Final[dict[str, Any]] = {"type": "object"}


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
    """

    def __init__(
        self, store: Store, catalog: Callable[[], Catalog], clock: Callable[[], int]
    ) -> None:
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
        schema = self._checked(draft.strategy_type, draft.schema, draft.defaults)
        self._require_key(draft.key)
        now = self._clock()
        definition = Definition(
            id=secrets.token_hex(8),
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
        )
        try:
            with self._store.write() as session:
                session.add(definition)
                session.flush()
                self._add_version(
                    session, definition, schema, draft.defaults, caller, note=draft.note
                )
                change = {"key": draft.key, "strategy_type": draft.strategy_type}
                record(
                    session,
                    caller,
                    "create",
                    definition,
                    change=change,
                    at_ms=definition.updated_ms,
                )
        except ConstraintError as error:
            raise ConflictError(
                f"definition {draft.key!r}: the key is taken; choose another, or update that one"
            ) from error
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
            : It has another version by now.
        """
        with self._store.write() as session:
            definition = self._owned(session, definition_id, caller, if_version)
            newest = _version(session, definition_id, definition.newest)
            schema = newest.schema if change.schema is None else change.schema
            defaults = newest.defaults if change.defaults is None else change.defaults
            if (schema, defaults) != (newest.schema, newest.defaults):
                self._checked(definition.strategy_type, schema, defaults)
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
        return definition

    def seed(self, types: Mapping[str, LoadedType]) -> None:
        """Bring what comes with Chorus up to date; doing it again changes nothing.

        A type whose schema has changed gets a new version; one that is disabled stays so.

        Args:
            types: The strategy types that come with Chorus.
        """
        for name, loaded in types.items():
            schema = loaded.cls.get_parameters_schema()
            key = name.lower()
            with self._store.write() as session:
                known = session.scalars(select(Definition).where(Definition.key == key)).first()
                if known is None:
                    now = self._clock()
                    known = Definition(
                        id=f"builtin-{key}"[:64],
                        key=key,
                        owner_id=None,
                        visibility="system",
                        strategy_type=name,
                        is_enabled=True,
                        newest=0,
                        created_ms=now,
                        updated_ms=now,
                        name=loaded.metadata.name or name,
                        description=loaded.metadata.description,
                    )
                    session.add(known)
                    session.flush()
                elif known.owner_id is not None:
                    continue  # a user was first; theirs is not touched
                elif _version(session, known.id, known.newest).schema == schema:
                    continue
                self._add_version(session, known, schema, {}, CHORUS, note="came with Chorus")
                self._touch(known)
                record(
                    session,
                    CHORUS,
                    "update",
                    known,
                    change={"newest": known.newest},
                    at_ms=known.updated_ms,
                )

    # ------------------------------------------------------------------ the parts of it

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
        definition.version = (definition.version or 0) + 1

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
        """Return the schema of a definition that makes strategies that can run.

        Raises:
            ConfigError: It would not.
        """
        loaded = self._catalog().get(strategy_type)
        own = loaded.cls.get_parameters_schema()
        schema = own if schema is None else schema
        try:
            Draft7Validator.check_schema(schema)
        except SchemaError as error:
            raise ConfigError(
                f"schema: is no JSON Schema (Draft 7): {error.json_path}: {error.message}"
            ) from error
        misplaced = sorted(_OF_THE_STRATEGY & defaults.keys())
        if misplaced:
            raise ConfigError(
                f"defaults: {', '.join(misplaced)} can only be said of a strategy; take that out"
            )
        config = _tried(strategy_type, defaults)
        parameters = check_parameters(loaded.cls, config.parameters, strategy="defaults")
        if config.rules is not None:
            try:
                IndicatorManager(loaded.cls.indicator_specs(config, parameters))
            except IndicatorError as error:
                raise ConfigError(f"defaults.indicators: {error}") from error
        problems = sorted(Draft7Validator(schema).iter_errors(config.parameters), key=str)
        if problems:
            first = problems[0]
            raise ConfigError(
                f"defaults.parameters{first.json_path.removeprefix('$')}: not as the schema of the "
                f"definition wants it: {first.message}"
            )
        return schema

    @staticmethod
    def _require_key(key: str) -> None:
        try:
            StrategyConfig.model_validate(
                {"id": key, "type": "X", "symbol": "A/B", "timeframe": "1m"}
            )
        except ValidationError as error:
            raise ConfigError(f"key: {error.errors()[0]['msg']}, got {key[:80]!r}") from error


def _tried(strategy_type: str, defaults: Mapping[str, Any]) -> StrategyConfig:
    """Return defaults as the configuration of some strategy."""
    fields = {"id": "defaults", "symbol": "BTC/USDT", "timeframe": "1m", **defaults}
    if fields.get("type", strategy_type) != strategy_type:
        raise ConfigError(
            f"defaults.type: must be {strategy_type!r} as the definition says, or left out, got "
            f"{fields['type']!r}"
        )
    try:
        return StrategyConfig.model_validate({**fields, "type": strategy_type})
    except ValidationError as error:
        lines = [
            f"defaults.{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
        ]
        raise ConfigError("\n".join(lines)) from error


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


def _digest(schema: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    text = msgspec.json.encode([schema, defaults], order="deterministic")
    return hashlib.sha256(text).hexdigest()
