"""The hosts: started in waves, changed while they run, ended alone."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from actors.control import HostReport
from actors.core import Core
from actors.finding import end_hosts_except, find_host
from actors.host_calls import HostCalls
from actors.members import HostProcess, Member
from actors.plate import running_on
from actors.requests import Admit, Dismiss, Recover, Reply, Request
from actors.said import SaidLines
from actors.services import CONTROL_TIMEOUT_S, ServiceAwayError, call
from actors.starting import START_TIMEOUT_S, Starter, streams_of
from actors.wire import Endpoints, first_epoch, start_name, start_of
from engine.config import Isolation, RunConfig
from engine.errors import ChorusError

__all__ = ["START_TIMEOUT_S", "Fleet"]

WAVE = 8
"""Hosts started at the same time; each costs about half a second of processor time."""

POLL_S = 0.02


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
        endpoints = Endpoints.in_folder(Path(folder))
        self.endpoints = endpoints
        self._namespace = namespace
        self._start_threads = ThreadPoolExecutor(max_workers=WAVE, thread_name_prefix="start")
        self._changed = threading.Event()
        self.is_changed = True
        self.members: dict[str, Member] = {}
        self.hosts: dict[str, HostProcess] = {}
        self.restarts: Counter[str] = Counter()
        self.said = SaidLines()
        self._calls = HostCalls(endpoints, self._take_report)
        self._starter = Starter(
            config,
            endpoints=endpoints,
            folder=folder,
            state=state,
            namespace=namespace,
            calls=self._calls,
            core=lambda: self.core,
            member=lambda name: self.members[name],
        )

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
                self._calls.repeat(host, reign)

    # ------------------------------------------------------------------ talking to a host

    def ask(
        self, host: HostProcess, request: Request, *, timeout_s: float = CONTROL_TIMEOUT_S
    ) -> Reply:
        """Have a host carry out a request between two candles.

        Raises:
            ServiceAwayError: Its process has ended, or a service it needs is away.
            ChorusError: It refused, or did not answer in time.
        """
        return self._calls.ask(host, request, timeout_s=timeout_s)

    def post(self, host: HostProcess, request: Request) -> Future[Reply]:
        """Have a host carry out a request, without waiting for it; see `ControlHub.post`."""
        return self._calls.post(host, request)

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
        self._start_threads.submit(self._bring_up, host)

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
        """Bring a host up and have its end or success looked at; one of the starting threads."""
        if host.state == "ended":
            return  # before its turn came
        try:
            self._starter.bring_up(host)
        finally:
            self.wake()

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
        streams = streams_of(self.members[each] for each in (*target.carried, name))
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
            self._starter.join(target, [name])
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
        """Take an instance out of a host; one that has become empty is about to be ended.

        Nobody waits for it: the order manager has let the instance go, so whatever it does until
        then counts for nothing, and the host lets it go before it carries out anything later, the
        admission of the same strategy for instance. A host that hangs is ended by supervision.
        """
        host.carried.pop(name, None)
        if host.kind == "pooled":
            self.post(host, Dismiss([name])).cancel()

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
            host.streams = streams_of(self.members[name] for name in carried)
            self.hosts[host_id] = host
            adopted.add(host.name)
        end_hosts_except(adopted, self._namespace)
