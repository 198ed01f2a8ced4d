"""The hosts: started in waves, brought to the present, changed while they run, ended alone."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import ray

from actors.cluster import spawn
from actors.control import ControlHub, HostReport
from actors.core import Core
from actors.finding import end_hosts_except, find_host
from actors.host_spec import HostSpec, Prepared
from actors.members import HostProcess, Member
from actors.plate import running_on
from actors.pool import StrategyHost
from actors.requests import (
    Admit,
    Begin,
    CatchUp,
    Dismiss,
    GoLive,
    Hello,
    Recover,
    Repeat,
    Reply,
    Request,
)
from actors.said import SaidLines
from actors.services import CONTROL_TIMEOUT_S, ServiceAwayError, call
from actors.strategy import StrategyActor
from actors.wire import Endpoints, first_epoch, start_name, start_of
from engine.config import Isolation, RunConfig
from engine.errors import ChorusError, start_failure
from engine.instance import Status
from engine.money import instruments_by_symbol

__all__ = ["START_TIMEOUT_S", "Fleet"]

WAVE = 8
"""Hosts started at the same time; each costs about half a second of processor time."""

PREPARE_TIMEOUT_S = 60.0
"""For loading strategy types and building instances."""

START_TIMEOUT_S = 300.0
"""For living through the past, too, which may be long."""

POLL_S = 0.02
HELLO_AGAIN_S = 1.0

T = TypeVar("T")


class Fleet:
    """Carries out what the manager decides on hosts; does not decide itself.

    Hosts are started by threads of their own, several at a time; everything else is called by the
    manager under its lock.

    Args:
        config: The run.
        folder: Private folder of the engine, for sockets.
        state: Folder of the run for what outlives processes.
        namespace: Ray's namespace for the names of actors.

    Attributes:
        members: Every strategy, by id.
        hosts: The newest start of every host, by id.
        core: Market data and the order manager.
        endpoints: The engine's data plane.
        is_changed: Something was started, has failed, or is wanted differently since the last
            look at everything.
        restarts: How often each host was started again, although nobody wanted that.
        said: The newest lines of strategies' code.
    """

    core: Core

    def __init__(self, config: RunConfig, folder: str, state: str, namespace: str) -> None:
        self._config = config
        self._folder = folder
        self._state = state
        endpoints = Endpoints.in_folder(Path(folder))
        self.endpoints = endpoints
        self._namespace = namespace
        self._starters = ThreadPoolExecutor(max_workers=WAVE, thread_name_prefix="start")
        self._changed = threading.Event()
        self.is_changed = True
        self.members: dict[str, Member] = {}
        self.hosts: dict[str, HostProcess] = {}
        self.restarts: Counter[str] = Counter()
        self.said = SaidLines()
        # A turn is short. Nobody waits for a host that starts, so that it may take longer there.
        self._turn_timeout_s = 2 * config.arbitration.window_ms / 1000
        self._control = ControlHub(endpoints, self._take_report)

    def _take_report(self, report: HostReport) -> None:
        """Keep what a host says of itself; called by the control thread."""
        host = self.hosts.get(report.host)
        if host is None or host.start != report.start or host.state == "ended":
            return
        host.heard_at = time.monotonic()
        host.has_reported.set()
        if host.is_unverified:
            host.is_unverified = False
            host.is_stale = report.epoch != host.epoch
        for status in report.statuses:
            member = self.members.get(status.id)
            if member is not None and status.id in host.carried:
                member.heard(status)
        for line in report.lines:
            self.said.append(line)

    def wait_for_change(self, timeout_s: float) -> None:
        """Wait until something has been started or has failed, or the time is over."""
        self._changed.wait(timeout_s)
        self._changed.clear()

    def wake(self) -> None:
        """End `wait_for_change`: something is to be looked at."""
        self.is_changed = True
        self._changed.set()

    # ------------------------------------------------------------------ what the core needs

    def living(self) -> list[HostProcess]:
        """Return the hosts whose processes live."""
        return [host for host in list(self.hosts.values()) if not host.has_died()]

    def repeat_all(self, reign: int) -> None:
        """Have everybody that takes part tell a new order manager what it may not know."""
        for host in self.living():
            if host.state == "running":
                self._repeat(host, reign)

    def _repeat(self, host: HostProcess, reign: int) -> None:
        host.reign = reign
        try:
            self.ask(host, Repeat(reign))
        except ServiceAwayError:
            return  # its process has ended: it repeats itself when it is back
        except ChorusError as error:
            host.end(str(error))

    # ------------------------------------------------------------------ talking to a host

    def ask(
        self, host: HostProcess, request: Request, *, timeout_s: float = CONTROL_TIMEOUT_S
    ) -> Reply:
        """Have a host carry out a request between two candles.

        Raises:
            ServiceAwayError: Its process has ended, or a service it needs is away.
            ChorusError: It refused, or did not answer in time.
        """
        deadline = time.monotonic() + timeout_s
        # What is written to somebody who is not connected yet is lost without a word.
        while not host.has_reported.wait(POLL_S):
            if host.has_died():
                raise ServiceAwayError(f"host {host.id!r}: its process has ended")
            if time.monotonic() > deadline:
                raise ChorusError(f"host {host.id!r}: no sign of life within {timeout_s:g} s")
        return self._control.ask(
            host.id, host.start, request, timeout_s=timeout_s, is_gone=host.has_died
        )

    def host_of(self, strategy_id: str) -> HostProcess | None:
        """Return the host that carries a strategy and takes part, None if there is none."""
        for host in list(self.hosts.values()):
            if strategy_id in host.carried and host.state == "running":
                return host
        return None

    # ------------------------------------------------------------------ starting

    def start(self, host_id: str, start: int, kind: Isolation, carried: Iterable[str]) -> None:
        """Start a host with some strategies; it takes part as soon as it knows its past.

        Raises:
            ServiceAwayError: The order manager is away; nothing has been started.
        """
        host = HostProcess(host_id, start, kind, carried)
        self._begin_anew(host.carried)
        self._gather(host)
        self.restarts[host_id] += host_id in self.hosts and self._goes_on(host.carried)
        for name in host.carried:
            self.members[name].begin()
        self.hosts[host_id] = host
        self._starters.submit(self._bring_up, host)

    def _goes_on(self, names: Iterable[str]) -> bool:
        """Tell whether some have begun already, in contrast to being restarted by an operator."""
        members = [self.members[name] for name in names]
        return any(member.started == member.version for member in members)

    def _begin_anew(self, names: Iterable[str]) -> None:
        """Have strategies leave of which another version is to begin."""
        for name in names:
            member = self.members[name]
            if member.started and member.started != member.version:
                for place in self.places_of(name):
                    self.leave(place, [name], f"version {member.version} begins")

    def _gather(self, host: HostProcess) -> None:
        """Let the order manager know who belongs to a host that is about to start.

        What others carried before is this host's from here on; what it carried before and does not
        any more waits under its own name until it is started somewhere.
        """
        orders = self.core.orders.handle
        for place, (_, names) in self._places().items():
            for name in names:
                if place != host.id and name in host.carried:
                    call(orders.move.remote(name, host.id, host.next_epoch()))
                elif place == host.id and name not in host.carried:
                    call(orders.move.remote(name, name, first_epoch(0)))

    def _places(self) -> dict[str, tuple[int, list[str]]]:
        """Return the epoch and the instances of every participant the order manager knows."""
        found: dict[str, tuple[int, list[str]]] = call(self.core.orders.handle.members.remote())
        return found

    def places(self, hosts: Collection[str]) -> dict[str, list[str]]:
        """Return what the order manager takes for parts of some participants."""
        return {place: names for place, (_, names) in self._places().items() if place in hosts}

    def places_of(self, name: str) -> list[str]:
        """Return the participants the order manager takes a strategy for a part of."""
        return [place for place, (_, names) in self._places().items() if name in names]

    def busy_with(self, host: HostProcess) -> str | None:
        """Return the instance that runs in a host, or ran when its process ended."""
        if host.kind == "dedicated":
            return next(iter(host.carried), None)
        return running_on(self._folder, host.name)

    def _bring_up(self, host: HostProcess) -> None:
        """Start a process and lead it to the present; runs in a thread of its own."""
        if host.state == "ended":
            return  # before its turn came
        host.is_queued = False
        host.heard_at = host.running_since = time.monotonic()
        try:
            if not self._start_process(host):
                host.end("nothing to carry")
                return
            self._patiently(host, lambda: self._subscribe(host))
            call(host.actor.attach.remote(), START_TIMEOUT_S)
            host.watch(host.actor.run.remote())
            self._await_met(host)
            self._patiently(host, lambda: self._let_take_part(host))
            self._running(host)
        except ChorusError as error:
            host.look()
            host.end(str(error) if isinstance(error, ServiceAwayError) else start_failure(error))
        except Exception as error:  # noqa: BLE001 - a defect here must not leave a host starting
            host.end(f"{type(error).__name__}: {error}")
        finally:
            self.wake()

    def _start_process(self, host: HostProcess) -> bool:
        """Start a process; tell whether it was worth it."""
        is_empty = not host.carried
        specs = tuple(self.members[name].spec(self._config) for name in host.carried)
        config = self._config
        spec = HostSpec(
            host=host.id,
            start=host.start,
            strategies=specs,
            instruments=instruments_by_symbol(config.instruments),
            uncovered=self.core.facts.uncovered,
            endpoints=self.endpoints,
            folder=self._folder,
            state=self._state,
        )
        host.actor = spawn(
            StrategyActor if host.kind == "dedicated" else StrategyHost,
            spec,
            self.core.market.handle,
            threads=1,
            name=host.name,
            namespace=self._namespace,
            lifetime="detached",
            # The loss of a node is to take few of them; Ray would fill one before the next.
            scheduling_strategy="SPREAD",
        )
        if host.has_died():
            ray.kill(host.actor, no_restart=True)  # it was ended while this was under way
        prepared: Prepared = call(host.actor.prepare.remote(), PREPARE_TIMEOUT_S)
        host.process = prepared.process
        for name, cause in prepared.failures.items():
            self._could_not_build(host, name, cause)
        host.streams = self._streams_of(host.carried)
        return is_empty or bool(host.carried)

    def _could_not_build(self, host: HostProcess, name: str, cause: str) -> None:
        if name in host.carried:
            del host.carried[name]
        self.members[name].set_aside(Status.ERROR, cause)

    def _streams_of(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(s for name in names for s in self.members[name].config.streams))

    def _subscribe(self, host: HostProcess) -> None:
        if host.streams:
            call(self.core.market.handle.subscribe.remote(host.id, host.streams))

    def _patiently(self, host: HostProcess, step: Callable[[], T]) -> T:
        """Carry out a step that may be repeated; wait while market data or orders are away."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                return step()
            except ServiceAwayError:
                if host.has_died() or time.monotonic() > deadline:
                    raise
            time.sleep(POLL_S)

    def _await_met(self, host: HostProcess) -> None:
        """Wait until candles reach the host and the order manager can write to it."""
        deadline = time.monotonic() + START_TIMEOUT_S
        hello_at = time.monotonic() + HELLO_AGAIN_S
        while not self._patiently(host, lambda: self._has_met(host)):
            if host.has_died():
                raise ServiceAwayError("its process has ended")
            now = time.monotonic()
            if now > deadline:
                raise ChorusError("no connection to market data or the order manager")
            if now > hello_at:
                # The order manager it said hello to may be gone.
                self.ask(host, Hello())
                hello_at = now + HELLO_AGAIN_S
            time.sleep(POLL_S)

    def _has_met(self, host: HostProcess) -> bool:
        core = self.core
        return host.name in call(core.market.handle.attached.remote()) and bool(
            call(core.orders.handle.has_met.remote(host.id, host.start))
        )

    def _let_take_part(self, host: HostProcess) -> None:
        """Recover what took part before, and let the rest join."""
        orders = self.core.orders.handle
        host.reign = self.core.reign
        _, known = self._places().get(host.id, (0, []))
        if known:
            self._require_wanted(host)
            epoch = host.next_epoch()
            past = call(orders.rejoin.remote(host.id, epoch))
            self.ask(host, Recover(epoch, host.reign, past), timeout_s=START_TIMEOUT_S)
        new = [name for name in host.carried if name not in known]
        if new:
            call(orders.register.remote([self.members[name].registration() for name in new]))
            self._join(host, new)

    def _join(self, host: HostProcess, names: Sequence[str]) -> None:
        """Bring instances up to the present, then let them take part.

        Nobody waits for them before they join, so however long their history is, the others go on;
        what is left to live through after joining is what they did meanwhile.
        """
        orders = self.core.orders.handle
        self._in_turns(host, names, Begin)
        decided, events = call(orders.past.remote(list(names)))
        self._in_turns(
            host, names, lambda left: CatchUp(decided, {name: events[name] for name in left})
        )
        streams = {name: self.members[name].config.streams for name in names}
        self._require_wanted(host)
        epoch = host.next_epoch()
        live_from, events = call(orders.join.remote(host.id, epoch, streams))
        if host.state == "ended":
            self.leave(host.id, names, host.cause)  # ended while this was under way
            return
        paused = [name for name in names if self.members[name].wanted == "paused"]
        live = GoLive(epoch, host.reign, live_from, events, paused)
        self.ask(host, live, timeout_s=START_TIMEOUT_S)

    def _in_turns(
        self, host: HostProcess, names: Sequence[str], request: Callable[[list[str]], Request]
    ) -> None:
        """Ask again and again, until nobody is left; others in the host go on in between.

        Raises:
            ServiceAwayError: Its process has ended, or a service it needs is away.
            ChorusError: It did not answer in time: the strategy that runs does not return.
        """
        left = list(names)
        while left:
            left = self.ask(host, request(left), timeout_s=self._turn_timeout_s).left

    def _require_wanted(self, host: HostProcess) -> None:
        """Check that a host was not ended while it was being brought up.

        Raises:
            ServiceAwayError: It was.
        """
        if host.state == "ended":
            raise ServiceAwayError(f"host {host.id!r}: was ended: {host.cause}")

    def _running(self, host: HostProcess) -> None:
        if host.state != "starting":
            return
        host.running_since = time.monotonic()
        host.state = "running"
        # In this order: whoever opens a new order manager either finds it running, or is found.
        if host.reign != self.core.reign:
            self._repeat(host, self.core.reign)

    # ------------------------------------------------------------------ changing

    def move(self, name: str, to_host: str) -> None:
        """Carry an instance over to a running host, as it is; one that is in none joins.

        Raises:
            ServiceAwayError: A service is away; what was begun is taken up by supervision.
            ChorusError: It cannot be built or registered; it stays where it is.
        """
        member, target = self.members[name], self.hosts[to_host]
        source = self.host_of(name)
        self._begin_anew([name])
        if not self.places_of(name):
            call(self.core.orders.handle.register.remote([member.registration()]))
        streams = self._streams_of([*target.carried, name])
        call(self.core.market.handle.subscribe.remote(to_host, streams))
        attach_as = f"{target.name}+{time.monotonic_ns()}"
        reply = self.ask(target, Admit([member.spec(self._config)], attach_as))
        if reply.failures:
            raise ChorusError(reply.failures[name])
        try:
            self._await_attached(target, attach_as)
            self._carry_over(member, source, target)
        except ChorusError as error:
            # Half done inside the process; beginning again from the records is always right.
            target.look()
            target.end(f"moving {name!r} to it failed: {error}")
            raise ServiceAwayError(f"host {to_host!r}: has to begin again") from error
        target.streams = streams

    def _carry_over(self, member: Member, source: HostProcess | None, target: HostProcess) -> None:
        name, orders = member.id, self.core.orders.handle
        target.reign = self.core.reign
        if not self.places_of(name):
            member.begin()
            target.carried[name] = None
            self._join(target, [name])
            return
        epoch = target.next_epoch()
        past = call(orders.move.remote(name, target.id, epoch))
        target.carried[name] = None
        if source is not None:
            source.carried.pop(name, None)
            self.ask(source, Dismiss([name]))
        self.ask(target, Recover(epoch, target.reign, past), timeout_s=START_TIMEOUT_S)

    def _await_attached(self, host: HostProcess, name: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while name not in call(self.core.market.handle.attached.remote()):
            if host.has_died() or time.monotonic() > deadline:
                raise ChorusError("no connection to market data")
            time.sleep(POLL_S)

    def leave(self, host_id: str, names: Sequence[str], reason: str) -> None:
        """Let the order manager go on without some instances: nobody waits for them any more.

        Their working entries are cancelled, their protection stays.
        """
        call(self.core.orders.handle.leave.remote(host_id, list(names), reason))

    def dismiss(self, host: HostProcess, name: str) -> None:
        """Take an instance out of a host; one that has become empty is about to be ended."""
        host.carried.pop(name, None)
        if host.kind == "pooled" and not host.has_died():
            self.ask(host, Dismiss([name]))

    def end(self, host: HostProcess, reason: str) -> None:
        """End a host's process and the routes to it."""
        host.end(reason)
        with contextlib.suppress(ServiceAwayError):  # a new one does not know of it
            call(self.core.market.handle.unsubscribe.remote(host.id))

    def take_out_stale(self) -> None:
        """End hosts that were being changed when the manager died; they start again, unblamed."""
        for host in list(self.hosts.values()):
            if host.is_stale:
                host.end("was being changed when the manager died")
                del self.hosts[host.id]
                self.is_changed = True

    # ------------------------------------------------------------------ after the manager's death

    def adopt(self, kinds: Mapping[str, Isolation]) -> None:
        """Find the hosts an earlier life of the manager has started.

        Those that take part are taken over, those that were still starting are ended.

        Args:
            kinds: What the hosts are that exist, by id; unknown ones are dedicated.
        """
        adopted = set()
        for host_id, (epoch, carried) in self._places().items():
            actor = find_host(start_name(host_id, start_of(epoch)), self._namespace)
            if actor is None:
                continue  # it is started again, and nobody is to blame
            kind = kinds.get(host_id, "dedicated")
            host = HostProcess.adopt(actor, host_id, epoch, kind, list(carried))
            host.streams = self._streams_of(carried)
            self.hosts[host_id] = host
            adopted.add(host.name)
        end_hosts_except(adopted, self._namespace)
