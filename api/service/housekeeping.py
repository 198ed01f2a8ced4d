"""Deletes now and then what is kept for some time only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from sqlalchemy import select

from actors.memory import remembered_code
from api.service.kept_code import KeptCode
from api.service.plan import Keep
from api.service.watch import Watch
from engine.errors import StoppedError
from engine.recording.retention import DAY_MS, RULES, Retention, Rule
from engine.store import Alert, AuditEntry, Store, Strategy

__all__ = ["Housekeeping"]

_EVERY_S: Final = 3600.0


class Housekeeping(Watch):
    """Applies the rules of retention at the start and every hour.

    Args:
        store: Of which.
        clock: Milliseconds UTC.
        keep: How long what is kept.
        code: What strategies were started from.
        run: Folder of the run, in which the manager writes down what they are started from again.
    """

    def __init__(
        self, store: Store, clock: Callable[[], int], keep: Keep, code: KeptCode, *, run: Path
    ) -> None:
        super().__init__("chorus-housekeeping")
        self._store = store
        self._clock = clock
        self._retention = Retention(store, clock, rules=_rules(keep), rest=self._rest)
        self._code_days = keep.code_days
        self._code = code
        self._run_folder = run

    def look(self) -> float:
        """Delete what is too old; may take minutes, but ends when it is closed."""
        try:
            self._retention.purge()
        except StoppedError:
            return 0.0
        if self._code_days:
            before_ms = self._clock() - self._code_days * DAY_MS
            self._code.forget(self._needed_code(), before_ms=before_ms)
        return _EVERY_S

    def _needed_code(self) -> set[str]:
        """Return the names of the files strategies are started from that are not deleted."""
        with self._store.read() as session:
            deleted = set(
                session.scalars(select(Strategy.id).where(Strategy.deleted_ms.is_not(None)))
            )
        files = remembered_code(self._run_folder)
        # By name: the run may have been moved together with the code beside it.
        return {Path(file).name for name, file in files.items() if name not in deleted}

    def _rest(self, seconds: float) -> None:
        if self._closing.wait(seconds):
            raise StoppedError("housekeeping: the service stops; the next one goes on")


def _rules(keep: Keep) -> tuple[Rule, ...]:
    chosen = ((AuditEntry.at_ms, keep.audit_days), (Alert.acknowledged_ms, keep.alert_days))
    return (*RULES, *(Rule(since, days * DAY_MS) for since, days in chosen if days))
