"""Deployed strategies: their configuration, and what is wanted of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import ColumnElement, func, select, true
from sqlalchemy.orm import Session

from engine.access import CHORUS, Caller
from engine.audit import record
from engine.catalog import Catalog
from engine.catalog.definitions import Definitions
from engine.config import StrategyConfig
from engine.deployments.accounts import usable_account
from engine.deployments.configuration import (
    balance_of,
    check_schema,
    merged,
    validated,
    written,
)
from engine.deployments.served import Served
from engine.errors import (
    ConfigError,
    ConflictError,
    ConstraintError,
    ForbiddenError,
    NotFoundError,
)
from engine.instance import build
from engine.instance.parameters import check_parameters, check_update
from engine.store import Account, Store, Strategy, Subscription
from engine.store.paging import Page, order_of, take_page
from engine.store.versions import check_version

__all__ = ["Desired", "NewStrategy", "Strategies"]

Desired = Literal["running", "paused", "stopped"]

_OF_THE_DEPLOYMENT: Final = frozenset({"id", "type", "account", "enabled"})
"""Fields of a configuration that are said beside it."""

_SORTS: Final = {
    "created": Strategy.created_ms,
    "updated": Strategy.updated_ms,
    "id": Strategy.id,
}


class NewStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy to be deployed.

    Attributes:
        id: Its name; unique among all there ever were.
        definition: Id of the definition it is made from.
        account: Id of the account it trades with.
        config: Fields of its configuration, over the definition's defaults.
        desired: What is wanted of it at first.
    """

    id: str
    definition: str
    account: str
    config: dict[str, Any] = {}
    desired: Desired = "running"


