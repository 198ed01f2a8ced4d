"""Deployed strategies: their configuration, and what is wanted of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import ColumnElement, Select, func, select, true
from sqlalchemy.orm import Session

from engine.access import Caller
from engine.audit import record
from engine.catalog import Catalog
from engine.catalog.definitions import Definitions
from engine.changes import OnChange, nobody_listens
from engine.config import StrategyConfig
from engine.deployments.accounts import usable_account
from engine.deployments.capital import require_said
from engine.deployments.drafting import Draft, Drafting, of_its_own
from engine.deployments.served import Served
from engine.errors import (
    ConfigError,
    ConflictError,
    ConstraintError,
    LifecycleError,
    NotFoundError,
    StaleError,
)
from engine.store import Account, Store, Strategy, Subscription
from engine.store.paging import Order, Page, Plain, order_of, take_page
from engine.store.versions import check_version

__all__ = ["Desired", "NewStrategy", "Strategies", "Visibility"]

Desired = Literal["running", "paused", "stopped"]
Visibility = Literal["private", "public"]

_READ: Final = Plain(without=(Strategy.given,))
_AS_TEXT: Final = Plain(without=(Strategy.given,), as_text=(Strategy.config,))
"""What lists show."""

_SORTS: Final = {
    "created": Strategy.created_ms,
    "updated": Strategy.updated_ms,
    "id": Strategy.id,
}

_ATTEMPTS: Final = 5
"""To change what others change at the same time."""


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
        on_change: Told of a strategy once a change of it is on record.
    """

    def __init__(
        self,
        store: Store,
        definitions: Definitions,
        *,
        catalog: Callable[[], Catalog],
        served: Callable[[], Served],
        clock: Callable[[], int],
        on_change: OnChange = nobody_listens,
    ) -> None:
        self._store = store
        self._definitions = definitions
        self._drafting = Drafting(definitions, catalog=catalog, served=served)
        self._clock = clock
        self._on_change = on_change

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
        as_text: bool = False,
    ) -> Page[Strategy]:
        """Return some of the strategies a caller sees, to be read only.

        Args:
            caller: Who asks.
            sort: ``created``, ``updated`` or ``id``; with ``-`` in front descending.
            after: As for `take_page`.
            limit: As for `take_page`.
            desired: Only those of which this is wanted.
            as_text: Their configurations come as JSON text, for whoever only passes them on.

        Raises:
            ConfigError: An argument is not usable.
        """
        order = order_of(sort, _SORTS, last=Strategy.id)
        query = select(Strategy).where(_visible_to(caller), Strategy.deleted_ms.is_(None))
        if desired is not None:
            query = query.where(Strategy.desired == desired)
        return self._page(query, order, after, limit, _AS_TEXT if as_text else _READ)

    def public(self, *, after: str | None = None, limit: int = 100) -> Page[Strategy]:
        """Return some of the strategies everybody may follow, the newest first.

        Raises:
            ConfigError: As `take_page`.
        """
        order = order_of("-created", _SORTS, last=Strategy.id)
        query = select(Strategy).where(
            Strategy.visibility == "public", Strategy.deleted_ms.is_(None)
        )
        return self._page(query, order, after, limit, _READ)

    def _page(
        self,
        query: Select[Strategy],
        order: list[Order],
        after: str | None,
        limit: int,
        rows: Plain,
    ) -> Page[Strategy]:
        with self._store.read() as session:
            return take_page(session, query, order, after=after, limit=limit, plain=rows)

    def versions(self) -> dict[str, int]:
        """Return the version of every strategy there ever was, whoever owns it, by id."""
        with self._store.read() as session:
            rows = session.execute(select(Strategy.id, Strategy.version)).all()
        return {row.id: row.version for row in rows}

    def deployed(self, ids: Sequence[str]) -> list[tuple[Strategy, Account]]:
        """Return strategies, deleted ones too, each with its account, the oldest first.

        Args:
            ids: Which; whoever owns them.
        """
        query = (
            select(Strategy, Account)
            .join(Account, Account.id == Strategy.account_id)
            .where(Strategy.id.in_(ids))
            .order_by(Strategy.created_ms, Strategy.id)
        )
        with self._store.read() as session:
            return [(row.Strategy, row.Account) for row in session.execute(query)]

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
        kind, account = definition.strategy_type, self._usable(new.account, caller)
        draft = self._drafting.new(new.id, new.config, account, kind=kind, version=version)
        row = draft.row(owner_id, new.account, new.desired, self._clock())
        row.definition_id = definition.id
        return self._add(row, caller)

    def adopt(self, config: StrategyConfig, account: str, caller: Caller) -> Strategy:
        """Deploy a strategy as a run's configuration has it, without a definition.

        Raises:
            ForbiddenError: The caller may only look.
            ConfigError: It could not run; one line per field.
            ConflictError: The id is taken, also by one that was deleted.
        """
        owner_id = _owner(caller)
        draft = self._drafting.new(
            config.id,
            of_its_own(config),
            self._usable(account, caller),
            kind=config.type,
            version=None,
        )
        return self._add(draft.row(owner_id, account, "running", self._clock()), caller)

    def _usable(self, account_id: str, caller: Caller) -> Account:
        with self._store.read() as session:
            return usable_account(session, account_id, caller)

    def _add(self, strategy: Strategy, caller: Caller) -> Strategy:
        try:
            with self._store.write() as session:
                # It may have been disabled while the strategy was tried.
                usable_account(session, strategy.account_id, caller)
                require_said(session, strategy.account_id, strategy.config)
                session.add(strategy)
                change = {"config": strategy.config, "desired": strategy.desired}
                record(
                    session, caller, "create", strategy, change=change, at_ms=strategy.updated_ms
                )
        except ConstraintError as error:
            raise ConflictError(
                f"strategy {strategy.id!r}: the id is taken, perhaps by one that was deleted; "
                "choose another"
            ) from error
        self._on_change(strategy.id, strategy.version)
        return strategy

    def restart(
        self, strategy_id: str, caller: Caller, *, if_version: int | None = None
    ) -> Strategy:
        """Have a strategy started afresh, with its definition's newest version.

        Its position carries over. Wanted to run from here on, unless it is paused.

        Raises:
            ForbiddenError: The caller may only look.
            NotFoundError: There is no such strategy, or not for the caller.
            ConfigError: It could not run with that version; one line per field.
            StaleError: It has another version by now.
        """
        return self._renew(strategy_id, caller, "restart", {}, if_version=if_version)

    def change(
        self,
        strategy_id: str,
        caller: Caller,
        *,
        config: Mapping[str, Any] | None = None,
        visibility: Visibility | None = None,
        if_version: int | None = None,
    ) -> Strategy:
        """Change what a strategy is.

        Args:
            strategy_id: Which.
            caller: Who asks.
            config: Fields of its configuration that are to be different. It is started afresh with
                them, and with its definition's newest version, if it runs; its position carries
                over.
            visibility: Whether others may follow it.
            if_version: Only if it has this version.

        Raises:
            ForbiddenError: The caller may only look.
            NotFoundError: There is no such strategy, or not for the caller.
            ConfigError: It could not run like that; one line per field.
            StaleError: It has another version by now.
        """
        if config:
            return self._renew(
                strategy_id, caller, "update", config, visibility=visibility, if_version=if_version
            )
        with self._store.write() as session:
            strategy = self._owned(session, strategy_id, caller, if_version)
            change = _shown_to(strategy, visibility)
            if change:
                self._changed(session, strategy, caller, "update", change)
        self._on_change(strategy.id, strategy.version)
        return strategy

    def _renew(
        self,
        strategy_id: str,
        caller: Caller,
        action: Literal["restart", "update"],
        changes: Mapping[str, Any],
        *,
        visibility: Visibility | None = None,
        if_version: int | None,
    ) -> Strategy:
        """Make a configuration anew, and have the strategy begin with it."""

        def draft(seen: Strategy) -> Draft:
            with self._store.read() as session:
                account = session.get_one(Account, seen.account_id)
            return self._drafting.anew(seen, changes, account)

        def put(strategy: Strategy, anew: Draft) -> dict[str, Any]:
            if action == "restart" and strategy.desired == "stopped":
                strategy.desired = "running"
            return _shown_to(strategy, visibility) | anew.renew(strategy)

        return self._redrafted(strategy_id, caller, action, draft, put, if_version=if_version)

    def _redrafted(
        self,
        strategy_id: str,
        caller: Caller,
        action: str,
        draft: Callable[[Strategy], Draft],
        put: Callable[[Strategy, Draft], dict[str, Any]],
        *,
        if_version: int | None,
    ) -> Strategy:
        """Change a strategy to what is drafted, while nobody waits to write, from what it is now.

        Args:
            strategy_id: Which.
            caller: Who asks.
            action: For the audit log.
            draft: Runs the code of strategy types; called again if somebody else is faster.
            put: Carries out what was drafted; returns what is different.
            if_version: Only if it has this version.
        """
        for _ in range(_ATTEMPTS):
            seen = self.get(strategy_id, caller)
            _owner(caller)
            check_version(seen, if_version, f"strategy {strategy_id!r}")
            drafted = draft(seen)
            with self._store.write() as session:
                strategy = self._owned(session, strategy_id, caller, if_version)
                if strategy.version != seen.version:
                    continue  # somebody has changed it meanwhile
                require_said(session, strategy.account_id, drafted.config, before=strategy)
                self._changed(session, strategy, caller, action, put(strategy, drafted))
            self._on_change(strategy.id, strategy.version)
            return strategy
        raise StaleError(f"strategy {strategy_id!r}: others change it all the time; try again")

    def set_desired(
        self, strategy_id: str, desired: Desired, caller: Caller, *, if_version: int | None = None
    ) -> Strategy:
        """Want a strategy to run, to pause or to stop; wanting it again changes nothing.

        Raises:
            ForbiddenError: The caller may only look.
            NotFoundError: There is no such strategy, or not for the caller.
            LifecycleError: It is stopped and is to pause.
            StaleError: It has another version by now.
        """
        with self._store.write() as session:
            strategy = self._owned(session, strategy_id, caller, if_version)
            if (strategy.desired, desired) == ("stopped", "paused"):
                raise LifecycleError(f"strategy {strategy_id!r}: is stopped; activate it first")
            if strategy.desired != desired:
                change = {"desired": [strategy.desired, desired]}
                strategy.desired = desired
                self._changed(session, strategy, caller, "update", change)
        self._on_change(strategy.id, strategy.version)
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
            StaleError: It has another version by now.
        """
        return self._redrafted(
            strategy_id,
            caller,
            "update",
            lambda seen: self._drafting.updated(seen, changes),
            lambda strategy, draft: draft.update(strategy, changes),
            if_version=if_version,
        )

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
        self._on_change(strategy.id, strategy.version)
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


def _shown_to(strategy: Strategy, visibility: Visibility | None) -> dict[str, Any]:
    """Change who may follow a strategy; returns what is different."""
    before = strategy.visibility
    if visibility is None or visibility == before:
        return {}
    strategy.visibility = visibility
    return {"visibility": [before, visibility]}


def _owner(caller: Caller) -> str:
    return caller.owner_of("strategies", "to deploy or change a strategy")


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
