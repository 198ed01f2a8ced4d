"""The manager's requests to hosts."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future

from actors.control import ControlHub, HostReport
from actors.members import HostProcess
from actors.requests import Repeat, Reply, Request
from actors.services import CONTROL_TIMEOUT_S, ServiceAwayError
from actors.wire import Endpoints
from engine.errors import ChorusError

__all__ = ["HostCalls"]

POLL_S = 0.02


class HostCalls:
    """Has hosts carry out requests; any thread may ask.

    Args:
        endpoints: The engine's data plane.
        on_report: Called by a thread of its own with whatever a host says of itself.
    """

    def __init__(self, endpoints: Endpoints, on_report: Callable[[HostReport], None]) -> None:
        self._hub = ControlHub(endpoints, on_report)

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
        return self._hub.ask(
            host.id, host.start, request, timeout_s=timeout_s, is_gone=host.has_died
        )

    def post(self, host: HostProcess, request: Request) -> Future[Reply]:
        """Have a host carry out a request, without waiting for it; see `ControlHub.post`."""
        return self._hub.post(host.id, host.start, request)

    def repeat(self, host: HostProcess, reign: int) -> None:
        """Have one that takes part tell a new order manager what it may not know.

        One that does not is ended; it takes part again when it is back.
        """
        host.reign = reign
        try:
            self.ask(host, Repeat(reign))
        except ServiceAwayError:
            return  # its process has ended: it repeats itself when it is back
        except ChorusError as error:
            host.end(str(error))
