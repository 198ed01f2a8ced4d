"""Puts the running service together: store, engine, what is deployed, events and the API."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import msgspec

from actors.engine import RunningEngine, running_engine
from actors.state import open_run_folder
from actors.tap import CandleTap
from api.backtests.serving import served_backtests
from api.server import Services
from api.service.deployer import Deployer
from api.service.kept_code import KeptCode
from api.service.plan import ServicePlan, engine_config
from api.service.seeds import seed
from api.service.watch import CandleWatch, StatusWatch
from engine.alerts import Alerts
from engine.audit import AuditLog
from engine.catalog import Catalog, default_folders
from engine.catalog.built_ins import seed_built_ins
from engine.catalog.definitions import Definitions
from engine.catalog.files import StrategyFiles
from engine.config import RunConfig
from engine.deployments import Accounts, Served, Strategies
from engine.events import Broadcaster, EventLog, MemoryEventLog
from engine.history import History
from engine.idempotency import Idempotency
from engine.journal import RunFolder
from engine.money import instruments_by_symbol
from engine.settings import Settings
from engine.store import Store
from engine.store.store import DEFAULT_FILE
from engine.users import Users, secret_of

__all__ = ["RunningService", "running_service"]

_EVENTS_AT_THE_END_S = 5.0


class RunningService(msgspec.Struct, frozen=True):
    """A service that runs.

    Attributes:
        services: What its API works with.
        engine: Its engine.
        admin_key: Of the admin that was made at the first start; None at any other.
        notices: For people: what was made of the configuration.
    """

    services: Services
    engine: RunningEngine
    admin_key: str | None
    notices: list[str]


def now_ms() -> int:
    """Return milliseconds UTC."""
    return time.time_ns() // 1_000_000


@contextlib.contextmanager
def running_service(
    plan: ServicePlan, *, stop: Callable[[], bool], say: Callable[[str], None]
) -> Iterator[RunningService]:
    """Run a service for the length of a `with` block; nothing outlives it but its folder.

    Args:
        plan: What to start.
        stop: Asked a few times per second while it starts; True gives up.
        say: Takes a line for people at each step.

    Raises:
        ConfigError: It cannot be started like this.
        ChorusError: It cannot be started, or `stop` said so.
    """
    config = engine_config(plan)
    with contextlib.ExitStack() as stack:
        plan.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        say("opening the store")
        store = stack.enter_context(Store.open(plan.store or plan.folder / DEFAULT_FILE))
        secret = secret_of(plan.folder)
        users = Users(store, now_ms, secret)
        files = StrategyFiles(store, default_folders(plan.plugin_folders), now_ms)
        files.sync()
        definitions = Definitions(store, lambda: files.catalog, now_ms)
        seed_built_ins(definitions, files.catalog)
        events = _event_log(plan, stack)
        folder = _run_folder(plan, config)
        stack.enter_context(folder)
        say("starting the engine")
        engine = stack.enter_context(
            running_engine(config, Catalog({}, []), replay=plan.replay, state=folder, stop=stop)
        )
        served = Served(
            frozenset(engine.client.streams()), instruments_by_symbol(config.instruments)
        )
        accounts = Accounts(store, now_ms)
        changed = threading.Event()
        strategies = Strategies(
            store,
            definitions,
            catalog=lambda: files.catalog,
            served=lambda: served,
            clock=now_ms,
            on_change=lambda _: changed.set(),
        )
        admin_key = users.ensure_admin()
        notices = seed(plan.config, users, accounts, strategies)
        deployer = Deployer(
            strategies,
            lambda: files.catalog,
            engine.client.deploy,
            keep=KeptCode(plan.folder / "code").keep,
            changed=changed,
        )
        deployer.start()
        stack.callback(deployer.close)
        tap = CandleTap(engine.endpoints)
        stack.callback(tap.close)
        status = StatusWatch(engine.client.status, events, strategies.owner_of)
        for watch in (CandleWatch(tap, events), status):
            watch.start()
            stack.callback(watch.close)
        backtests = stack.enter_context(
            served_backtests(
                plan.folder / "candles",
                store=store,
                definitions=definitions,
                catalog=lambda: files.catalog,
                events=events,
                clock=now_ms,
            )
        )
        broadcaster = Broadcaster(events)
        stack.callback(broadcaster.close)
        services = Services(
            users=users,
            files=files,
            definitions=definitions,
            accounts=accounts,
            strategies=strategies,
            backtests=backtests,
            broadcaster=broadcaster,
            history=History(store),
            alerts=Alerts(store, events, now_ms),
            settings=Settings(store, now_ms),
            audit=AuditLog(store),
            idempotency=Idempotency(store, now_ms, secret),
        )
        yield RunningService(services, engine, admin_key, notices)
        say("stopping")


def _run_folder(plan: ServicePlan, config: RunConfig) -> RunFolder:
    path = plan.folder / "run"
    return open_run_folder(
        path, config, Catalog({}, []), plan.replay, resume=RunFolder.exists(path)
    )


def _event_log(plan: ServicePlan, stack: contextlib.ExitStack) -> EventLog:
    log: EventLog
    if plan.redis:
        from engine.events.redis_log import RedisEventLog  # noqa: PLC0415 - seldom needed

        log = RedisEventLog(plan.redis, now_ms=now_ms)
    else:
        log = MemoryEventLog(now_ms=now_ms)
    stack.callback(log.close, _EVENTS_AT_THE_END_S)
    return log
