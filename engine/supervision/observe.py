"""From what is seen to what is remembered: strikes, verdicts, backoff."""

from __future__ import annotations

from random import Random

from msgspec.structs import replace

from engine.supervision.actual import Actual, ActualHost
from engine.supervision.history import History, HostRecord, StrategyRecord
from engine.supervision.probes import VERDICTS, Finding, Symptom, examine, offender
from engine.supervision.settings import SupervisionSettings

__all__ = ["observe"]


def observe(
    history: History, actual: Actual, settings: SupervisionSettings, random: Random
) -> History:
    """Take note of what has happened since the last observation.

    Every epoch of a host fails at most once, so observing the same state again changes nothing.

    Args:
        history: As last returned, by this or by `History.with_actions`.
        actual: The state now.
        settings: The limits.
        random: Source of the jitter; used only where a host has failed repeatedly.

    Returns:
        The history to plan with.
    """
    observer = _Observer(history, actual, settings, random)
    newest = {host.id: host for host in sorted(actual.hosts, key=lambda host: host.epoch)}
    # Pooled hosts first: what one of them costs a strategy counts for the strategy's own host.
    for host in sorted(newest.values(), key=lambda host: (host.kind != "pooled", host.id)):
        observer.look_at(host)
    return History(observer.strategies, observer.hosts)


class _Observer:
    def __init__(
        self, history: History, actual: Actual, settings: SupervisionSettings, random: Random
    ) -> None:
        self.strategies = dict(history.strategies)
        self.hosts = dict(history.hosts)
        self._actual = actual
        self._settings = settings
        self._random = random

    def look_at(self, host: ActualHost) -> None:
        record = self.hosts.get(host.id, HostRecord())
        if host.epoch > record.epoch:
            record = record.begin(host.epoch)
        if host.epoch < record.epoch or host.epoch <= record.closed:
            return
        record = self._follow(host, record)
        finding = examine(host, self._actual, self._settings, behind_since=record.behind_since)
        if finding is None:
            self.hosts[host.id] = self._forgive(host, record)
        else:
            self._fail(host, record, finding)

    def _follow(self, host: ActualHost, record: HostRecord) -> HostRecord:
        """Return the record with the times that say how the host gets on."""
        now = self._actual.now
        behind_since = progressed_at = None
        if host.answered_slice < self._actual.feed_slice:
            behind_since = _earlier(record.behind_since, now)
        if host.answered_slice > record.reached:
            progressed_at = _earlier(record.progressed_at, now)
        return replace(record, behind_since=behind_since, progressed_at=progressed_at)

    def _forgive(self, host: ActualHost, record: HostRecord) -> HostRecord:
        """Forget strikes and backoff of a host that has long made progress."""
        since = record.progressed_at
        if since is None or self._actual.now - since < self._settings.healthy_after_s:
            return record
        if host.kind == "dedicated":
            for name in host.instances:
                sheet = self.strategies.get(name)
                if sheet is not None and sheet.causes and not sheet.verdict:
                    self.strategies[name] = replace(sheet, causes=())
        return replace(record, restarts=0)

    def _fail(self, host: ActualHost, record: HostRecord, finding: Finding) -> None:
        name = offender(host)
        if name is not None:
            strategy = self._actual.strategies.get(name)
            version = strategy.version if strategy is not None else 0
            sheet = History(self.strategies).strategy(name, version)
            if host.kind == "dedicated" and sheet != self.strategies.get(name):
                record = replace(record, restarts=0)  # failures of another version
            self.strategies[name] = self._strike(sheet, host, record, finding)
        reached = max(record.reached, host.answered_slice)
        if name is not None and host.kind == "pooled":
            # Progress in its own host begins beyond what it has done in this one.
            own = self.hosts.get(name, HostRecord())
            self.hosts[name] = replace(own, reached=max(own.reached, reached))
        self.hosts[host.id] = replace(
            record,
            closed=host.epoch,
            cause=finding.cause,
            closed_at=self._actual.now,
            restarts=record.restarts + 1,
            delay_s=self._delay(record.restarts),
            reached=reached,
        )

    def _strike(
        self, sheet: StrategyRecord, host: ActualHost, record: HostRecord, finding: Finding
    ) -> StrategyRecord:
        """Return the record with one more strike.

        A process that ended after progress is the first of a new series: only a crash loop that
        gets nowhere counts up.
        """
        is_new_series = finding.symptom is Symptom.ENDED and record.progressed_at is not None
        causes = (*(() if is_new_series else sheet.causes), finding.cause)
        is_last = len(causes) >= self._settings.max_strikes
        return replace(
            sheet,
            causes=causes,
            is_apart=sheet.is_apart or host.kind == "pooled",
            verdict=VERDICTS[finding.symptom] if is_last else sheet.verdict,
        )

    def _delay(self, restarts: int) -> float:
        """Return the time to the next start: none at first, then exponential with full jitter.

        Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
        """
        if restarts == 0:
            return 0.0
        bound = self._settings.backoff_base_s
        for _ in range(restarts - 1):
            bound = min(bound * self._settings.backoff_factor, self._settings.backoff_cap_s)
        return self._random.uniform(0.0, bound)


def _earlier(since: float | None, now: float) -> float:
    """Return since when something has been so; a moment of another boot counts as now."""
    return now if since is None else min(since, now)
