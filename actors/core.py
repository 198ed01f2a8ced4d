"""Market data and the order manager: the two services every host needs, kept alive."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import ray
from ray.exceptions import RayActorError, RayTaskError

from actors.market_data import MarketFacts, MarketProgress
from actors.order_manager import ORDER_MANAGER
from actors.progress import DecisionProgress
from actors.services import ServiceAwayError, call, failure_text
from actors.wire import start_name
from engine.errors import ChorusError

__all__ = ["LONGEST_ABSENCE_S", "Core", "Service", "Subscriber"]

OPEN_TIMEOUT_S = 120.0
ATTACH_TIMEOUT_S = 15.0
PROCESS_TIMEOUT_S = 2.0
ATTACH_POLL_S = 0.02

LONGEST_ABSENCE_S = 60.0
"""A service that has not come back after this will not."""

MAX_STRIKES = 3
"""Deaths of a service at one slice after which it is given up."""


class Subscriber(Protocol):
    """A host, as far as the services are concerned."""

    id: str
    streams: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the name it attaches under."""
        ...

    @property
    def is_running(self) -> bool:
        """Tell whether it takes part, in a process that lives."""
        ...

    def end(self, cause: str) -> None:
        """End its process."""
        ...


class Service:
    """An actor that Ray starts again when its process dies, and that then has to be opened.

    Attributes:
        title: For messages.
        handle: The actor.
        is_open: It knows its past and answers.
        is_ready: Everybody is connected to it.
        restarts: How often its process has died.
    """

    def __init__(self, title: str, handle: Any) -> None:
        self.title = title
        self.handle = handle
        self.is_open = False
        self.is_ready = False
        self.restarts = 0
        self._process = 0
        self._ended: Any = None
        self._away_since = time.monotonic()
        self._strikes = 0
        self._struck_at = -2

    def opened(self) -> None:
        """Note that it is open; from here on its end is noticed."""
        self.is_open = True
        self._ended = self.handle.ended.remote()

    def run(self) -> None:
        """Start the loop of a process that has just been opened."""
        self.handle.run.remote()
        self.opened()

    def process(self) -> int:
        """Return its process id; 0 while it is away. Asks it once per life."""
        if not self._process and self.is_open:
            with contextlib.suppress(ChorusError):
                self._process = call(self.handle.process.remote(), PROCESS_TIMEOUT_S)
        return self._process

    def look(self, decided: int) -> None:
        """Note whether its process has died.

        Args:
            decided: Newest slice decided, so far as is known.

        Raises:
            ChorusError: It failed by itself, died again and again, or stays away.
        """
        if self.is_open and ray.wait([self._ended], timeout=0)[0]:
            try:
                ray.get(self._ended)
                raise ChorusError(f"{self.title} ended: its loop came to an end")
            except RayTaskError as error:
                raise ChorusError(f"{self.title} ended: {failure_text(error)}") from error
            except RayActorError as error:
                self._lost(decided, failure_text(error))
        if not self.is_open and time.monotonic() - self._away_since > LONGEST_ABSENCE_S:
            raise ChorusError(
                f"{self.title}: has not come back within {LONGEST_ABSENCE_S:g} s; see Ray's logs"
            )

    def _lost(self, decided: int, cause: str) -> None:
        self.is_open = self.is_ready = False
        self._process = 0
        self.restarts += 1
        self._away_since = time.monotonic()
        self._strikes = self._strikes + 1 if decided == self._struck_at else 1
        self._struck_at = decided
        if self._strikes >= MAX_STRIKES:
            raise ChorusError(f"{self.title} ended {self._strikes} times at one slice: {cause}")

    def has_died(self) -> bool:
        """Tell whether its process has died since it was opened."""
        return bool(ray.wait([self._ended], timeout=0)[0])


