"""What a service stands on: the store, the services over it, and the event log."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from functools import partial
from typing import Final

import msgspec

from api.service.plan import ServicePlan, make_folder
from engine.catalog import default_folders
from engine.catalog.built_ins import seed_built_ins
from engine.catalog.definitions import Definitions
from engine.catalog.files import StrategyFiles
from engine.changes import EVERYTHING, Change, Changes, LocalChanges
from engine.credentials import Vault
from engine.deployments import Accounts, Served, Strategies
from engine.deployments.ownership import Ownership
from engine.deployments.subscriptions import Subscriptions
from engine.events import EventLog, MemoryEventLog
from engine.store import Store
from engine.store.store import DEFAULT_FILE
from engine.users import Users, secret_of

__all__ = ["Feed", "Ground", "now_ms", "open_ground", "open_store"]

_log = logging.getLogger(__name__)

_EVENTS_AT_THE_END_S: Final = 5.0

_BROUGHT: Final = frozenset({"strategy", "subscription", EVERYTHING})
"""Of these, changes are brought to the engine by `Rounds`; it reads the store for no others."""


class Ground(msgspec.Struct, frozen=True):
    """What there is without an engine.

    Attributes:
        store: The database.
        secret: Tokens are signed with it.
        events: What happens.
        users: Who may sign in.
        files: Strategy files.
        definitions: What strategies are made from.
        accounts: Where they trade.
        strategies: What is deployed.
        subscriptions: Who follows it.
        ownership: Whose it all is.
        changes: Tells what is different, also to and from other processes.
        changed: Set when what is deployed was changed, here or elsewhere.
    """

    store: Store
    secret: bytes
    events: EventLog
    users: Users
    files: StrategyFiles
    definitions: Definitions
    accounts: Accounts
    strategies: Strategies
    subscriptions: Subscriptions
    ownership: Ownership
    changes: Changes
    changed: threading.Event


def now_ms() -> int:
    """Return milliseconds UTC."""
    return time.time_ns() // 1_000_000


class Feed:
    """What the engine has to offer, once there is one."""

    def __init__(self) -> None:
        self.served = Served(frozenset(), {})


def open_store(plan: ServicePlan) -> Store:
    """Open the store, and make the folder.

    Raises:
        ConfigError: The store's address cannot be used.
        StoreError: The store cannot be opened.
    """
    make_folder(plan.folder)
    return Store.open(plan.store or plan.folder / DEFAULT_FILE)


def open_ground(plan: ServicePlan, feed: Feed, store: Store, stack: contextlib.ExitStack) -> Ground:
    """Open what is over the store; bring strategy files and definitions up to date.

    Args:
        plan: What is started.
        feed: What the engine has to offer.
        store: Nobody else's engine works on it.
        stack: Closes all of it.

    Raises:
        ConfigError: The folder or a strategy folder cannot be used.
        StoreError: The store cannot be written.
    """
    secret = secret_of(plan.folder)
    changes = _changes(plan, stack)
    files = StrategyFiles(store, default_folders(plan.plugin_folders), now_ms)
    files.sync()
    definitions = Definitions(
        store, lambda: files.catalog, now_ms, on_change=partial(changes.publish, "definition")
    )
    seed_built_ins(definitions, files.catalog)
    changed, ownership = threading.Event(), Ownership(store)

    def heard(change: Change) -> None:
        if change.kind in _BROUGHT:
            ownership.changed()
            changed.set()

    stack.callback(changes.listen(heard).close)
    return Ground(
        store=store,
        secret=secret,
        events=_event_log(plan, stack),
        users=Users(store, now_ms, secret),
        files=files,
        definitions=definitions,
        accounts=_accounts(plan, store, changes),
        strategies=Strategies(
            store,
            definitions,
            catalog=lambda: files.catalog,
            served=lambda: feed.served,
            clock=now_ms,
            on_change=partial(changes.publish, "strategy"),
        ),
        subscriptions=Subscriptions(
            store,
            catalog=lambda: files.catalog,
            clock=now_ms,
            on_change=partial(changes.publish, "subscription"),
        ),
        ownership=ownership,
        changes=changes,
        changed=changed,
    )


def _accounts(plan: ServicePlan, store: Store, changes: Changes) -> Accounts:
    vault = Vault.of_folder(plan.folder)
    accounts = Accounts(store, now_ms, vault, on_change=partial(changes.publish, "account"))
    # No reason not to start: nothing trades with them, and their owners can give them anew.
    for problem in accounts.renew_credentials():
        _log.warning("%s", problem)
    return accounts


def _changes(plan: ServicePlan, stack: contextlib.ExitStack) -> Changes:
    changes: Changes
    if plan.redis:
        from engine.changes.redis_changes import RedisChanges  # noqa: PLC0415 - seldom needed

        changes = RedisChanges(plan.redis, now_ms=now_ms)
    else:
        changes = LocalChanges(now_ms)
    stack.callback(changes.close)
    return changes


def _event_log(plan: ServicePlan, stack: contextlib.ExitStack) -> EventLog:
    log: EventLog
    if plan.redis:
        from engine.events.redis_log import RedisEventLog  # noqa: PLC0415 - seldom needed

        log = RedisEventLog(plan.redis, now_ms=now_ms)
    else:
        log = MemoryEventLog(now_ms=now_ms)
    stack.callback(log.close, _EVENTS_AT_THE_END_S)
    return log
