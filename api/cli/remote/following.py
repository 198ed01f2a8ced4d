"""Follows the event stream of a service, through connections that break."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
)
from websockets.sync.client import ClientConnection, reconnect

from api.cli.remote.address import Address
from api.cli.remote.errors import AwayError, MissedError, UnknownAnswerError, refusal
from api.cli.remote.keyring import Key
from engine.errors import ChorusError, ConfigError

__all__ = ["Event", "Follower"]

Event = dict[str, Any]

_OPEN_S: Final = 10.0
_HEARTBEATS: Final = 2.5
"""So many without a word, and the connection is lost."""

_SHORTEST_S: Final = 5.0
"""Less than that without a word says nothing."""

_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 10.0
_LARGEST: Final = 2**26

# What is sent holds the key, and websockets logs what it sends.
_silent = logging.Logger("chorus.websockets", level=logging.CRITICAL)  # noqa: LOG001 - of no tree
_silent.addHandler(logging.NullHandler())


class _Straight(reconnect):
    """A connection that goes where it was meant to go: a redirect is an answer like any other."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return what the connection fails with."""
        return exc


class _LostError(Exception):
    """The connection is lost; another one may go on."""


class Follower:
    """One client of the event stream. Use as context manager; used by one thread.

    The first connection has to succeed; later ones are tried until one does, and go on after the
    last event that was seen.

    Args:
        address: Where the service is.
        key: Who asks.
        topics: What is followed.
        strategies: Of events about strategies, only those about these; None: all.
        after: Id of the last event known; None: from now on.
        notice: Takes a line for people when the connection is lost, and back.
        pause: Waits before another try; takes seconds.
    """

    def __init__(
        self,
        address: Address,
        key: Key | None,
        topics: Sequence[str],
        *,
        strategies: Sequence[str] | None = None,
        after: str | None = None,
        notice: Callable[[str], None],
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._address = address
        self._key = key
        self._topics = list(topics)
        self._strategies = None if strategies is None else list(strategies)
        self._after = after
        self._notice = notice
        self._pause = pause
        self._silence_s = 60.0
        self._socket: ClientConnection | None = None
        self._connection = ExitStack()

    def __enter__(self) -> Self:
        """Connect; what happens from now on is not missed.

        Raises:
            RefusedError: The service refuses it.
            AwayError: There is no service.
            UnknownAnswerError: It fails, or is none.
        """
        try:
            self._connect()
        except _LostError as lost:
            raise AwayError(
                f"{self._address.url}: no event stream there ({lost}); start a service with "
                "`chorus up CONFIG`, or give another address with --url or CHORUS_URL"
            ) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self._drop()

    def batches(self, tick_s: float | None = None) -> Iterator[list[Event]]:
        """Yield events as they come, for ever; each once, in order.

        Args:
            tick_s: Yield at least that often, then nothing.

        Raises:
            RefusedError: The service refuses to go on.
            UnknownAnswerError: It is none.
        """
        heard = time.monotonic()
        while True:
            now = time.monotonic()
            try:
                wait_s = heard + self._silence_s - now
                events = self._receive(wait_s if tick_s is None else min(wait_s, tick_s))
            except TimeoutError:
                if tick_s is not None:
                    yield []
            except (_LostError, MissedError) as lost:
                self._return(lost)
                heard = time.monotonic()
            else:
                heard = time.monotonic()
                yield events

    def _receive(self, timeout_s: float) -> list[Event]:
        if timeout_s <= 0:
            raise _LostError(f"silent for {self._silence_s:g} s")
        message = self._hear(timeout_s)
        kind = message.get("type")
        if kind == "events":
            events: list[Event] = message["events"]
            self._after = events[-1]["id"]
            return events
        if kind == "heartbeat":
            self._after = message["id"]
        elif kind == "lost":
            lost = ", ".join(f"{count} {topic}" for topic, count in message["lost"].items())
            self._notice(f"left out, since newer ones have come: {lost}")
        return []

    def _hear(self, timeout_s: float) -> dict[str, Any]:
        if self._socket is None:
            raise _LostError("closed")
        try:
            text = self._socket.recv(timeout_s)
        except (ConnectionClosed, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise self._ended(error) from None
        try:
            message: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError:
            raise self._strange() from None
        if message.get("type") == "error":
            status = message.get("status", 0)
            self._after = message.get("id") or self._after
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
                raise _LostError(message.get("title", "the service ended it"))
            raise refusal(status, text, self._address.url)
        return message

    def _connect(self) -> None:
        try:
            connection = _Straight(
                self._address.stream,
                additional_headers=self._key.headers if self._key else {},
                proxy=None if self._address.is_loopback else True,
                open_timeout=_OPEN_S,
                close_timeout=1.0,
                max_size=_LARGEST,
                logger=_silent,
            )
            self._socket = self._connection.enter_context(connection)
        except InvalidStatus as error:
            raise self._refused(error) from None
        except InvalidURI as error:
            raise ConfigError(f"--url, or CHORUS_URL: {error}") from None
        except InvalidMessage:
            raise _LostError("what answers does not speak HTTP") from None
        except InvalidHandshake:
            raise self._strange() from None
        except OSError as error:  # a timeout is one, too
            raise _LostError(str(error) or "no answer") from None
        self._subscribe(self._socket)

    def _refused(self, error: InvalidStatus) -> ChorusError | _LostError:
        response = error.response
        if response.status_code in {
            HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT,
        }:  # fmt: skip
            return _LostError(f"answered {response.status_code}")
        return refusal(
            response.status_code, bytes(response.body or b""), self._address.url, response.headers
        )

    def _subscribe(self, socket: ClientConnection) -> None:
        """Say what is followed.

        Raises:
            MissedError: It cannot go on after the last event known.
        """
        try:
            if self._key is None:
                # Else the service would wait for a key, and the user for its refusal.
                socket.send('{"type": "hello", "token": ""}')
            welcome = self._hear(_OPEN_S)
            # A service that comes back in between has events already that nobody has seen.
            self._after = self._after or welcome.get("id")
            self._silence_s = max(_SHORTEST_S, _HEARTBEATS * welcome.get("heartbeatS", 15.0))
            wanted = {
                "type": "subscribe",
                "topics": self._topics,
                "strategies": self._strategies,
                "after": self._after,
            }
            socket.send(msgspec.json.encode(wanted).decode())
            while self._hear(_OPEN_S).get("type") != "subscribed":
                pass  # heartbeats
        except TimeoutError:
            raise _LostError("no answer") from None
        except ConnectionClosed as error:
            raise self._ended(error) from None

    def _return(self, lost: Exception) -> None:
        """Connect again, however long that takes."""
        self._notice(f"connection lost ({lost}); trying again")
        pause_s = _PAUSE_S
        while True:
            self._drop()
            before = self._after
            try:
                self._connect()
            except _LostError:
                self._pause(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            except MissedError as error:
                # The service tells the oldest there is; if that is gone by now, go on from now.
                self._notice(f"some events are missing: {error}")
                self._after = self._after if self._after != before else None
            else:
                self._notice("connected again")
                return

    def _drop(self) -> None:
        self._socket = None
        self._connection.close()

    def _ended(self, error: Exception) -> Exception:
        """Return what the end of a connection means, where no message has said so."""
        received = error.rcvd if isinstance(error, ConnectionClosed) else None
        code = received.code if received else 0
        reason = received.reason if received else ""
        if 4400 <= code < 4500 and code != 4408:  # noqa: PLR2004 - 4000 and a status of HTTP
            problem = {"title": "The service ended it", "detail": reason}
            return refusal(code - 4000, msgspec.json.encode(problem), self._address.url)
        return _LostError(reason or str(error) or "closed")

    def _strange(self) -> UnknownAnswerError:
        return UnknownAnswerError(
            f"{self._address.url}: its event stream does not speak as a Chorus of this version "
            "does; look at --url, or at CHORUS_URL"
        )
