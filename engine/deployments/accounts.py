"""Accounts: where orders are placed, and whose they are."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final, cast

from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from sqlalchemy import ColumnElement, select, true
from sqlalchemy.orm import Session

from engine.access import Caller
from engine.audit import record
from engine.changes import OnChange, nobody_listens
from engine.config import AccountConfig
from engine.credentials import Vault, check_credentials
from engine.errors import (
    ConfigError,
    ConflictError,
    ConstraintError,
    NotFoundError,
)
from engine.money import plain
from engine.store import Account, Store
from engine.store.paging import Order, Page, take_page
from engine.store.versions import check_version

__all__ = ["Accounts", "configured", "usable_account"]

_CURRENCY: Final = re.compile(r"[A-Z0-9]{2,16}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}")
_VENUE: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_PAPER: Final = "paper"


class Accounts:
    """Reads and writes accounts; the only one who writes their table.

    A user sees and uses its own, an admin everybody's.

    Args:
        store: Where they are kept.
        clock: Milliseconds UTC.
        vault: Encrypts credentials.
        on_change: Told of an account once a change of it is on record.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int],
        vault: Vault,
        *,
        on_change: OnChange = nobody_listens,
    ) -> None:
        self._on_change = on_change
        self._store = store
        self._clock = clock
        self._vault = vault

    def create(
        self,
        name: str,
        balances: Mapping[str, Decimal],
        caller: Caller,
        *,
        account_id: str = "",
        limits: Mapping[str, Any] | None = None,
        venue: str = _PAPER,
        credentials: Mapping[str, str] | None = None,
    ) -> Account:
        """Open an account.

        Args:
            name: For people; unique among the owner's.
            balances: What it begins with, by currency; above zero.
            caller: Whose it will be.
            account_id: Its id; random by default.
            limits: On all that trade with it together; fields of `AccountConfig`.
            venue: Where; strategies trade with paper accounts only.
            credentials: Of the venue, by name; they are kept encrypted, and in nothing that is
                read.

        Raises:
            ForbiddenError: The caller may only look.
            ConfigError: Name, balances, venue or credentials are not usable.
            ConflictError: There is one of that name or id.
        """
        owner_id = _owner(caller)
        _check(name, balances)
        account_id = account_id or secrets.token_hex(8)
        account = Account(
            id=account_id,
            owner_id=owner_id,
            name=name,
            venue=_checked_venue(venue),
            balances={currency: plain(amount) for currency, amount in balances.items()},
            limits=_limits(account_id, balances, limits or {}),
            created_ms=self._clock(),
        )
        if credentials is not None:
            account.credentials = self._sealed(account, credentials)
        try:
            with self._store.write() as session:
                session.add(account)
                change = {
                    "name": name,
                    "venue": venue,
                    "balances": account.balances,
                    "limits": account.limits,
                    "has_credentials": account.has_credentials,
                }
                record(session, caller, "create", account, change=change, at_ms=self._clock())
        except ConstraintError as error:
            raise ConflictError(
                f"account {name!r}: there is one of that name already; choose another"
            ) from error
        self._on_change(account.id, account.version)
        return account

    def get(self, account_id: str, caller: Caller) -> Account:
        """Return an account.

        Raises:
            NotFoundError: There is none of that id, or not for the caller.
        """
        with self._store.read() as session:
            return _seen(session, account_id, caller)

    def page(self, caller: Caller, *, after: str | None = None, limit: int = 100) -> Page[Account]:
        """Return some of the accounts a caller sees, the oldest first.

        Raises:
            ConfigError: As `take_page`.
        """
        order = [Order(Account.created_ms), Order(Account.id)]
        query = select(Account).where(_visible_to(caller))
        with self._store.read() as session:
            return take_page(session, query, order, after=after, limit=limit)

    def every(self, caller: Caller) -> list[Account]:
        """Return all accounts a caller sees, the oldest first."""
        query = select(Account).where(_visible_to(caller))
        with self._store.read() as session:
            return list(session.scalars(query.order_by(Account.created_ms, Account.id)))

    def enable(
        self, account_id: str, caller: Caller, *, is_enabled: bool, if_version: int | None = None
    ) -> Account:
        """Let new strategies trade with an account, or no more.

        Raises:
            ForbiddenError: The caller may only look.
            NotFoundError: There is no such account, or not for the caller.
            StaleError: It has another version by now.
        """
        with self._changing(account_id, caller, if_version) as (session, account):
            change = {"is_enabled": [account.is_enabled, is_enabled]}
            account.is_enabled = is_enabled
            record(session, caller, "update", account, change=change, at_ms=self._clock())
        return account

    def set_credentials(
        self,
        account_id: str,
        credentials: Mapping[str, str],
        caller: Caller,
        *,
        if_version: int | None = None,
    ) -> Account:
        """Keep credentials of an account's venue, instead of those before.

        Args:
            account_id: Whose.
            credentials: By name. They are encrypted; that they changed is on record, not what.
            caller: Who asks.
            if_version: Only if the account still has this version.

        Raises:
            ForbiddenError: The caller may only look.
            NotFoundError: There is no such account, or not for the caller.
            ConfigError: They are not usable, or the account is a paper account.
            StaleError: It has another version by now.
        """
        with self._changing(account_id, caller, if_version) as (session, account):
            change = {"has_credentials": [account.has_credentials, True]}
            account.credentials = self._sealed(account, credentials)
            at_ms = self._clock()
            record(session, caller, "set credentials", account, change=change, at_ms=at_ms)
        return account

    def forget_credentials(
        self, account_id: str, caller: Caller, *, if_version: int | None = None
    ) -> Account:
        """Keep an account's credentials no more; without any, nothing changes but its version.

        Raises:
            ForbiddenError: The caller may only look.
            NotFoundError: There is no such account, or not for the caller.
            StaleError: It has another version by now.
        """
        with self._changing(account_id, caller, if_version) as (session, account):
            change = {"has_credentials": [account.has_credentials, False]}
            account.credentials = None
            at_ms = self._clock()
            record(session, caller, "forget credentials", account, change=change, at_ms=at_ms)
        return account

    def renew_credentials(self) -> list[str]:
        """Encrypt with the newest key what was encrypted with an earlier one.

        Returns:
            What is wrong with those that cannot be decrypted; they stay as they are.
        """
        problems: list[str] = []
        query = select(Account).where(Account.credentials.is_not(None)).order_by(Account.id)
        with self._store.write() as session:
            for account in session.scalars(query.with_for_update()):
                sealed = cast("bytes", account.credentials)
                try:
                    credentials = self._vault.open(account.id, sealed)
                except ConfigError as error:
                    problems.append(str(error))
                    continue
                if not self._vault.is_current(sealed):
                    account.credentials = self._vault.seal(account.id, credentials)
        return problems

    @contextmanager
    def _changing(
        self, account_id: str, caller: Caller, if_version: int | None
    ) -> Iterator[tuple[Session, Account]]:
        """Lend an account, locked; what is changed of it is another version."""
        _owner(caller)
        with self._store.write() as session:
            account = _seen(session, account_id, caller)
            session.refresh(account, with_for_update=True)
            check_version(account, if_version, f"account {account.name!r}")
            account.version += 1
            yield session, account
        self._on_change(account.id, account.version)

    def _sealed(self, account: Account, credentials: Mapping[str, str]) -> bytes:
        """Return credentials of an account as they are stored.

        Raises:
            ConfigError: They are not usable.
        """
        if account.venue == _PAPER:
            raise ConfigError(
                f"credentials: account {account.name!r} is a paper account, which needs none; open "
                "an account with another venue for them"
            )
        check_credentials(credentials)
        return self._vault.seal(account.id, credentials)


