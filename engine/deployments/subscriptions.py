"""Subscriptions ("bots"): accounts that follow a strategy with capital and limits of their own."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, ValidationError
from sqlalchemy import ColumnElement, func, or_, select, true
from sqlalchemy.orm import Session

from engine.access import Caller
from engine.audit import record
from engine.catalog import Catalog
from engine.changes import OnChange, nobody_listens
from engine.config import RiskConfig
from engine.config.base import ConfigModel
from engine.deployments.accounts import usable_account
from engine.deployments.bots import (
    Bot,
    Followers,
    Following,
    NewSubscription,
    Status,
    SubscriptionChange,
    shown,
)
from engine.deployments.capital import require_left
from engine.errors import ConfigError, ConflictError, ConstraintError, NotFoundError
from engine.money import plain
from engine.store import Account, Store, Strategy, Subscription
from engine.store.paging import Order, Page, take_page
from engine.store.versions import check_version

__all__ = ["Subscriptions"]


class _Terms(ConfigModel):
    """What a subscription may say, whatever the strategy and the account."""

    capital: Annotated[Decimal, Field(gt=0, lt=Decimal("1e20"), decimal_places=8)]
    leverage: Annotated[Decimal, Field(ge=1, le=125, decimal_places=8)]


class Subscriptions:
    """Reads and writes subscriptions; the only one who writes their table.

    A user follows its own strategies and those that are public, with its own accounts, and sees its
    own subscriptions; an admin everybody's. A subscription is its account's owner's, whoever makes
    it. Who follows stays when a strategy becomes private again, but having paused it cannot resume.

    Args:
        store: Where they are kept.
        catalog: The strategy types there are now.
        clock: Milliseconds UTC.
        on_change: Told of a subscription once a change of it is on record.
    """

    def __init__(
        self,
        store: Store,
        *,
        catalog: Callable[[], Catalog],
        clock: Callable[[], int],
        on_change: OnChange = nobody_listens,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._on_change = on_change

    # ------------------------------------------------------------------ reading

    def get(self, subscription_id: str, caller: Caller) -> Bot:
        """Return a subscription.

        Raises:
            NotFoundError: There is none of that id, or not for the caller.
        """
        with self._store.read() as session:
            row = _seen(session, subscription_id, caller)
            return shown(row, session.get_one(Strategy, row.strategy_id))

    def page(
        self,
        caller: Caller,
        *,
        strategy: str | None = None,
        status: Status | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[Bot]:
        """Return some of the subscriptions a caller sees, the oldest first.

        Args:
            caller: Who asks.
            strategy: Only those of a strategy.
            status: Only those that are in it.
            after: As for `take_page`.
            limit: As for `take_page`.

        Raises:
            ConfigError: As `take_page`.
        """
        order = [Order(Subscription.created_ms), Order(Subscription.id)]
        query = select(Subscription).where(_visible_to(caller), Subscription.deleted_ms.is_(None))
        if strategy is not None:
            query = query.where(Subscription.strategy_id == strategy)
        if status is not None:
            query = query.where(Subscription.status == status)
        with self._store.read() as session:
            page = take_page(session, query, order, after=after, limit=limit)
            wanted = {row.strategy_id for row in page.items}
            found = session.scalars(select(Strategy).where(Strategy.id.in_(wanted)))
            strategies = {each.id: each for each in found}
        return Page([shown(row, strategies[row.strategy_id]) for row in page.items], page.next)

    def followers(self, strategy_id: str, caller: Caller) -> Followers:
        """Return how many follow a strategy, for its owner and admins.

        Raises:
            NotFoundError: There is no such strategy, or it is not the caller's.
        """
        query = (
            select(Subscription.status, func.count())
            .where(Subscription.strategy_id == strategy_id, Subscription.deleted_ms.is_(None))
            .group_by(Subscription.status)
        )
        with self._store.read() as session:
            strategy = session.get(Strategy, strategy_id)
            if (
                strategy is None
                or strategy.deleted_ms is not None
                or not (caller.is_admin or strategy.owner_id == caller.user_id)
            ):
                raise NotFoundError(f"strategy {strategy_id!r}: there is none")
            counts = {status: number for status, number in session.execute(query)}  # noqa: C416 - of rows
        return Followers(counts.get("active", 0), counts.get("paused", 0))

    def all_active(self) -> list[Following]:
        """Return every active subscription, whoever owns it, the oldest first.

        Its strategy may be stopped or paused and its account disabled, but neither is deleted.
        """
        query = (
            select(Subscription, Strategy, Account)
            .join(Strategy, Strategy.id == Subscription.strategy_id)
            .join(Account, Account.id == Subscription.account_id)
            .where(Subscription.status == "active", Strategy.deleted_ms.is_(None))
            .order_by(Subscription.created_ms, Subscription.id)
        )
        with self._store.read() as session:
            return [Following(*row) for row in session.execute(query)]

    # ------------------------------------------------------------------ writing

    def create(self, new: NewSubscription, caller: Caller) -> Bot:
        """Follow a strategy.

        Raises:
            ForbiddenError: The caller may only look.
            ConfigError: The strategy may not be followed, the account not be used, or what is
                asked for is not possible; the message names the field.
            ConflictError: The account follows it already.
        """
        _require_trader(caller)
        terms = _terms(new.capital, new.leverage)
        now = self._clock()
        try:
            with self._store.write() as session:
                strategy = _followed(session, new.strategy, caller)
                account = usable_account(session, new.account, caller)
                if account.id == strategy.account_id:
                    raise ConfigError(
                        f"account: strategy {strategy.id!r} trades with {account.name!r} itself; "
                        "follow it with another account"
                    )
                _require_keepable(strategy, new.risk)
                self._require_enough(strategy, terms.capital)
                require_left(session, account, strategy.config, terms.capital, whose="bot")
                row = Subscription(
                    id=secrets.token_hex(8),
                    owner_id=account.owner_id,
                    strategy_id=strategy.id,
                    account_id=account.id,
                    capital=terms.capital,
                    leverage=terms.leverage,
                    risk=_written(new.risk),
                    status="active",
                    created_ms=now,
                )
                session.add(row)
                change = {"strategy_id": strategy.id, "account_id": account.id, **_said(row)}
                record(session, caller, "create", row, change=change, at_ms=now)
        except ConstraintError as error:
            raise ConflictError(
                f"account: {new.account!r} follows strategy {new.strategy!r} already; change that "
                "bot, or use another account"
            ) from error
        self._on_change(row.id, row.version)
        return shown(row, strategy)

    def change(
        self,
        subscription_id: str,
        change: SubscriptionChange,
        caller: Caller,
        *,
        if_version: int | None = None,
    ) -> Bot:
        """Give a subscription other capital, leverage or limits.

        Raises:
            ForbiddenError: The caller may only look.
            NotFoundError: There is no such subscription, or not for the caller.
            ConfigError: What is asked for is not possible; the message names the field.
            StaleError: It has another version by now.
        """
        with self._changing(subscription_id, caller, if_version) as (session, row, strategy):
            terms = _terms(
                row.capital if change.capital is None else change.capital,
                row.leverage if change.leverage is None else change.leverage,
            )
            if terms.capital != row.capital:
                self._require_enough(strategy, terms.capital)
            if terms.capital > row.capital:  # less is always left
                account = session.get_one(Account, row.account_id)
                require_left(
                    session, account, strategy.config, terms.capital, whose="bot", besides=row.id
                )
            row.capital, row.leverage = terms.capital, terms.leverage
            if change.risk is not None:
                _require_keepable(strategy, change.risk)
                row.risk = _written(change.risk)
        return shown(row, strategy)

    def set_status(
        self,
        subscription_id: str,
        status: Status,
        caller: Caller,
        *,
        if_version: int | None = None,
    ) -> Bot:
        """Follow for now, or not; wanting it again changes nothing.

        Raises:
            ForbiddenError: The caller may only look.
            NotFoundError: There is no such subscription, or not for the caller.
            ConfigError: It cannot be resumed: the strategy may not be followed any more, or the
                account not be used.
            StaleError: It has another version by now.
        """
        with self._changing(subscription_id, caller, if_version) as (session, row, strategy):
            if status == "active" != row.status:
                _followed(session, row.strategy_id, caller)
                usable_account(session, row.account_id, caller)
            row.status = status
        return shown(row, strategy)

    def delete(self, subscription_id: str, caller: Caller, *, if_version: int | None = None) -> Bot:
        """Follow no more; what it traded stays on record, and so does its id.

        Raises:
            ForbiddenError: The caller may only look.
            NotFoundError: There is no such subscription, or not for the caller.
            StaleError: It has another version by now.
        """
        with self._changing(subscription_id, caller, if_version) as (_, row, strategy):
            row.status = "paused"
            row.deleted_ms = self._clock()
        return shown(row, strategy)

    # ------------------------------------------------------------------ the parts of it

    @contextmanager
    def _changing(
        self, subscription_id: str, caller: Caller, if_version: int | None
    ) -> Iterator[tuple[Session, Subscription, Strategy]]:
        """Lend a subscription, locked, with its strategy; write down what is changed of it."""
        with self._store.write() as session:
            row = _owned(session, subscription_id, caller, if_version)
            before = _said(row)
            yield session, row, session.get_one(Strategy, row.strategy_id)
            after = _said(row)
            change = {
                name: [before[name], value]
                for name, value in after.items()
                if value != before[name]
            }
            if change:
                row.version += 1
                action = "update" if row.deleted_ms is None else "delete"
                record(session, caller, action, row, change=change, at_ms=self._clock())
        if change:
            self._on_change(row.id, row.version)

    def _require_enough(self, strategy: Strategy, capital: Decimal) -> None:
        """Check that capital is as much as a strategy's type needs.

        Raises:
            ConfigError: It is not.
        """
        loaded = self._catalog().get(strategy.config["type"])
        least = loaded.metadata.compatibility.min_capital
        if capital < least:
            raise ConfigError(
                f"capital: the strategy needs {plain(least)} at least, got {plain(capital)}"
            )


def _require_trader(caller: Caller) -> None:
    caller.require("trader", "to follow a strategy or change how")


def _visible_to(caller: Caller) -> ColumnElement[bool]:
    return true() if caller.is_admin else Subscription.owner_id == caller.user_id


def _seen(session: Session, subscription_id: str, caller: Caller) -> Subscription:
    query = select(Subscription).where(
        Subscription.id == subscription_id, Subscription.deleted_ms.is_(None), _visible_to(caller)
    )
    found = session.scalars(query).first()
    if found is None:
        raise NotFoundError(f"bot {subscription_id!r}: there is none")
    return found


def _owned(
    session: Session, subscription_id: str, caller: Caller, if_version: int | None
) -> Subscription:
    row = _seen(session, subscription_id, caller)
    _require_trader(caller)
    # Whoever else changes it now waits here, and then finds the other version.
    session.refresh(row, with_for_update=True)
    if row.deleted_ms is not None:
        raise NotFoundError(f"bot {subscription_id!r}: there is none")
    check_version(row, if_version, f"bot {subscription_id!r}")
    return row


def _followed(session: Session, strategy_id: str, caller: Caller) -> Strategy:
    """Return a strategy a caller may follow, locked: it is not deleted meanwhile.

    Raises:
        ConfigError: There is none, or not for the caller.
    """
    is_offered = or_(Strategy.visibility == "public", Strategy.owner_id == caller.user_id)
    query = select(Strategy).where(
        Strategy.id == strategy_id,
        Strategy.deleted_ms.is_(None),
        true() if caller.is_admin else is_offered,
    )
    found = session.scalars(query.with_for_update(read=True)).first()
    if found is None:
        raise ConfigError(f"strategy: {strategy_id!r}: there is none that you may follow")
    return found


def _require_keepable(strategy: Strategy, risk: RiskConfig) -> None:
    """Check that limits can be kept for a follower: when to close by time only its strategy knows.

    Raises:
        ConfigError: They cannot.
    """
    limit = risk.time_limit_candles
    closes = RiskConfig.model_validate(strategy.config.get("risk", {})).time_limit_candles
    if limit is not None and (closes is None or closes > limit):
        raise ConfigError(
            "risk.timeLimitCandles: is kept by the strategy, which has none or a longer one, got "
            f"{limit}; leave it out"
        )


def _terms(capital: Decimal, leverage: Decimal) -> _Terms:
    """Return capital and leverage as they are stored.

    Raises:
        ConfigError: One is out of range; one line per field.
    """
    try:
        return _Terms(capital=capital, leverage=leverage)
    except ValidationError as error:
        lines = (
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}, got {each['input']}"
            for each in error.errors()
        )
        raise ConfigError("\n".join(lines)) from error


def _written(risk: RiskConfig) -> dict[str, Any]:
    """Return limits as they are stored: what was said, no defaults of the program."""
    fields: dict[str, Any] = risk.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return fields


def _said(row: Subscription) -> dict[str, Any]:
    """Return what is written down of changes."""
    return {
        "capital": plain(row.capital),
        "leverage": plain(row.leverage),
        "risk": row.risk,
        "status": row.status,
        "is_deleted": row.deleted_ms is not None,
    }
