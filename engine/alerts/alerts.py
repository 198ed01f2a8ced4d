"""Raising, reading and acknowledging alerts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, Literal, get_args

import msgspec
from sqlalchemy import ColumnElement, Select, select, true
from sqlalchemy.orm import Session

from engine.access import Caller
from engine.audit import record
from engine.errors import ConfigError, ConstraintError, NotFoundError
from engine.events import EventLog
from engine.store import Alert, Store
from engine.store.paging import Page, order_of, take_page

__all__ = ["ADMINS", "LEVELS", "Alerts", "Level"]

Level = Literal["info", "warning", "error"]
LEVELS: Final = get_args(Level)

ADMINS: Final = "admins"
"""Owner of the events of alerts that only admins see; no user has this id."""

_SORTS: Final = {"at": Alert.at_ms}


class Alerts:
    """Reads and writes alerts; the only one who writes their table.

    A user sees those about its own strategies, an admin all. An alert is open until somebody
    acknowledges it; while it is, the same one is not raised again.

    Args:
        store: Where they are kept.
        events: Where each is published under ``alerts``, once it is on record.
        clock: Milliseconds UTC.
    """

    def __init__(self, store: Store, events: EventLog, clock: Callable[[], int]) -> None:
        self._store = store
        self._events = events
        self._clock = clock

    def raise_alert(
        self,
        level: Level,
        title: str,
        text: str,
        *,
        strategy_id: str | None = None,
        owner_id: str | None = None,
    ) -> Alert:
        """Put an alert on record and publish it, unless the same one is open.

        The same one has the same level, title, strategy and owner; its text may differ.

        Args:
            level: How bad it is.
            title: One line.
            text: The rest: where, what was required, what was found, what to do.
            strategy_id: About which strategy; None: about the engine.
            owner_id: Who sees it; None: admins.

        Returns:
            The new one, or the open one.

        Raises:
            StoreError: It cannot be kept.
        """
        key = _key_of(level, title, strategy_id, owner_id)
        alert = Alert(
            at_ms=self._clock(),
            level=level,
            title=title,
            text=text,
            strategy_id=strategy_id,
            owner_id=owner_id,
            open_key=key,
        )
        while True:
            known = self._open(key)
            if known is not None:
                return known
            try:
                with self._store.write() as session:
                    session.add(alert)
            except ConstraintError:
                # Somebody else raised it meanwhile; any other reason would stay.
                if self._open(key) is None:
                    raise
            else:
                self._publish(alert, "raised")
                return alert

    def page(
        self,
        caller: Caller,
        *,
        level: Level | None = None,
        strategy: str | None = None,
        is_open: bool | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        sort: str = "-at",
        after: str | None = None,
        limit: int = 100,
    ) -> Page[Alert]:
        """Return some of the alerts a caller sees.

        Args:
            caller: Who asks.
            level: Only this one.
            strategy: Only those about this strategy.
            is_open: Only those nobody has acknowledged, or only the others; None: all.
            since_ms: From this moment on, milliseconds UTC.
            until_ms: Until before this moment.
            sort: ``at``; with ``-`` in front the newest first.
            after: As for `take_page`.
            limit: As for `take_page`.

        Raises:
            ConfigError: An argument is not usable.
        """
        query = select(Alert).where(_visible_to(caller))
        for column, wanted in ((Alert.level, level), (Alert.strategy_id, strategy)):
            if wanted is not None:
                query = query.where(column == wanted)
        if is_open is not None:
            acknowledged = Alert.acknowledged_ms
            query = query.where(acknowledged.is_(None) if is_open else acknowledged.is_not(None))
        query = _within(query, since_ms, until_ms)
        with self._store.read() as session:
            order = order_of(sort, _SORTS, last=Alert.id)
            return take_page(session, query, order, after=after, limit=limit)

    def get(self, alert_id: int, caller: Caller) -> Alert:
        """Return an alert.

        Raises:
            NotFoundError: There is none of that id, or not for the caller.
        """
        with self._store.read() as session:
            return _seen(session, alert_id, caller)

    def acknowledge(self, alert_id: int, caller: Caller) -> Alert:
        """Say that somebody has looked at an alert; whoever says so again changes nothing.

        Raises:
            ForbiddenError: The caller may only look.
            NotFoundError: There is none of that id, or not for the caller.
        """
        with self._store.write() as session:
            alert = _seen(session, alert_id, caller)
            caller.require("trader", "to acknowledge an alert")
            session.refresh(alert, with_for_update=True)
            if alert.acknowledged_ms is not None:
                return alert
            alert.acknowledged_ms = self._clock()
            alert.acknowledged_by = caller.user_id
            alert.open_key = None
            record(session, caller, "acknowledge", alert, change={}, at_ms=alert.acknowledged_ms)
        self._publish(alert, "acknowledged")
        return alert

    def _open(self, key: str) -> Alert | None:
        with self._store.read() as session:
            return session.scalars(select(Alert).where(Alert.open_key == key)).first()

    def _publish(self, alert: Alert, what: str) -> None:
        data = {
            "what": what,
            "id": alert.id,
            "level": alert.level,
            "title": alert.title,
            "text": alert.text,
        }
        self._events.publish(
            "alerts",
            data,
            strategy_id=alert.strategy_id or "",
            owner_id=alert.owner_id or ADMINS,
        )


def _key_of(level: Level, title: str, strategy_id: str | None, owner_id: str | None) -> str:
    """Return what two alerts have in common that are the same.

    Raises:
        ConfigError: There is no such level.
    """
    if level not in LEVELS:
        raise ConfigError(f"alert: level must be one of {', '.join(LEVELS)}, got {level!r}")
    return hashlib.sha256(msgspec.json.encode((level, title, strategy_id, owner_id))).hexdigest()


def _within(query: Select[Alert], since_ms: int | None, until_ms: int | None) -> Select[Alert]:
    if since_ms is not None:
        query = query.where(Alert.at_ms >= since_ms)
    if until_ms is not None:
        query = query.where(Alert.at_ms < until_ms)
    return query


def _visible_to(caller: Caller) -> ColumnElement[bool]:
    return true() if caller.is_admin else Alert.owner_id == caller.user_id


def _seen(session: Session, alert_id: int, caller: Caller) -> Alert:
    found = session.scalars(select(Alert).where(Alert.id == alert_id, _visible_to(caller))).first()
    if found is None:
        raise NotFoundError(f"alert {alert_id}: there is none")
    return found
