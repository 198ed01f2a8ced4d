"""What the manager knows of every strategy and of every host."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Literal

import ray
from msgspec.structs import replace
from ray.exceptions import RayActorError, RayTaskError

from actors.processes import unique_memory
from actors.requests import StrategySpec
from actors.services import failure_text
from actors.wire import first_epoch, start_name, start_of
from engine.config import AccountConfig, Isolation, RunConfig, StrategyConfig
from engine.instance import Status
from engine.report import StrategyOutcome
from engine.status import StrategyStatus, idle_status
from engine.supervision import ActualHost, ActualStrategy, DesiredStrategy
from engine.trading import Registration

__all__ = ["HostProcess", "Member", "unwritten_states"]

Wanted = Literal["running", "paused", "stopped"]

WEIGH_EVERY_S = 2.0

_STATUSES = {str(status): status for status in Status}


class Member:
    """One strategy.

    Attributes:
        config: The strategy.
        plugin_file: File its type is loaded from.
        isolation: Where it belongs.
        account: Where it trades; None: on the account of the run that it names.
        parameters: Those it was told last, as far as it has confirmed them; those of `config` until
            they are changed live.
        is_unsure: It may have others: it was told so, or is about to be, and has not confirmed it.
        turn: Held by whoever asks something of it on behalf of an operator.
        generation: Of its deployment, raised by whoever wants it started afresh.
        wanted: What the operator wants of it; None where it cannot run (no data, disabled).
        version: Raised by a restart.
        started: Version its instance was started with; 0 before the first start.
        failure: Why it is in no host although it is wanted; empty otherwise.
        status: The newest status heard.
        outcome: What it knew when it was taken out of its host; None while it is in one.
    """

    def __init__(
        self,
        config: StrategyConfig,
        plugin_file: str,
        isolation: Isolation,
        *,
        account: AccountConfig | None = None,
    ) -> None:
        self.config = config
        self.plugin_file = plugin_file
        self.isolation = isolation
        self.account = account
        self.parameters = dict(config.parameters)
        self.is_unsure = False
        self.turn = threading.Lock()
        self.generation = 0
        self.wanted: Wanted | None = None
        self.version = 1
        self.started = 0
        self.failure = ""
        self.status = idle_status(config)
        self.outcome: StrategyOutcome | None = None
        self._set_aside_as: Status | None = None

    @property
    def id(self) -> str:
        """Return the strategy's id."""
        return self.config.id

    @cached_property
    def text(self) -> str:
        """Return the configuration as JSON."""
        return self.config.model_dump_json(by_alias=True, exclude_unset=True)

    def leave(self) -> None:
        """Note that it takes part no more: what it was told since it joined is forgotten with that.

        When it joins again it is built with the parameters it had.
        """
        self._configure(self.config.model_copy(update={"parameters": dict(self.parameters)}))

    def begin_anew(self, config: StrategyConfig) -> None:
        """Have it started afresh, with another configuration."""
        self._configure(config)
        self.parameters = dict(config.parameters)
        # What is being asked of the version before may get to this one.
        self.is_unsure = self.turn.locked()
        self.version += 1

    def _configure(self, config: StrategyConfig) -> None:
        self.config = config
        self.__dict__.pop("text", None)

    def registration(self) -> Registration:
        """Return what the order manager needs to let it take part."""
        return Registration(self.config, self.account)

    def spec(self, run: RunConfig) -> StrategySpec:
        """Return what a host needs to build its instance."""
        capital = run.capital_of(self.config, self.account)
        return StrategySpec(self.text, self.plugin_file, capital)

    def desired(self) -> DesiredStrategy | None:
        """Return what is wanted of it; None if it cannot run."""
        if self.wanted is None:
            return None
        return DesiredStrategy(self.id, self.wanted, self.isolation, self.version)

    def actual(self) -> ActualStrategy:
        """Return where it stands, as supervision has to know it.

        An instance that is in `error` by its own doing stays in its host, which may have to close
        its positions; to supervision it is as it is wanted. So is one that is being asked
        something: what becomes of it is noted when it has answered.
        """
        if self._set_aside_as is not None:
            return ActualStrategy(self._set_aside_as, self.started)
        heard = _STATUSES.get(self.status.status, Status.CREATED)
        if heard in (Status.ERROR, Status.STOPPED) or self.turn.locked():
            heard = Status.PAUSED if self.wanted == "paused" else Status.RUNNING
        return ActualStrategy(heard, self.started)

    def begin(self) -> None:
        """Note that an instance of the wanted version is about to be started."""
        if self.started != self.version or self._set_aside_as is not None:
            self.status = idle_status(self.config)
        self.started = self.version
        self.failure = ""
        self.outcome = None
        self._set_aside_as = None

    def set_aside(self, status: Status, cause: str) -> None:
        """Note that it is in no host any more, and why."""
        self._set_aside_as = status
        self.failure = "" if status is Status.STOPPED else cause
        self.status = replace(self.status, status=str(status), cause=self.failure, lag=0)

    @property
    def is_set_aside(self) -> bool:
        """Tell whether it was taken out of its host, for good or until a restart."""
        return self._set_aside_as is not None

    def heard(self, status: StrategyStatus) -> None:
        """Keep its newest status."""
        if self._set_aside_as is None:
            self.status = status


