"""The StrategyActor: one instance, alone in its process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice
from typing import Any

from actors.host import Host
from actors.host_spec import HostSpec
from actors.wire import first_epoch
from engine.crash_points import CrashPoint
from engine.instance import Command, Instance
from engine.report import status_of
from engine.sequencing import InstanceRunner, SeatState, SliceEvent
from engine.status import StrategyStatus

__all__ = ["StrategyActor"]

LOOK_EVERY_NS = 250_000_000
SIGN_OF_LIFE_NS = 1_000_000_000


class StrategyActor(Host):
    """A host of one instance; it may crash, hang or leak alone."""

    _runner: InstanceRunner
    _applied = CrashPoint.DEDICATED_APPLIED

    def __init__(self, spec: HostSpec, market: Any) -> None:
        super().__init__(spec, market)
        self._looked_ns = self._reported_ns = 0
        self._reported: list[StrategyStatus] = []

    def _seat(self, instance: Instance, streams: Sequence[str], /) -> None:
        spec = self._spec
        self._runner = InstanceRunner(
            instance,
            host=spec.host,
            epoch=first_epoch(spec.start),
            streams=streams,
            uncovered=spec.uncovered,
            is_live=False,
        )

    def _relive(self, _name: str, through: int, events: Sequence[SliceEvent], /) -> None:
        self._runner.relive(through, events)

    def _say_who_runs(self, _name: str | None, /) -> None:
        """There is nobody else."""

    def _go_live(self, _name: str, live_from: int, events: Sequence[SliceEvent], /) -> None:
        self._runner.go_live(live_from, events)

    def _wanted(self) -> dict[str, int]:
        return dict.fromkeys(self._listens_to, 0)

    def _command(self, _name: str, command: Command, /) -> None:
        self._runner.command(command)

    def _dismiss(self, _name: str, /) -> None:
        """Nothing is left to do: the process is about to be ended."""

    def _states_of(self, names: Sequence[str], /) -> tuple[list[SeatState], dict[str, str]]:
        try:
            state = self._runner.store()
        except Exception as error:  # noqa: BLE001 - code of the strategy may raise anything
            return [], dict.fromkeys(names, f"{type(error).__name__}: {error}")
        return [] if state is None else [state], {}

    def _changed_statuses(self, *, is_quiet: bool) -> list[StrategyStatus] | None:
        # Nobody waits for a status, everybody for answers: in a quiet moment it goes out often,
        # between two candles of a burst seldom, and one that says nothing new only as a sign of
        # life. There may be hundreds of these processes.
        now = time.monotonic_ns()
        if now - self._looked_ns < (LOOK_EVERY_NS if is_quiet else SIGN_OF_LIFE_NS):
            return None
        self._looked_ns = now
        present = reversed(self._instances.values())
        statuses = [
            status_of(each, lag=self._runner.queued, cpu_s=time.thread_time())
            for each in islice(present, 1)
        ]
        is_news = statuses != self._reported
        if not is_news and now - self._reported_ns < SIGN_OF_LIFE_NS:
            return None
        self._reported, self._reported_ns = statuses, now
        return statuses if is_news else []
