"""The StrategyHost: many instances that share a process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from actors.host import Host
from actors.host_spec import HostSpec
from actors.plate import open_plate
from actors.wire import first_epoch, start_name
from engine.crash_points import CrashPoint
from engine.instance import Command, Instance
from engine.report import status_of
from engine.sequencing import SeatState, SliceEvent
from engine.sequencing.host import HostRunner
from engine.sequencing.plate import NOBODY, plate_of
from engine.status import StrategyStatus

__all__ = ["StrategyHost"]

ROUND_EVERY_NS = 2_000_000_000
"""How often every instance's status is sent; with thousands of them it is not for nothing."""

SIGN_OF_LIFE_NS = 1_000_000_000
STATUSES_AT_ONCE = 200


class StrategyHost(Host):
    """A host of many instances: one message per candle for all of them, one answer."""

    _runner: HostRunner[Instance]
    _applied = CrashPoint.POOLED_APPLIED

    def __init__(self, spec: HostSpec, market: Any) -> None:
        super().__init__(spec, market)
        self._plate = open_plate(spec.folder, start_name(spec.host, spec.start))
        self._runner = HostRunner(
            spec.host, first_epoch(spec.start), spec.uncovered, plate=self._plate
        )
        self._reported_ns = 0
        self._round_began_ns = 0
        self._round: Iterator[str] = iter(())
        self._failures_noted = 0

    def _seat(self, instance: Instance, streams: Sequence[str], /) -> None:
        self._runner.add(instance, streams, is_live=False)

    def _say_who_runs(self, name: str | None, /) -> None:
        self._plate[:] = NOBODY if name is None else plate_of(name)

    def _relive(self, name: str, through: int, events: Sequence[SliceEvent], /) -> None:
        self._runner.relive(name, through, events)

    def _go_live(self, name: str, live_from: int, events: Sequence[SliceEvent], /) -> None:
        self._runner.go_live(name, live_from, events)

    def _wanted(self) -> dict[str, int]:
        return self._runner.wanted

    def _command(self, name: str, command: Command, /) -> None:
        self._runner.command(name, command)

    def _dismiss(self, name: str, /) -> None:
        self._runner.remove(name)

    def _states_of(self, names: Sequence[str], /) -> tuple[list[SeatState], dict[str, str]]:
        return self._runner.store(names)

    def _changed_statuses(self, *, is_quiet: bool) -> list[StrategyStatus] | None:
        """Go round all instances, a few at a time."""
        now = time.monotonic_ns()
        if not is_quiet and now - self._reported_ns < SIGN_OF_LIFE_NS:
            return None
        due = list(islice(self._round, STATUSES_AT_ONCE))
        if not due and now - self._round_began_ns >= ROUND_EVERY_NS:
            self._round_began_ns = now
            self._round = iter(tuple(self._instances))
        if not due and now - self._reported_ns < SIGN_OF_LIFE_NS:
            return None
        self._reported_ns = now
        self._note_failures()
        return [
            self._status_of(name, self._instances[name]) for name in due if name in self._instances
        ]

    def _note_failures(self) -> None:
        """Let instances that the runner had to drop say so themselves."""
        for name, cause in list(self._runner.failed.items())[self._failures_noted :]:
            self._failures_noted += 1
            if name in self._instances:
                self._instances[name].fail(cause)

    def _status_of(self, name: str, instance: Instance) -> StrategyStatus:
        runner = self._runner
        if name in runner.failed:
            return status_of(instance)
        return status_of(instance, lag=runner.queued(name), cpu_s=runner.cpu_ns(name) / 1e9)
