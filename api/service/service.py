"""Puts the running service together: what it stands on, the engine, and all that goes between."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

import msgspec

from actors.engine import RunningEngine, running_engine
from actors.tap import CandleTap
from api.backtests.serving import served_backtests
from api.server import Services
from api.server.system import Recorded
from api.service.bots import BotDeployer
from api.service.deployer import Deployer
from api.service.executing import execution_loop
from api.service.folder import open_run, run_id
from api.service.ground import Feed, Ground, now_ms, open_ground, open_store
from api.service.housekeeping import Housekeeping
from api.service.kept_code import KeptCode
from api.service.leading import end_at_once, leading, lock_of
from api.service.observing import Observer
from api.service.overhearing import OverheardLog
from api.service.plan import ServicePlan, engine_config
from api.service.reporter import Reporter
from api.service.rounds import Rounds
from api.service.seeds import seed
from api.service.watch import CandleWatch, StatusWatch
from api.service.window import EngineWindow
from engine.alerts import Alerts
from engine.audit import AuditLog
from engine.catalog import Catalog
from engine.catalog.exchange import Exchange
from engine.catalog.signing import Signer
from engine.deployments import Served
from engine.deployments.trading import TradingSwitch
from engine.events import Broadcaster
from engine.history import History
from engine.idempotency import Idempotency
from engine.journal import RunFolder
from engine.logs import StrategyLogs
from engine.money import instruments_by_symbol
from engine.recording import Recorder, RecordingLoop
from engine.settings import Settings

__all__ = ["RunningService", "running_service"]


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


@contextlib.contextmanager
def running_service(
    plan: ServicePlan,
    *,
    stop: Callable[[], bool],
    say: Callable[[str], None],
    standing_by: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
    on_lost: Callable[[], None] = end_at_once,
) -> Iterator[RunningService]:
    """Run a service for the length of a `with` block; nothing outlives it but its folder.

    While another one leads on its store it stands by, and then goes on with the same run.

    Args:
        plan: What to start.
        stop: Asked a few times per second while it starts; True gives up.
        say: Takes a line for people at each step.
        standing_by: What to do while it stands by.
        on_lost: Ends this process at once: another service may lead from now on.

    Raises:
        ConfigError: It cannot be started like this.
        ChorusError: It cannot be started, or `stop` said so.
    """
    config, feed = engine_config(plan), Feed()
    with contextlib.ExitStack() as stack:
        say("opening the store")
        store = stack.enter_context(open_store(plan))
        leadership = stack.enter_context(
            leading(
                lock_of(plan),
                Settings(store, now_ms),
                lease_s=plan.leader_lease_s,
                stop=stop,
                say=say,
                standing_by=standing_by,
                on_lost=on_lost,
            )
        )
        ground = open_ground(plan, feed, store, stack)
        folder = stack.enter_context(open_run(plan, config, leadership, stop=stop, say=say))
        say("starting the engine")
        engine = stack.enter_context(
            running_engine(config, Catalog({}, []), replay=plan.replay, state=folder, stop=stop)
        )
        streams = frozenset(engine.client.streams())
        feed.served = Served(streams, instruments_by_symbol(config.instruments))
        admin_key = ground.users.ensure_admin()
        notices = seed(plan.config, ground.users, ground.accounts, ground.strategies)
        services = _connect(plan, ground, engine, folder, stack)
        yield RunningService(services, engine, admin_key, notices)
        say("stopping")


def _connect(
    plan: ServicePlan,
    ground: Ground,
    engine: RunningEngine,
    folder: RunFolder,
    stack: contextlib.ExitStack,
) -> Services:
    """Bring what is deployed to the engine, and what it does to the store and the event log."""
    client, store, events = engine.client, ground.store, ground.events
    changes, ownership = ground.changes, ground.ownership
    alerts = Alerts(store, events, now_ms)
    logs = StrategyLogs(store, events, ownership.of, now_ms)
    reporter = Reporter(
        store,
        logs,
        alerts,
        ownership.of,
        said=client.said,
        trace=lambda name: client.metrics(name).trace,
    )
    heard = OverheardLog(events, reporter.overhear)
    recorder = Recorder(store, heard, ownership.of, now_ms, run_id=run_id(folder))
    recording = RecordingLoop(recorder, client.ledger_lines)
    code = KeptCode(plan.folder / "code")
    deployer = Deployer(
        ground.strategies,
        lambda: ground.files.catalog,
        client.deploy,
        keep=code.keep,
        on_news=ownership.changed,
        on_refusal=reporter.refused,
    )
    bots = BotDeployer(ground.subscriptions, client, folder.path, on_news=ownership.changed)
    tap = CandleTap(engine.endpoints)
    stack.callback(tap.close)
    candles = CandleWatch(tap, events)
    status = StatusWatch(client.status, events, ownership.of, on_change=reporter.changed)
    executions = execution_loop(plan, store, client, status, run_id(folder))
    rounds = Rounds([deployer.round, bots.round], ground.changed)
    observer = Observer(
        store,
        events,
        client.health,
        recording=lambda: recording.status,
        executions=lambda: executions.status,
        recorded=lambda: Recorded(**recorder.recorded),
        folder=plan.folder,
        now_ms=now_ms,
        on_look=reporter.look_at,
    )
    # Whoever tells the reporter something ends before it: what is started last is ended first.
    housekeeping = Housekeeping(store, now_ms, plan.keep, code, run=folder.path)
    for thread in (reporter, recording, candles, status, rounds, observer, housekeeping):
        thread.start()
        stack.callback(thread.close)
    executions.start()
    stack.callback(executions.close)
    backtests = stack.enter_context(
        served_backtests(
            plan.folder / "candles",
            store=store,
            definitions=ground.definitions,
            catalog=lambda: ground.files.catalog,
            events=events,
            clock=now_ms,
        )
    )
    window = EngineWindow(client, status, deployer)
    broadcaster = Broadcaster(events)
    stack.callback(broadcaster.close)
    return Services(
        engine=window,
        system=observer,
        users=ground.users,
        files=ground.files,
        definitions=ground.definitions,
        exchange=Exchange(store, ground.definitions, Signer.of_folder(plan.folder), now_ms),
        accounts=ground.accounts,
        strategies=ground.strategies,
        subscriptions=ground.subscriptions,
        backtests=backtests,
        broadcaster=broadcaster,
        trading=TradingSwitch(
            store, ground.accounts, window, now_ms, on_change=partial(changes.publish, "trading")
        ),
        history=History(store, marks=lambda: candles.marks),
        alerts=alerts,
        logs=logs,
        settings=Settings(store, now_ms, on_change=partial(changes.publish, "setting")),
        audit=AuditLog(store),
        idempotency=Idempotency(store, now_ms, ground.secret),
    )
