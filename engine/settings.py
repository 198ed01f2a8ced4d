"""Settings that are changed while Chorus runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
from sqlalchemy import select

from engine.access import Caller
from engine.audit import record
from engine.changes import OnChange, nobody_listens
from engine.documents import check_document
from engine.errors import (
    ConfigError,
    ConflictError,
    ConstraintError,
    ForbiddenError,
    NotFoundError,
    StaleError,
)
from engine.store import Setting, Store
from engine.store.paging import Order, Page, take_page
from engine.store.versions import check_version

__all__ = ["SettingView", "Settings"]

MAX_BYTES: Final = 65_536
_KEY: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_OWN: Final = "service."
"""Names of what Chorus notes for itself begin so."""


class SettingView(msgspec.Struct, frozen=True, kw_only=True):
    """A setting.

    Attributes:
        key: Its name.
        value: Any JSON.
        version: Raised by every change, from 1.
        updated_ms: When it was changed last, milliseconds UTC.
        updated_by: By whom; None: by Chorus itself.
    """

    key: str
    value: Any
    version: int
    updated_ms: int
    updated_by: str | None

    @classmethod
    def of(cls, row: Setting) -> SettingView:
        """Return what is shown of a row."""
        return cls(
            key=row.key,
            value=row.value["value"],
            version=row.version,
            updated_ms=row.updated_ms,
            updated_by=row.updated_by,
        )


class Settings:
    """Reads and writes settings; the only one who writes their table. Admins only.

    What they say is in the audit log, so they hold no secrets.

    Args:
        store: Where they are kept.
        clock: Milliseconds UTC.
        on_change: Told of a setting once a change of it is on record.
    """

    def __init__(
        self, store: Store, clock: Callable[[], int], *, on_change: OnChange = nobody_listens
    ) -> None:
        self._store = store
        self._clock = clock
        self._on_change = on_change

    def page(
        self, caller: Caller, *, after: str | None = None, limit: int = 100
    ) -> Page[SettingView]:
        """Return some settings, by name.

        Raises:
            ForbiddenError: The caller is no admin.
            ConfigError: As `take_page`.
        """
        caller.require("admin", "to read settings")
        with self._store.read() as session:
            page = take_page(
                session, select(Setting), [Order(Setting.key)], after=after, limit=limit
            )
        return Page([SettingView.of(row) for row in page.items], page.next)

    def get(self, key: str, caller: Caller) -> SettingView:
        """Return a setting.

        Raises:
            ForbiddenError: The caller is no admin.
            NotFoundError: There is none of that name.
        """
        caller.require("admin", "to read settings")
        with self._store.read() as session:
            row = session.get(Setting, key) if _KEY.fullmatch(key) else None
        if row is None:
            raise NotFoundError(f"setting {key[:80]!r}: there is none; look at the list of them")
        return SettingView.of(row)

    def put(
        self, key: str, value: Any, caller: Caller, *, if_version: int | None = None
    ) -> SettingView:
        """Make a setting, or change it.

        Args:
            key: 1 to 64 lower-case letters, digits, ``_``, ``.`` and ``-``, a letter first. Those
                that begin with ``service.`` are Chorus's own.
            value: Any JSON of at most 64 KiB.
            caller: Who asks.
            if_version: Only if it has this version; None: also if there is none yet.

        Raises:
            ForbiddenError: The caller is no admin, or the setting is Chorus's own.
            ConfigError: Name or value are not usable.
            ConflictError: It has another version by now, or was just made by somebody else.
        """
        caller.require("admin", "to change settings")
        if key.startswith(_OWN) and caller.user_id is not None:
            raise ForbiddenError(
                f"setting {key[:80]!r}: what begins with {_OWN!r} is changed by Chorus only; "
                "choose another name"
            )
        _check(key, value)
        try:
            with self._store.write() as session:
                row = session.get(Setting, key, with_for_update=True)
                now = self._clock()
                before = None if row is None else row.value["value"]
                if row is not None:
                    check_version(row, if_version, f"setting {key!r}")
                    row.version += 1
                elif if_version is not None:
                    raise StaleError(f"setting {key!r}: there is none; leave out the version")
                else:
                    row = Setting(key=key, version=1)
                    session.add(row)
                row.value, row.updated_ms, row.updated_by = {"value": value}, now, caller.user_id
                action = "create" if row.version == 1 else "update"
                record(session, caller, action, row, change={"value": [before, value]}, at_ms=now)
        except ConstraintError as error:
            raise ConflictError(
                f"setting {key!r}: somebody else has just made it; read it and repeat the change"
            ) from error
        self._on_change(row.key, row.version)
        return SettingView.of(row)


def _check(key: str, value: Any) -> None:
    if _KEY.fullmatch(key) is None:
        raise ConfigError(
            "key: needs 1 to 64 lower-case letters, digits, '_', '.' or '-', a letter first, got "
            f"{key[:80]!r}"
        )
    check_document(value, "value")
    if len(msgspec.json.encode(value)) > MAX_BYTES:
        raise ConfigError(f"value: must be at most {MAX_BYTES} bytes of JSON")