class HostProcess:
    """One start of one host.

    Attributes:
        id: Participant id.
        start: Number of this start.
        kind: For one strategy or for many.
        carried: Ids of the strategies in it.
        streams: All it has subscribed to.
        actor: Handle.
        epoch: Under which it speaks.
        state: As supervision sees it.
        cause: Why it ended.
        heard_at: When it last gave a sign of life, or was started; monotonic, seconds.
        running_since: When it began to take part.
        reign: Life of the order manager it took part in first.
        is_found: Found alive by a manager that did not start it.
        is_unverified: Found alive, and has yet to say that it is as the order manager knows it.
        is_stale: It is not: the manager died while it was being changed.
        is_queued: Its turn to start has not come.
        unwritten: Why it could not store states, as last heard; empty if it could.
        has_reported: It has said something to this manager, so it can be written to.
        process: Its process id; 0 if not known.
    """

    def __init__(self, host: str, start: int, kind: Isolation, carried: Iterable[str]) -> None:
        self.id = host
        self.start = start
        self.kind = kind
        # Ordered and quick to look into: there may be thousands.
        self.carried = dict.fromkeys(carried)
        self.streams: tuple[str, ...] = ()
        self.actor: Any = None
        self.epoch = first_epoch(start)
        self.state: Literal["starting", "running", "ended"] = "starting"
        self.cause = ""
        self.heard_at = self.running_since = time.monotonic()
        self.reign = -1
        self.is_found = False
        self.is_unverified = False
        self.is_stale = False
        self.is_queued = True
        self.has_reported = threading.Event()
        self.unwritten = ""
        self.process = 0
        self._busy_with: str | None = None
        self._busy_since = 0.0
        self._memory_bytes = 0
        self._weighed_at = 0.0
        self._alive: Any = None

    @classmethod
    def adopt(
        cls, actor: Any, host: str, epoch: int, kind: Isolation, carried: Iterable[str]
    ) -> HostProcess:
        """Take over a host that was found alive."""
        found = cls(host, start_of(epoch), kind, carried)
        found.actor, found.epoch = actor, epoch
        found.state, found.is_found = "running", True
        found.is_queued, found.is_unverified = False, True
        found.watch(actor.prepare.remote())
        return found

    @property
    def name(self) -> str:
        """Return the name of this start."""
        return start_name(self.id, self.start)

    @property
    def is_running(self) -> bool:
        """Tell whether it takes part, in a process that lives."""
        return self.state == "running" and not self.has_died()

    def next_epoch(self) -> int:
        """Return a new epoch to speak under."""
        self.epoch += 1
        return self.epoch

    def watch(self, pending: Any) -> None:
        """Watch over the process by a call that does not return while it lives."""
        self._alive = pending

    def has_died(self) -> bool:
        """Tell whether its process has ended."""
        if self.state == "ended":
            return True
        return self._alive is not None and bool(ray.wait([self._alive], timeout=0)[0])

    def end(self, cause: str) -> None:
        """End the process, if it still lives; nobody else is disturbed."""
        if self.state != "ended":
            self.state, self.cause = "ended", cause
            if self.actor is not None:
                ray.kill(self.actor, no_restart=True)

    def look(self) -> None:
        """Note whether the process has ended by itself."""
        if self.state == "ended" or not self.has_died():
            return
        try:
            ray.get(self._alive)
            cause = "its loop ended"
        except (RayTaskError, RayActorError) as error:
            cause = failure_text(error)
        self.end(cause)

    def weigh(self, now: float) -> int:
        """Return how much memory the process uses, in bytes; looks now and then."""
        if self.process and now - self._weighed_at >= WEIGH_EVERY_S:
            self._weighed_at = now
            self._memory_bytes = unique_memory(self.process)
        return self._memory_bytes

    def actual(
        self, *, answered: int, owes_since: float | None, busy_with: str | None
    ) -> ActualHost:
        """Return what supervision has to know.

        Args:
            answered: Newest slice it has answered.
            owes_since: Since when everybody waits for it, monotonic seconds; None if nobody does.
            busy_with: Instance that runs, or ran last.
        """
        now = time.monotonic()
        if busy_with != self._busy_with:
            self._busy_with, self._busy_since = busy_with, now
        since = now if self.is_queued else self.running_since
        waited_since = max(owes_since or 0.0, since)
        return ActualHost(
            id=self.id,
            epoch=self.start,
            kind=self.kind,
            instances=tuple(self.carried),
            state=self.state,
            cause=self.cause,
            answered_slice=answered,
            answered_at=waited_since,
            pinged_at=max(self.heard_at, self.running_since),
            busy_with=busy_with,
            busy_since=None if busy_with is None else self._busy_since,
            memory_bytes=self._memory_bytes,
            waits=owes_since is None,
            is_found=self.is_found,
        )


def unwritten_states(hosts: Sequence[HostProcess]) -> list[str]:
    """Return what is to be said of hosts that could not store states: one notice for all."""
    unwritten = [host for host in hosts if host.unwritten]
    if not unwritten:
        return []
    first = unwritten[0]
    notice = (
        f"{len(unwritten)} of {len(hosts)} hosts could not store states, so after a crash they "
        f"would have come back later; host {first.id!r}: {first.unwritten}"
    )
    return [notice]
