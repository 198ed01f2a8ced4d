"""Brings a host up: its process, its candles, the present, and then it takes part."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import ray

from actors.cluster import spawn
from actors.core import Core
from actors.host_calls import HostCalls
from actors.host_spec import HostSpec, Prepared
from actors.members import HostProcess, Member
from actors.pool import StrategyHost
from actors.requests import Begin, CatchUp, GoLive, Hello, Recover, Request
from actors.services import ServiceAwayError, call
from actors.strategy import StrategyActor
from actors.wire import Endpoints
from engine.config import RunConfig
from engine.errors import ChorusError, start_failure
from engine.instance import Status
from engine.money import instruments_by_symbol

__all__ = ["START_TIMEOUT_S", "Starter", "streams_of"]

PREPARE_TIMEOUT_S = 60.0
"""For loading strategy types and building instances."""

START_TIMEOUT_S = 300.0
"""For living through the past, too, which may be long."""

POLL_S = 0.02
HELLO_AGAIN_S = 1.0

T = TypeVar("T")


class Starter:
    """Leads hosts from nothing to the present; holds nothing of any of them.

    Several threads may bring up a host each.

    Args:
        config: The run.
        endpoints: The engine's data plane.
        folder: Private folder of the engine.
        state: Folder of the run for what outlives processes.
        namespace: Ray's namespace for the names of actors.
        calls: What is asked of hosts.
        core: Returns market data and the order manager.
        member: Returns a strategy by its id.
    """

    def __init__(
        self,
        config: RunConfig,
        *,
        endpoints: Endpoints,
        folder: str,
        state: str,
        namespace: str,
        calls: HostCalls,
        core: Callable[[], Core],
        member: Callable[[str], Member],
    ) -> None:
        self._config = config
        self._endpoints = endpoints
        self._folder = folder
        self._state = state
        self._namespace = namespace
        self._calls = calls
        self._core = core
        self._member = member
        # A turn is short. Nobody waits for a host that starts, so that it may take longer there.
        self._turn_timeout_s = 2 * config.arbitration.window_ms / 1000

    def bring_up(self, host: HostProcess) -> None:
        """Start a process and lead it to the present; if that fails, it ends and says why.

        Runs in a thread of its own: living through the past may take minutes.
        """
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

    # ------------------------------------------------------------------ its process

    def _start_process(self, host: HostProcess) -> bool:
        """Start a process; tell whether it was worth it."""
        is_empty = not host.carried
        core = self._core()
        host.actor = spawn(
            StrategyActor if host.kind == "dedicated" else StrategyHost,
            self._spec_of(host, core),
            core.market.handle,
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
        host.streams = streams_of(map(self._member, host.carried))
        return is_empty or bool(host.carried)

    def _spec_of(self, host: HostProcess, core: Core) -> HostSpec:
        config = self._config
        return HostSpec(
            host=host.id,
            start=host.start,
            strategies=tuple(self._member(name).spec(config) for name in host.carried),
            instruments=instruments_by_symbol(config.instruments),
            uncovered=core.facts.uncovered,
            endpoints=self._endpoints,
            folder=self._folder,
            state=self._state,
        )

    def _could_not_build(self, host: HostProcess, name: str, cause: str) -> None:
        if name in host.carried:
            del host.carried[name]
        self._member(name).set_aside(Status.ERROR, cause)

    # ------------------------------------------------------------------ being connected

    def _subscribe(self, host: HostProcess) -> None:
        if host.streams:
            call(self._core().market.handle.subscribe.remote(host.id, host.streams))

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
                self._calls.ask(host, Hello())
                hello_at = now + HELLO_AGAIN_S
            time.sleep(POLL_S)

    def _has_met(self, host: HostProcess) -> bool:
        core = self._core()
        return host.name in call(core.market.handle.attached.remote()) and bool(
            call(core.orders.handle.has_met.remote(host.id, host.start))
        )

    # ------------------------------------------------------------------ taking part

    def _let_take_part(self, host: HostProcess) -> None:
        """Recover what took part before, and let the rest join."""
        core = self._core()
        orders = core.orders.handle
        host.reign = core.reign
        _, known = call(orders.members.remote()).get(host.id, (0, []))
        if known:
            _require_wanted(host)
            epoch = host.next_epoch()
            past = call(orders.rejoin.remote(host.id, epoch))
            self._calls.ask(host, Recover(epoch, host.reign, past), timeout_s=START_TIMEOUT_S)
        new = [name for name in host.carried if name not in known]
        if new:
            call(orders.register.remote([self._member(name).registration() for name in new]))
            self.join(host, new)

    def join(self, host: HostProcess, names: Sequence[str]) -> None:
        """Bring instances a host has built up to the present, then let them take part.

        Nobody waits for them before they join, so however long their history is, the others go on;
        what is left to live through after joining is what they did meanwhile.

        Raises:
            ServiceAwayError: Its process has ended or was ended, or a service is away.
            ChorusError: The host refused, or did not answer in time.
        """
        orders = self._core().orders.handle
        self._in_turns(host, names, Begin)
        decided, events = call(orders.past.remote(list(names)))
        self._in_turns(
            host, names, lambda left: CatchUp(decided, {name: events[name] for name in left})
        )
        streams = {name: self._member(name).config.streams for name in names}
        _require_wanted(host)
        epoch = host.next_epoch()
        live_from, events = call(orders.join.remote(host.id, epoch, streams))
        if host.state == "ended":  # while this was under way
            call(orders.leave.remote(host.id, list(names), host.cause))
            return
        paused = [name for name in names if self._member(name).wanted == "paused"]
        live = GoLive(epoch, host.reign, live_from, events, paused)
        self._calls.ask(host, live, timeout_s=START_TIMEOUT_S)

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
            left = self._calls.ask(host, request(left), timeout_s=self._turn_timeout_s).left

    def _running(self, host: HostProcess) -> None:
        if host.state != "starting":
            return
        host.running_since = time.monotonic()
        host.state = "running"
        # In this order: whoever opens a new order manager either finds it running, or is found.
        core = self._core()
        if host.reign != core.reign:
            self._calls.repeat(host, core.reign)


def streams_of(members: Iterable[Member]) -> tuple[str, ...]:
    """Return what a host of these strategies subscribes to, each stream once."""
    return tuple(dict.fromkeys(stream for member in members for stream in member.config.streams))


def _require_wanted(host: HostProcess) -> None:
    """Check that a host was not ended while it was being brought up.

    Raises:
        ServiceAwayError: It was.
    """
    if host.state == "ended":
        raise ServiceAwayError(f"host {host.id!r}: was ended: {host.cause}")