def configured(account: Account) -> AccountConfig:
    """Return an account as the engine knows it."""
    fields = {"id": account.id, "balances": account.balances, **account.limits}
    return AccountConfig.model_validate(fields)


def usable_account(session: Session, account_id: str, caller: Caller) -> Account:
    """Return an account a caller may let a strategy trade with.

    Raises:
        ConfigError: There is none, not for the caller, it is disabled, or no paper account.
    """
    try:
        account = _seen(session, account_id, caller)
    except NotFoundError as error:
        raise ConfigError(f"account: {error}") from error
    if not account.is_enabled:
        raise ConfigError(f"account: {account.name!r} is disabled; enable it, or use another")
    if account.venue != _PAPER:
        raise ConfigError(
            f"account: {account.name!r} is of venue {account.venue!r}, but this version trades on "
            "paper only; use a paper account"
        )
    return account


def _owner(caller: Caller) -> str:
    return caller.owner_of("accounts", "to open or change an account")


def _check(name: str, balances: Mapping[str, Decimal]) -> None:
    if _NAME.fullmatch(name) is None:
        raise ConfigError(
            "name: needs 1 to 64 letters, digits, blanks, '_', '.' or '-', a letter or digit "
            f"first, got {name[:80]!r}"
        )
    if not balances:
        raise ConfigError("balances: need one currency at least, e.g. USDT")
    for currency, amount in balances.items():
        if _CURRENCY.fullmatch(currency) is None:
            raise ConfigError(f"balances: {currency[:20]!r} is no currency, e.g. USDT")
        if not (amount.is_finite() and 0 < amount < Decimal("1e20")):
            raise ConfigError(f"balances.{currency}: must be above 0 and below 1e20, got {amount}")


def _checked_venue(venue: str) -> str:
    if _VENUE.fullmatch(venue) is None:
        raise ConfigError(
            "venue: needs 1 to 32 small letters, digits, '_' or '-', a letter or digit first, e.g. "
            f"{_PAPER}, got {venue[:80]!r}"
        )
    return venue


def _limits(
    account_id: str, balances: Mapping[str, Decimal], limits: Mapping[str, Any]
) -> dict[str, Any]:
    """Return limits as they are stored.

    Raises:
        ConfigError: One is not usable; a line for each.
    """
    # By the names the API has: what is wrong is said of the name that was given.
    named = {to_camel(name): value for name, value in limits.items()}
    try:
        config = AccountConfig.model_validate({"id": account_id, "balances": balances, **named})
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ConfigError("\n".join(lines)) from None
    fields: dict[str, Any] = config.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"id", "balances"}
    )
    return fields


def _visible_to(caller: Caller) -> ColumnElement[bool]:
    return true() if caller.is_admin else Account.owner_id == caller.user_id


def _seen(session: Session, account_id: str, caller: Caller) -> Account:
    query = select(Account).where(Account.id == account_id, _visible_to(caller))
    found = session.scalars(query).first()
    if found is None:
        raise NotFoundError(f"account {account_id!r}: there is none")
    return found
