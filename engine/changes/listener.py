"""The thread that hears what is said on a channel of Redis."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import redis

from engine.redis_client import said_of

__all__ = ["ChannelListener"]

_log = logging.getLogger(__name__)

_TURN_S: Final = 0.25
"""How long closing may have to wait."""

_FIRST_RETRY_S: Final = 0.1
_LAST_RETRY_S: Final = 2.0


class ChannelListener:
    """Listens to a channel, again and again: Redis may go away and come back.

    Args:
        client: Of Redis.
        channel: Name of the channel.
        heard: Called with each message, by the listener's own thread.
        resumed: Called by it when listening has begun, at first and again. What was said before may
            have been missed; what is said from then on will be heard.
        patience_s: After so long without a word Redis is asked for one; after twice as long it is
            taken for gone.
    """

    def __init__(
        self,
        client: Any,
        channel: str,
        *,
        heard: Callable[[bytes], None],
        resumed: Callable[[], None],
        patience_s: float,
    ) -> None:
        self._client = client
        self._channel = channel
        self._heard = heard
        self._resumed = resumed
        self._patience_s = patience_s
        self._pause_s = _FIRST_RETRY_S
        self._is_away = False
        self._closing = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="chorus-change-listener", daemon=True
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """End."""
        self._closing.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                # A new one each time: the client's own would subscribe again without a word.
                with self._client.pubsub() as subscription:
                    subscription.subscribe(self._channel)
                    self._listen(subscription)
            except Exception as error:  # noqa: BLE001 - the loop of a thread; all is logged
                if not self._is_away:
                    said = said_of(self._client, error)
                    _log.warning("changes: of other processes not heard at once: %s", said)
                self._is_away = True
                self._closing.wait(self._pause_s)
                self._pause_s = min(2 * self._pause_s, _LAST_RETRY_S)

    def _listen(self, subscription: Any) -> None:
        """Listen until it is closed.

        Raises:
            redis.RedisError: The connection is lost, or nothing comes over it any more.
        """
        turn_s = min(_TURN_S, self._patience_s)
        last_s, has_asked = time.monotonic(), False
        while not self._closing.is_set():
            message = subscription.get_message(timeout=turn_s)
            silent_s = time.monotonic() - last_s
            if message is not None:
                last_s, has_asked = time.monotonic(), False
                self._take(message)
            elif silent_s > 2 * self._patience_s:
                raise redis.TimeoutError(f"no answer for {silent_s:.1f} s")
            elif silent_s > self._patience_s and not has_asked:
                subscription.ping()
                has_asked = True

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            if self._is_away:
                _log.warning("changes: of other processes heard again")
            self._is_away, self._pause_s = False, _FIRST_RETRY_S
            self._resumed()
        elif message["type"] == "message":
            self._heard(message["data"])
