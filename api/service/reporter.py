"""Writes strategies' logs, and raises alerts by itself."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from api.server.system import SystemStatus
from api.service.sparing import Sparing
from api.service.watch import Watch
from engine.alerts import Alerts, Level
from engine.audit_tail import AuditTail
from engine.errors import ChorusError
from engine.instance import SaidLine
from engine.logs import Line, StrategyLogs
from engine.recording import Whose
from engine.status import StrategyStatus
from engine.store import Store

__all__ = ["Reporter"]

_EVERY_S: Final = 1.0
_MOST_WAITING: Final = 10_000
_TRACES_AT_ONCE: Final = 20
_CHANGE_CHARACTERS: Final = 1_000
_FAILURES_BEFORE_ALERT: Final = 3
"""Attempts to record that may fail in a row: a database that is started again is no news."""

_WORKED: Final = ("accepted", "recorded")
_LIMITS: Final = {"account_max_drawdown": "drawdown limit of the account reached"}
"""Refusals that somebody should look at, and what their alert is called."""


class _Alarm(msgspec.Struct, frozen=True):
    level: Level
    title: str
    text: str
    strategy_id: str | None = None


class Reporter(Watch):
    """Hears of everything that concerns a strategy, and puts it on record.

    It hears in the threads of those who tell it, and does the rest in its own: so neither the store
    nor the engine makes anybody wait.

    Args:
        store: Where changes of operators are on record.
        logs: Takes lines.
        alerts: Takes alerts.
        whose: Tells whose a strategy is.
        said: Returns what strategies' code has said since, see `EngineClient.said`.
        trace: Asks a strategy for the traceback of its newest exception.
    """

    def __init__(
        self,
        store: Store,
        logs: StrategyLogs,
        alerts: Alerts,
        whose: Whose,
        *,
        said: Callable[[int], tuple[int, list[SaidLine]]],
        trace: Callable[[str], str],
    ) -> None:
        super().__init__("chorus-reporter")
        self._logs = logs
        self._alerts = alerts
        self._whose = whose
        self._said = said
        self._trace = trace
        self._lock = threading.Lock()
        self._alarms: deque[_Alarm] = deque(maxlen=_MOST_WAITING)
        self._raised: dict[str, int] = {}
        self._restarts: dict[str, int] = {}
        self._lasting: set[str] = set()
        self._said_until = 0
        self._changes = AuditTail(store, "strategies")
        self._refusals = Sparing(20, 3.0)
        self._exceptions = Sparing(5, 60.0)

    # ------------------------------------------------------------------ what others tell it

    def changed(self, last: StrategyStatus | None, now: StrategyStatus) -> None:
        """Hear how a strategy is now, and how it was; None: it was not known."""
        is_new = last is None or last.status != now.status
        if is_new and not (last is None and now.status == "created"):
            was = "" if last is None else f"was {last.status}, "
            level: Any = "error" if now.status == "error" else "info"
            self._logs.say(now.id, level, f"{was}is {now.status}{_because(now.cause)}")
        elif last is not None and now.cause and now.cause != last.cause:
            self._logs.say(now.id, "warning", now.cause)
        if is_new and now.status == "error":
            text = f"strategy {now.id!r}: {now.cause}; look at its log, then restart it"
            self._ring(_Alarm("error", "strategy ended in error", text, now.id))
        raised = now.errors - (0 if last is None else last.errors)
        if raised > 0 and last is not None:
            with self._lock:
                self._raised[now.id] = self._raised.get(now.id, 0) + raised

    def refused(self, strategy_id: str, why: str) -> None:
        """Hear that the engine does not take a strategy over."""
        self._logs.say(strategy_id, "error", f"is not taken over by the engine: {why}")

    def overhear(self, topic: str, data: dict[str, Any], strategy_id: str) -> None:
        """Hear of an event the recorder publishes: wishes of a strategy that became no order."""
        code = data.get("code")
        # What followers are refused is theirs, and no business of the strategy's owner.
        if topic != "signals" or code in _WORKED or data.get("strategyId") != strategy_id:
            return
        left_out = self._refusals.admit((strategy_id, code))
        if left_out is None:
            return
        what = " ".join(str(data[name]) for name in ("action", "symbol") if data.get(name))
        detail = f"{code}{_because(str(data.get('detail') or ''))}{_beside(left_out)}"
        self._logs.say(strategy_id, "warning", f"{what} was refused: {detail}")
        if (title := _LIMITS.get(str(code))) is not None:
            text = f"strategy {strategy_id!r}: {what} was refused{_because(str(data['detail']))}"
            self._ring(_Alarm("warning", title, text, strategy_id))

    def look_at(self, status: SystemStatus) -> None:
        """Hear how the service is."""
        recording, engine = status.recording, status.engine
        stuck = (
            f"{recording.lag} lines of the ledger are not on record: {recording.error}; trading "
            "goes on and nothing is lost"
        )
        is_stuck = recording.failures >= _FAILURES_BEFORE_ALERT
        self._watch("recording is stuck", stuck if is_stuck else "")
        if engine is None:
            return
        self._watch("the engine does not answer", status.engine_error)
        failed = f"{engine.failure}; strategies get no candles until the service is started again"
        self._watch("the engine cannot go on", failed if engine.failure else "")
        over = "strategies get no more candles; the API goes on"
        self._watch("the feed has come to its end", over if engine.is_feed_over else "", "warning")
        for process in engine.processes:
            before = self._restarts.get(process.id, 0)
            if process.restarts > before:
                text = (
                    f"{process.kind} {process.id!r}: its process ended and was started again, "
                    f"{process.restarts} times by now{_because(process.cause)}"
                )
                whose = process.id if process.kind == "dedicated" else None
                self._ring(_Alarm("warning", f"{process.id} was started again", text, whose))
            self._restarts[process.id] = process.restarts

    def _watch(self, title: str, problem: str, level: Level = "error") -> None:
        """Ring when a problem begins, not as long as it lasts; empty: there is none."""
        if problem and title not in self._lasting:
            self._lasting.add(title)
            self._ring(_Alarm(level, title, problem))
        elif not problem:
            self._lasting.discard(title)

    # ------------------------------------------------------------------ what it makes of it

    def look(self) -> float:
        """Put on record what was heard of since.

        Raises:
            ChorusError: The store or the engine is away; the next look goes on from there.
        """
        self._take_changes()
        self._logs.write()
        self._raise_alerts()
        # Last, because an engine that is away makes it wait.
        self._take_said()
        self._take_exceptions()
        return _EVERY_S

    def close(self) -> None:
        """End; what was heard of by now is on record then, if the store is there."""
        super().close()
        try:
            self._logs.write()
            self._raise_alerts()
        except ChorusError:
            return  # as it would be after a crash

    def _take_said(self) -> None:
        self._said_until, lines = self._said(self._said_until)
        for line in lines:
            self._logs.add(
                Line(
                    strategy_id=line.instance,
                    level=line.level,
                    source="strategy",
                    text=line.text,
                    candle_ms=None if line.candle_ms < 0 else line.candle_ms,
                )
            )

    def _take_exceptions(self) -> None:
        with self._lock:
            names = list(self._raised)[:_TRACES_AT_ONCE]
            counts = {name: self._raised.pop(name) for name in names}
        for name, count in counts.items():
            if self._closing.is_set():
                return  # each may take half a minute to say that it does not answer
            if (left_out := self._exceptions.admit(name)) is None:
                continue
            try:
                trace = self._trace(name)
            except ChorusError as error:
                trace = f"(its traceback cannot be had: {error})"
            text = "an exception in its code"
            if count > 1:
                text = f"{count} exceptions in its code, this is the newest"
            self._logs.say(name, "error", f"{text}{_beside(left_out)}:\n{trace}")

    def _take_changes(self) -> None:
        """Tell what operators have changed, from the audit log."""
        for entry, name in self._changes.take():
            change = msgspec.json.encode(entry.change).decode()[:_CHANGE_CHARACTERS]
            text = (
                f"{entry.action} by {name or 'Chorus'}{_because('' if change == '{}' else change)}"
            )
            self._logs.say(entry.object_id, "info", text, source="operator")

    def _ring(self, alarm: _Alarm) -> None:
        self._alarms.append(alarm)

    def _raise_alerts(self) -> None:
        while self._alarms:
            alarm = self._alarms[0]
            owner = None if alarm.strategy_id is None else self._whose(alarm.strategy_id)
            self._alerts.raise_alert(
                alarm.level,
                alarm.title,
                alarm.text,
                strategy_id=None if owner is None else alarm.strategy_id,
                owner_id=None if owner is None else owner.owner_id,
            )
            self._alarms.popleft()


def _because(cause: str) -> str:
    return f": {cause}" if cause else ""


def _beside(left_out: int) -> str:
    return f" ({left_out} more like this were left out)" if left_out else ""