class Core:
    """Opens the two services, connects everybody to them, and does so again after a death.

    One thread looks after it; `progress`, `feed` and `reign` may be read from any.

    Args:
        market: The MarketData actor.
        orders: The OrderManager actor.
        subscribers: Returns the hosts whose processes live.
        repeat_all: Has every running host tell a new order manager what it may not know.

    Attributes:
        progress: How far deciding has come, as last heard.
        feed: How far publishing has come, as last heard.
        facts: What the market serves; nothing until it was opened.
        reign: Number of the order manager's present life.
        has_begun: Candles flow.
    """

    def __init__(
        self,
        market: Any,
        orders: Any,
        *,
        subscribers: Callable[[], Sequence[Subscriber]],
        repeat_all: Callable[[int], None],
    ) -> None:
        self.market = Service("market data", market)
        self.orders = Service("order manager", orders)
        self._subscribers = subscribers
        self._repeat_all = repeat_all
        self.progress = DecisionProgress.none()
        self.feed = MarketProgress(published=-1, finished=False, failed="")
        self.facts = MarketFacts.none()
        self.reign = -1
        self.has_begun = False
        self._flows = False
        self._is_draining = False

    @property
    def is_ready(self) -> bool:
        """Tell whether both services are there for everybody."""
        return self.market.is_ready and self.orders.is_ready

    def open(self) -> None:
        """Open the services; one that an earlier life of the manager has opened is taken over.

        Raises:
            ServiceAwayError: One is away at this moment; call again.
            ChorusError: One cannot be opened.
        """
        self._note_deaths()
        if not self.market.is_open:
            state = call(self.market.handle.introduce.remote())
            if state is not None:
                self.facts, self._flows, self._is_draining = state
                self.has_begun = self._flows
                self.market.opened()
        if not self.orders.is_open:
            reign = call(self.orders.handle.introduce.remote())
            if reign is not None:
                self.reign = reign
                self.orders.opened()
        self._open_missing()

    def _note_deaths(self) -> None:
        for service in (self.market, self.orders):
            service.look(self.progress.decided)

    def _open_missing(self) -> None:
        if not self.market.is_open:
            self._flows = False
            self.facts = call(self.market.handle.open.remote(), OPEN_TIMEOUT_S)
            self.market.run()
        if not self.orders.is_open:
            self.reign = call(
                self.orders.handle.open.remote(self.facts.base_streams, self.progress.stretch),
                OPEN_TIMEOUT_S,
            )
            self.orders.run()

    def look_after(self) -> None:
        """Ask how far things are; bring back what has died.

        Raises:
            ServiceAwayError: One is away at this moment; call again.
            ChorusError: One failed for good: it would fail again.
        """
        self._note_deaths()
        self._open_missing()
        if not self.is_ready:
            self._connect_up()
        self.feed = call(self.market.handle.progress.remote())
        self.progress = call(self.orders.handle.progress.remote())
        if self.feed.failed:
            raise ChorusError(f"market data ended: {self.feed.failed}")

    def _connect_up(self) -> None:
        """Let everybody find the services that are new, and tell those what they missed."""
        market, orders = self.market.handle, self.orders.handle
        if not self.market.is_ready:
            for host in filter(lambda each: each.streams, self._subscribers()):
                call(market.subscribe.remote(host.id, host.streams))
        self._await_attached()
        if not self.orders.is_ready:
            if self._flows:
                call(orders.catch_up.remote(), OPEN_TIMEOUT_S)
            self._repeat_all(self.reign)
        if not self._flows and self.has_begun:
            self._publish()
        self.market.is_ready = self.orders.is_ready = True
        # Whoever was waited for has the full time again.
        call(orders.be_patient.remote())

    def _await_attached(self) -> None:
        """Wait until the subscriptions of all that take part are in force.

        Whoever hangs in its own code does not subscribe again: its process is ended.
        """
        deadline = time.monotonic() + ATTACH_TIMEOUT_S
        while True:
            present = {host.name: host for host in self._subscribers() if host.is_running}
            own = start_name(ORDER_MANAGER, self.reign)
            absent = {own, *present} - call(self.market.handle.attached.remote())
            if not absent:
                return
            if self.orders.has_died():
                raise ServiceAwayError("order manager: its process has ended again")
            if time.monotonic() > deadline:
                if own in absent:
                    raise ChorusError("order manager: no connection to market data")
                for name in absent:
                    present[name].end(f"did not connect to market data in {ATTACH_TIMEOUT_S:g} s")
            time.sleep(ATTACH_POLL_S)

    def begin(self) -> None:
        """Let candles flow, from where deciding has come to."""
        self._publish()
        self.has_begun = True

    def _publish(self) -> None:
        decided, known = call(self.orders.handle.frontier.remote())
        if self._is_draining:
            call(self.market.handle.drain.remote())
        call(self.market.handle.begin.remote(decided + 1, known))
        self._flows = True

    def drain(self) -> None:
        """Publish no more; what is published is still decided.

        Market data that is away hears it when it is back.
        """
        self._is_draining = True
        with contextlib.suppress(ServiceAwayError):
            call(self.market.handle.drain.remote())
