"""Every process of an engine, for whoever looks after it."""

from __future__ import annotations

import os
import time
from typing import Literal

from actors.core import Core, Service
from actors.fleet import Fleet
from actors.members import HostProcess
from actors.processes import processor_time, unique_memory
from engine.status import EngineHealth, ProcessStatus

__all__ = ["health_of"]


def health_of(core: Core, fleet: Fleet, failure: BaseException | None) -> EngineHealth:
    """Return how an engine is; called in the manager's process.

    What processes on other machines use is not known here; those figures mean nothing.

    Args:
        core: Its services.
        fleet: Its hosts.
        failure: Why it cannot go on; None while it does.
    """
    hosts = [_host(host, fleet) for host in list(fleet.hosts.values()) if host.carried]
    return EngineHealth(
        processes=[
            _used("manager", "manager", os.getpid()),
            _service("market-data", core.market),
            _service("order-manager", core.orders),
            *sorted(hosts, key=lambda each: each.id),
        ],
        published=core.feed.published,
        decided=core.progress.decided,
        is_feed_over=core.progress.finished,
        failure="" if failure is None else str(failure) or type(failure).__name__,
    )


def _used(name: str, kind: Literal["manager"], process: int) -> ProcessStatus:
    return ProcessStatus(
        name,
        kind,
        "running",
        process,
        memory_bytes=unique_memory(process),
        cpu_s=processor_time(process),
    )


def _service(name: Literal["market-data", "order-manager"], service: Service) -> ProcessStatus:
    process = service.process()
    return ProcessStatus(
        name,
        name,
        "running" if process else "starting",
        process,
        memory_bytes=unique_memory(process),
        cpu_s=processor_time(process),
        restarts=service.restarts,
    )


def _host(host: HostProcess, fleet: Fleet) -> ProcessStatus:
    has_ended = host.state == "ended"
    return ProcessStatus(
        host.id,
        host.kind,
        host.state,
        0 if has_ended else host.process,
        strategies=len(host.carried),
        memory_bytes=0 if has_ended else host.weigh(time.monotonic()),
        cpu_s=0.0 if has_ended else processor_time(host.process),
        restarts=fleet.restarts[host.id],
        cause=host.cause,
    )
