"""What a service stands on: the store, the services over it, and the event log."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import Final

import msgspec

from api.service.plan import ServicePlan, make_folder
from engine.catalog import default_folders
from engine.catalog.built_ins import seed_built_ins
from engine.catalog.definitions import Definitions
from engine.catalog.files import StrategyFiles
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
        changed: Set by whoever has changed what is deployed.
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
    files = StrategyFiles(store, default_folders(plan.plugin_folders), now_ms)
    files.sync()
    definitions = Definitions(store, lambda: files.catalog, now_ms)
    seed_built_ins(definitions, files.catalog)
    changed, ownership = threading.Event(), Ownership(store)

    def tell(_id: str) -> None:
        ownership.changed()
        changed.set()

    return Ground(
        store=store,
        secret=secret,
        events=_event_log(plan, stack),
        users=Users(store, now_ms, secret),
        files=files,
        definitions=definitions,
        accounts=_accounts(plan, store),
        strategies=Strategies(
            store,
            definitions,
            catalog=lambda: files.catalog,
            served=lambda: feed.served,
            clock=now_ms,
            on_change=tell,
        ),
        subscriptions=Subscriptions(
            store, catalog=lambda: files.catalog, clock=now_ms, on_change=tell
        ),
        ownership=ownership,
        changed=changed,
    )


def _accounts(plan: ServicePlan, store: Store) -> Accounts:
    accounts = Accounts(store, now_ms, Vault.of_folder(plan.folder))
    # No reason not to start: nothing trades with them, and their owners can give them anew.
    for problem in accounts.renew_credentials():
        _log.warning("%s", problem)
    return accounts


def _event_log(plan: ServicePlan, stack: contextlib.ExitStack) -> EventLog:
    log: EventLog
    if plan.redis:
        from engine.events.redis_log import RedisEventLog  # noqa: PLC0415 - seldom needed

        log = RedisEventLog(plan.redis, now_ms=now_ms)
    else:
        log = MemoryEventLog(now_ms=now_ms)
    stack.callback(log.close, _EVENTS_AT_THE_END_S)
    return log
