"""Backtests as jobs: asked for by users, done by workers, kept with what came of them."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import ColumnElement, Select, and_, func, or_, select, true
from sqlalchemy.orm import Session, aliased, defer

from engine.access import Caller
from engine.audit import record
from engine.catalog import Catalog
from engine.catalog.definitions import Definitions
from engine.errors import (
    ConfigError,
    ConflictError,
    LifecycleError,
    NotFoundError,
)
from engine.events import EventLog
from engine.jobs.comparison import Comparison, compare
from engine.jobs.datasets import Dataset, Datasets
from engine.jobs.limits import BacktestLimits
from engine.jobs.requests import NewBacktest, Requests
from engine.store import BacktestJob, Store, User
from engine.store.paging import Order, Page, take_page

__all__ = ["LEASE_MS", "Backtests", "Claim", "Status"]

Status = Literal["waiting", "running", "done", "failed", "canceled"]

LEASE_MS: Final = 30_000
"""A worker that is not heard of for so long is taken for dead."""

_LEAN: Final = (defer(BacktestJob.config), defer(BacktestJob.summary))
_UNFINISHED: Final = ("waiting", "running")
_MAX_COMPARED: Final = 10
_MAX_ERROR: Final = 4_000


class Claim(msgspec.Struct, frozen=True):
    """A backtest a worker has taken.

    Attributes:
        id: Of the backtest.
        worker: Names this attempt; whoever does not hold it any more can write nothing.
        config: As of `Requests.checked`.
    """

    id: str
    worker: str
    config: dict[str, Any]


class Backtests:
    """Reads and writes backtests; the only one who writes their table.

    A user sees its own, an admin everybody's. Any number of workers, in any number of processes,
    take what waits. Each attempt is held for `LEASE_MS`, and for as long again whenever its worker
    is heard of. One that is not heard of any more loses it: the backtest waits again, up to
    `BacktestLimits.attempts` times, and what a worker says that has lost it is not written.

    Args:
        store: Where they are kept.
        definitions: What strategies are made from.
        catalog: The strategy types there are now.
        datasets: The candles there are.
        events: Told what becomes of each, under ``status``, for its owner.
        clock: Milliseconds UTC.
        limits: How much one user may ask for.
    """

    def __init__(
        self,
        store: Store,
        definitions: Definitions,
        *,
        catalog: Callable[[], Catalog],
        datasets: Datasets,
        events: EventLog,
        clock: Callable[[], int],
        limits: BacktestLimits | None = None,
    ) -> None:
        self._store = store
        self._datasets = datasets
        self._events = events
        self._clock = clock
        self._limits = limits or BacktestLimits()
        self._requests = Requests(definitions, catalog, datasets, self._limits)

    # ------------------------------------------------------------------ reading

    def get(self, job_id: str, caller: Caller) -> BacktestJob:
        """Return a backtest, without its report.

        Raises:
            NotFoundError: There is none of that id, or not for the caller.
        """
        with self._store.read() as session:
            return _seen(session, job_id, caller)

    def page(
        self,
        caller: Caller,
        *,
        status: Status | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[BacktestJob]:
        """Return some of the backtests a caller sees, the newest first.

        They are without configuration, summary and report.

        Raises:
            ConfigError: As `take_page`.
        """
        order = [Order(BacktestJob.created_ms, is_descending=True), Order(BacktestJob.id)]
        query = select(BacktestJob).where(_visible_to(caller)).options(*_LEAN)
        if status is not None:
            query = query.where(BacktestJob.status == status)
        with self._store.read() as session:
            return take_page(session, query, order, after=after, limit=limit)

    def report(self, job_id: str, caller: Caller) -> dict[str, Any]:
        """Return the report of a backtest that is done.

        Raises:
            NotFoundError: There is no such backtest, or not for the caller.
            LifecycleError: It is not done.
        """
        with self._store.read() as session:
            job = _seen(session, job_id, caller)
            if job.report is None:
                raise LifecycleError(
                    f"backtest {job_id!r}: is {job.status}; there is a report once one is done"
                )
            return job.report

    def compare(self, ids: Sequence[str], caller: Caller) -> Comparison:
        """Put backtests side by side.

        Args:
            ids: Which, 2 to 10.
            caller: Who asks.

        Raises:
            ConfigError: They are too few, too many, or one is named twice.
            NotFoundError: There is no such backtest, or not for the caller.
        """
        if not 2 <= len(ids) <= _MAX_COMPARED:  # noqa: PLR2004 - one has nothing beside it
            raise ConfigError(f"ids: need 2 to {_MAX_COMPARED} backtests, got {len(ids)}")
        if len(set(ids)) != len(ids):
            raise ConfigError("ids: name one backtest twice; name each once")
        with self._store.read() as session:
            jobs = [_seen(session, job_id, caller) for job_id in ids]
        return compare(jobs)

    def datasets(self) -> list[Dataset]:
        """Return what can be played.

        Raises:
            StoreError: It cannot be looked at.
        """
        return self._datasets.all()

    # ------------------------------------------------------------------ for users

    def create(self, new: NewBacktest, caller: Caller) -> BacktestJob:
        """Ask for a backtest; it waits for a worker.

        Raises:
            ForbiddenError: The caller may only look.
            NotFoundError: There is no such definition, or not for the caller.
            ConfigError: It could not run; a line per field.
            ConflictError: The caller has too many.
        """
        owner_id = _owner(caller)
        name, config = self._requests.checked(new, caller)
        job = BacktestJob(
            id=secrets.token_hex(8),
            owner_id=owner_id,
            name=name,
            config=config,
            status="waiting",
            progress=Decimal(0),
            error="",
            created_ms=self._clock(),
        )
        with self._store.write() as session:
            self._check_quota(session, owner_id)
            session.add(job)
            session.flush()
            change = {"name": name, "datasets": new.datasets}
            record(session, caller, "create", job, change=change, at_ms=job.created_ms)
        self._tell(job)
        return job

    def cancel(self, job_id: str, caller: Caller) -> BacktestJob:
        """Let a backtest not be run, or no further; a worker that has it hears of it soon.

        Raises:
            ForbiddenError: The caller may only look.
            NotFoundError: There is no such backtest, or not for the caller.
            LifecycleError: It has ended.
        """
        with self._store.write() as session:
            job = self._owned(session, job_id, caller)
            if job.status not in _UNFINISHED:
                raise LifecycleError(f"backtest {job_id!r}: is {job.status}; it has ended already")
            change = {"status": [job.status, "canceled"]}
            self._end(job, "canceled")
            record(session, caller, "cancel", job, change=change, at_ms=self._clock())
        self._tell(job)
        return job

    def delete(self, job_id: str, caller: Caller) -> BacktestJob:
        """Take a backtest away that has ended, with its report.

        Raises:
            ForbiddenError: The caller may only look.
            NotFoundError: There is no such backtest, or not for the caller.
            LifecycleError: It has not ended.
        """
        with self._store.write() as session:
            job = self._owned(session, job_id, caller)
            if job.status in _UNFINISHED:
                raise LifecycleError(f"backtest {job_id!r}: is {job.status}; cancel it first")
            session.delete(job)
            change = {"name": job.name, "status": job.status}
            record(session, caller, "delete", job, change=change, at_ms=self._clock())
        return job

    # ------------------------------------------------------------------ for workers

    def claim(self, worker: str) -> Claim | None:
        """Take the next backtest; None: there is none.

        Users take turns: next is the one whose last backtest was begun the longest ago. A backtest
        whose workers died too often is not taken but failed.

        Args:
            worker: Name of the worker, for messages.
        """
        with self._store.read() as session:  # so that those who look again and again lock nobody
            if session.scalars(self._takeable().limit(1)).first() is None:
                return None
        given_up: list[BacktestJob] = []
        with self._store.write() as session:
            job = self._taken(session, given_up)
            if job is not None:
                job.status = "running"
                job.progress = Decimal(0)
                job.attempts += 1
                job.worker = f"{worker[:40]}-{secrets.token_hex(8)}"
                job.started_ms = self._clock()
                job.lease_ms = job.started_ms + LEASE_MS
        for each in [*given_up, *([] if job is None else [job])]:
            self._tell(each)
        return None if job is None else Claim(job.id, str(job.worker), job.config)

    def keep(self, claim: Claim, progress: float | None = None) -> bool:
        """Say that a worker is still at it.

        Args:
            claim: What it has.
            progress: Part that is done, from 0 to 1; None: as before.

        Returns:
            False: it has it no longer (canceled, or taken for dead), and ends.
        """
        with self._store.write() as session:
            job = _held(session, claim)
            if job is None:
                return False
            job.lease_ms = self._clock() + LEASE_MS
            before = job.progress
            if progress is not None:
                job.progress = Decimal(f"{min(max(progress, 0.0), 1.0):.4f}")
            is_told = math.floor(before * 100) != math.floor(job.progress * 100)
        if is_told:
            self._tell(job)
        return True

    def finish(self, claim: Claim, *, summary: dict[str, Any], report: dict[str, Any]) -> bool:
        """Keep what came of a backtest. False: the worker has it no longer; nothing was kept."""
        with self._store.write() as session:
            job = _held(session, claim)
            if job is None:
                return False
            self._end(job, "done")
            job.progress = Decimal(1)
            job.summary = summary
            job.report = report
        self._tell(job)
        return True

    def fail(self, claim: Claim, error: str) -> bool:
        """Keep why nothing came of it. False: the worker has it no longer; nothing was kept."""
        with self._store.write() as session:
            job = _held(session, claim)
            if job is None:
                return False
            self._end(job, "failed", error)
        self._tell(job)
        return True

    def give_back(self, claim: Claim, cause: str = "") -> bool:
        """Let a backtest wait again.

        Args:
            claim: What the worker has.
            cause: How what ran it died, which counts as an attempt and fails the last one; empty:
                the worker ends in good order, which does not.

        Returns:
            False: it has it no longer; nothing has changed.
        """
        with self._store.write() as session:
            job = _held(session, claim)
            if job is None:
                return False
            if cause and job.attempts >= self._limits.attempts:
                self._end(job, "failed", self._given_up(cause))
            else:
                job.status = "waiting"
                job.progress = Decimal(0)
                job.worker = job.lease_ms = None
                job.attempts -= not cause
        self._tell(job)
        return True

    # ------------------------------------------------------------------ the parts of it

    def _takeable(self) -> Select[BacktestJob]:
        lost = and_(BacktestJob.status == "running", BacktestJob.lease_ms < self._clock())
        return select(BacktestJob).where(or_(BacktestJob.status == "waiting", lost))

    def _taken(self, session: Session, given_up: list[BacktestJob]) -> BacktestJob | None:
        """Return the next one, locked; those whose attempts are used up are failed on the way."""
        other = aliased(BacktestJob)
        last_turn = (
            select(func.coalesce(func.max(other.started_ms), 0))
            .where(other.owner_id == BacktestJob.owner_id)
            .scalar_subquery()
        )
        query = (
            self._takeable()
            .order_by(last_turn, BacktestJob.created_ms, BacktestJob.id)
            .limit(1)
            .with_for_update(skip_locked=True, of=BacktestJob)
        )
        while (job := session.scalars(query).first()) is not None:
            if job.attempts < self._limits.attempts:
                return job
            self._end(job, "failed", self._given_up("its worker was not heard of any more"))
            given_up.append(job)
            session.flush()
        return None

    def _given_up(self, cause: str) -> str:
        return (
            f"backtest: was begun {self._limits.attempts} times, at last {cause}; make it smaller, "
            "or ask whoever runs this service"
        )

    def _end(self, job: BacktestJob, status: Status, error: str = "") -> None:
        job.status = status
        job.error = error.replace("\0", "\N{REPLACEMENT CHARACTER}")[:_MAX_ERROR]
        job.ended_ms = self._clock()
        job.worker = job.lease_ms = None

    def _owned(self, session: Session, job_id: str, caller: Caller) -> BacktestJob:
        job = _seen(session, job_id, caller, is_locked=True)
        _owner(caller)
        return job

    def _check_quota(self, session: Session, owner_id: str) -> None:
        # Whoever else asks for the same user waits here, and then counts this one, too.
        session.scalars(select(User.id).where(User.id == owner_id).with_for_update()).one()
        count = select(func.count()).where(BacktestJob.owner_id == owner_id)
        unfinished = session.scalar(count.where(BacktestJob.status.in_(_UNFINISHED))) or 0
        if unfinished >= self._limits.unfinished:
            raise ConflictError(
                f"backtests: {unfinished} of yours wait or run, which is as many as may; cancel "
                "one, or wait"
            )
        if (session.scalar(count) or 0) >= self._limits.kept:
            raise ConflictError(
                f"backtests: you have {self._limits.kept}, as many as are kept; delete some"
            )

    def _tell(self, job: BacktestJob) -> None:
        data = {
            "kind": "backtest",
            "id": job.id,
            "name": job.name,
            "status": job.status,
            "progress": float(job.progress),
            "error": job.error,
        }
        self._events.publish("status", data, owner_id=job.owner_id)


def _owner(caller: Caller) -> str:
    return caller.owner_of("backtests", "to run or change a backtest")


def _visible_to(caller: Caller) -> ColumnElement[bool]:
    return true() if caller.is_admin else BacktestJob.owner_id == caller.user_id


def _seen(session: Session, job_id: str, caller: Caller, *, is_locked: bool = False) -> BacktestJob:
    query = select(BacktestJob).where(BacktestJob.id == job_id, _visible_to(caller))
    if is_locked:
        query = query.with_for_update()
    found = session.scalars(query).first()
    if found is None:
        raise NotFoundError(f"backtest {job_id!r}: there is none")
    return found


def _held(session: Session, claim: Claim) -> BacktestJob | None:
    """Return what a worker has, locked; None: it has it no longer."""
    query = (
        select(BacktestJob)
        .where(
            BacktestJob.id == claim.id,
            BacktestJob.worker == claim.worker,
            BacktestJob.status == "running",
        )
        .options(*_LEAN)
        .with_for_update()
    )
    return session.scalars(query).first()
