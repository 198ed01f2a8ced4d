"""Changes told among processes, over a channel of Redis."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

import redis

from engine.changes.change import EVERYTHING, Change, Kind, read_change
from engine.changes.changes import Listening
from engine.changes.listener import ChannelListener
from engine.changes.local import LocalChanges
from engine.changes.sender import ChangeSender
from engine.errors import ChorusError, DataError
from engine.redis_client import redis_client, said_of

__all__ = ["RedisChanges"]

_log = logging.getLogger(__name__)

_CONNECT_WITHIN_S: Final = 2.0


class RedisChanges:
    """As `Changes`: what is published here is told here at once, and to others by ``PUBLISH``.

    Redis keeps nothing of it. Whoever was not connected is told that everything may have changed as
    soon as it is. Redis may be away: what was changed is on record, and is told here all the same.

    Args:
        url: Address, ``redis://``, ``rediss://`` or ``unix://``. Its password is never told.
        now_ms: Tells the time, in milliseconds since 1970.
        name: What the channel's name begins with.
        patience_s: How long Redis may take for an answer.

    Attributes:
        channel: Name of the channel. The number of the database is in it: to Redis, which has
            channels beside its databases, those of two installations would be the same.

    Raises:
        ConfigError: The address is not usable.
    """

    def __init__(
        self,
        url: str,
        *,
        now_ms: Callable[[], int],
        name: str = "chorus:changes",
        patience_s: float = 5.0,
    ) -> None:
        self._client = redis_client(
            url,
            subject="changes",
            connect_within_s=min(_CONNECT_WITHIN_S, patience_s),
            answer_within_s=patience_s,
        )
        self.channel = f"{name}:{self._client.connection_pool.connection_kwargs.get('db', 0)}"
        self._local = LocalChanges(now_ms)
        self._lock = threading.Lock()
        self._is_listening = False
        self._has_complained = False
        self._listener = ChannelListener(
            self._client,
            self.channel,
            heard=self._take,
            resumed=lambda: self._local.publish(EVERYTHING),
            patience_s=patience_s,
        )
        self._sender = ChangeSender(self._send, lambda: self._local.change(EVERYTHING))

    def publish(self, kind: Kind, object_id: str = "", version: int | None = None) -> None:
        """Tell a change that is on record; see `Changes`."""
        change = self._local.change(kind, object_id, version)
        self._local.tell(change)
        self._sender.put(change)

    def listen(self, heard: Callable[[Change], None]) -> Listening:
        """Have changes told; see `Changes`."""
        listening = self._local.listen(heard)
        with self._lock:
            if not self._is_listening:
                self._listener.start()
            self._is_listening = True
        return listening

    def close(self, timeout_s: float = 5.0) -> None:
        """Tell what waits to be told, if that can be done now, and end.

        Args:
            timeout_s: How long each of the two threads may take.
        """
        self._sender.close(timeout_s)
        with self._lock:
            if self._is_listening:
                self._listener.close(timeout_s)
        self._local.close()
        self._client.close()

    def _send(self, change: Change) -> None:
        try:
            self._client.publish(self.channel, change.text())
        except redis.RedisError as error:
            raise ChorusError(said_of(self._client, error)) from None

    def _take(self, text: bytes) -> None:
        try:
            change = read_change(text)
        except DataError as error:
            if not self._has_complained:
                _log.warning(
                    "changes: what somebody says on %s is left out, from now on without a word: %s",
                    self.channel,
                    error,
                )
            self._has_complained = True
            return
        if change.origin != self._local.origin:  # that was told when it was published
            self._local.tell(change)