class Strategies:
    """Reads and writes deployed strategies; the only one who writes their table.

    A user sees its own, an admin everybody's. What is on record here is what the engine is brought
    to; whoever is told that a change is made may rely on it, whatever dies next.

    Args:
        store: Where they are kept.
        definitions: What they are made from.
        catalog: The strategy types there are now.
        served: What the engine has to offer now.
        clock: Milliseconds UTC.
    """

    def __init__(
        self,
        store: Store,
        definitions: Definitions,
        *,
        catalog: Callable[[], Catalog],
        served: Callable[[], Served],
        clock: Callable[[], int],
    ) -> None:
        self._store = store
        self._definitions = definitions
        self._catalog = catalog
        self._served = served
        self._clock = clock

    # ------------------------------------------------------------------ reading

    def get(self, strategy_id: str, caller: Caller) -> Strategy:
        """Return a strategy.

        Raises:
            NotFoundError: There is none of that id, or not for the caller.
        """
        with self._store.read() as session:
            return _seen(session, strategy_id, caller)

    def page(
        self,
        caller: Caller,
        *,
        sort: str = "created",
        after: str | None = None,
        limit: int = 100,
        desired: Desired | None = None,
    ) -> Page[Strategy]:
        """Return some of the strategies a caller sees.

        Args:
            caller: Who asks.
            sort: ``created``, ``updated`` or ``id``; with ``-`` in front descending.
            after: As for `take_page`.
            limit: As for `take_page`.
            desired: Only those of which this is wanted.

        Raises:
            ConfigError: An argument is not usable.
        """
        order = order_of(sort, _SORTS, last=Strategy.id)
        query = select(Strategy).where(_visible_to(caller), Strategy.deleted_ms.is_(None))
        if desired is not None:
            query = query.where(Strategy.desired == desired)
        with self._store.read() as session:
            return take_page(session, query, order, after=after, limit=limit)

    def all_desired(self) -> list[Strategy]:
        """Return every strategy that is to be in the engine, whoever owns it, the oldest first."""
        query = select(Strategy).where(Strategy.deleted_ms.is_(None), Strategy.desired != "stopped")
        with self._store.read() as session:
            return list(session.scalars(query.order_by(Strategy.created_ms, Strategy.id)))

    # ------------------------------------------------------------------ writing

    def create(self, new: NewStrategy, caller: Caller) -> Strategy:
        """Deploy a strategy; it keeps the definition's present version until it is restarted.

        Raises:
            ForbiddenError: The caller may only look.
            NotFoundError: There is no such definition, or not for the caller.
            ConfigError: It could not run; one line per field.
            ConflictError: The id is taken, also by one that was deleted.
        """
        owner_id = _owner(caller)
        definition = self._definitions.get(new.definition, caller)
        if not definition.is_enabled:
            raise ConfigError(
                f"definition: {definition.key!r} is disabled; enable it, or use another"
            )
        version = self._definitions.version(definition.id, definition.newest, caller)
        misplaced = sorted(_OF_THE_DEPLOYMENT & new.config.keys())
        if misplaced:
            raise ConfigError(f"config: {', '.join(misplaced)} is said beside it, not in it")
        fields = merged(version.defaults, new.config) | {
            "id": new.id,
            "type": definition.strategy_type,
            "account": new.account,
        }
        config = validated(fields)
        check_parameters(
            self._catalog().get(config.type).cls, config.parameters, strategy=config.id
        )
        check_schema(version.schema, config)
        now = self._clock()
        strategy = Strategy(
            id=config.id,
            owner_id=owner_id,
            definition_id=definition.id,
            definition_number=version.number,
            account_id=new.account,
            config=written(config),
            desired=new.desired,
            created_ms=now,
            updated_ms=now,
        )
        try:
            with self._store.write() as session:
                self._check_preflight(config, usable_account(session, new.account, caller))
                session.add(strategy)
                change = {"config": strategy.config, "desired": new.desired}
                record(
                    session, caller, "create", strategy, change=change, at_ms=strategy.updated_ms
                )
        except ConstraintError as error:
            raise ConflictError(
                f"strategy {new.id!r}: the id is taken, perhaps by one that was deleted; "
                "choose another"
            ) from error
        return strategy

    def set_desired(
        self, strategy_id: str, desired: Desired, caller: Caller, *, if_version: int | None = None
    ) -> Strategy:
        """Want a strategy to run, to pause or to stop; wanting it again changes nothing.

        Raises:
            ForbiddenError: The caller may only look.
            NotFoundError: There is no such strategy, or not for the caller.
            : It has another version by now.
        """
        with self._store.write() as session:
            strategy = self._owned(session, strategy_id, caller, if_version)
            if strategy.desired != desired:
                change = {"desired": [strategy.desired, desired]}
                strategy.desired = desired
                self._changed(session, strategy, caller, "update", change)
        return strategy

    def set_parameters(
        self,
        strategy_id: str,
        changes: Mapping[str, Any],
        caller: Caller,
        *,
        if_version: int | None = None,
    ) -> Strategy:
        """Change parameters of a strategy that may run meanwhile.

        Raises:
            ForbiddenError: The caller may only look.
            NotFoundError: There is no such strategy, or not for the caller.
            ConfigError: One is unknown, may not change while it is live, or is out of its bounds.
            : It has another version by now.
        """
        with self._store.write() as session:
            strategy = self._owned(session, strategy_id, caller, if_version)
            config = validated(strategy.config)
            loaded = self._catalog().get(config.type)
            parameters = check_update(loaded.cls, config.parameters, changes, strategy=strategy_id)
            changed = config.model_copy(update={"parameters": parameters})
            if strategy.definition_id is not None and strategy.definition_number is not None:
                version = self._definitions.version(
                    strategy.definition_id, strategy.definition_number, CHORUS
                )
                check_schema(version.schema, changed)
            change = {name: [config.parameters.get(name), parameters[name]] for name in changes}
            strategy.config = written(changed)
            self._changed(session, strategy, caller, "update", {"parameters": change})
        return strategy

    def delete(
        self,
        strategy_id: str,
        caller: Caller,
        *,
        is_forced: bool = False,
        if_version: int | None = None,
    ) -> Strategy:
        """Take a strategy away; what it traded stays on record, and so does its id.

        Raises:
            ForbiddenError: The caller may only look.
            NotFoundError: There is no such strategy, or not for the caller.
            ConflictError: Others follow it and it is not forced, or it has another version by now.
        """
        with self._store.write() as session:
            strategy = self._owned(session, strategy_id, caller, if_version)
            count = select(func.count()).select_from(Subscription)
            others = session.scalar(
                count.where(
                    Subscription.strategy_id == strategy_id,
                    Subscription.status == "active",
                    Subscription.owner_id != strategy.owner_id,
                )
            )
            if others and not is_forced:
                raise ConflictError(
                    f"strategy {strategy_id!r}: {others} subscriptions of others follow it; pause "
                    "it instead, or force it"
                )
            strategy.deleted_ms = self._clock()
            strategy.desired = "stopped"
            self._changed(session, strategy, caller, "delete", {"is_forced": is_forced})
        return strategy

    # ------------------------------------------------------------------ the parts of it

    def _owned(
        self, session: Session, strategy_id: str, caller: Caller, if_version: int | None
    ) -> Strategy:
        strategy = _seen(session, strategy_id, caller)
        _owner(caller)
        # Whoever else changes it now waits here, and then finds the other version.
        session.refresh(strategy, with_for_update=True)
        if strategy.deleted_ms is not None:
            raise NotFoundError(f"strategy {strategy_id!r}: there is none")
        check_version(strategy, if_version, f"strategy {strategy_id!r}")
        return strategy

    def _changed(
        self,
        session: Session,
        strategy: Strategy,
        caller: Caller,
        action: str,
        change: dict[str, Any],
    ) -> None:
        strategy.updated_ms = self._clock()
        strategy.version += 1
        record(session, caller, action, strategy, change=change, at_ms=strategy.updated_ms)

    def _check_preflight(self, config: StrategyConfig, account: Account) -> None:
        """Check that the engine could run it now.

        Raises:
            ConfigError: It could not; one line per field.
        """
        served = self._served()
        problems = [
            f"streams: {stream} is not in the feed; it has {', '.join(sorted(served.streams)[:10])}"
            for stream in config.streams
            if stream not in served.streams
        ]
        if problems:
            raise ConfigError("\n".join(problems))
        capital = balance_of(config, account.balances)
        loaded = self._catalog().get(config.type)
        build(config, loaded, capital=capital, instruments=served.instruments)


def _owner(caller: Caller) -> str:
    caller.require("trader", "to deploy or change a strategy")
    if caller.user_id is None:
        raise ForbiddenError("strategies: belong to users, not to Chorus itself")
    return caller.user_id


def _visible_to(caller: Caller) -> ColumnElement[bool]:
    return true() if caller.is_admin else Strategy.owner_id == caller.user_id


def _seen(session: Session, strategy_id: str, caller: Caller) -> Strategy:
    query = select(Strategy).where(
        Strategy.id == strategy_id, Strategy.deleted_ms.is_(None), _visible_to(caller)
    )
    found = session.scalars(query).first()
    if found is None:
        raise NotFoundError(f"strategy {strategy_id!r}: there is none")
    return found
