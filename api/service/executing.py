"""Brings executions from the engine to the store."""

from __future__ import annotations

import os
import socket
from typing import Final

from actors.client import EngineClient
from api.service.ground import now_ms
from api.service.plan import ServicePlan
from api.service.watch import StatusWatch
from engine.locks import IntervalLocks
from engine.recording import Attendance, ExecutionLoop, ExecutionRecorder
from engine.store import Store

__all__ = ["execution_loop"]

_LONGEST_HOST: Final = 48


def execution_loop(
    plan: ServicePlan, store: Store, client: EngineClient, status: StatusWatch, run: str
) -> ExecutionLoop:
    """Return the thread that records executions; it has yet to be started.

    Args:
        plan: Where Redis is, if there is one: it keeps a lock for each execution.
        store: Where to.
        client: Of the engine.
        status: Knows how long a candle takes.
        run: Id of the run.

    Raises:
        ConfigError: The address of Redis is not usable.
    """
    worker = f"{socket.gethostname()[:_LONGEST_HOST]}:{os.getpid()}"

    def duration_us(name: str) -> int:
        known = status.of(name)
        return 0 if known is None else known.step_us

    recorder = ExecutionRecorder(
        store,
        now_ms,
        run_id=run,
        attendance=Attendance(worker, duration_us),
        locks=IntervalLocks(plan.redis, owner=run) if plan.redis else None,
    )
    return ExecutionLoop(recorder, client.executions)
