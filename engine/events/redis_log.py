"""An event log for many processes, as one stream of Redis (6.2 or later)."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import redis

from engine.errors import ConfigError
from engine.events.errors import EventLogError, EventLogUnavailableError, EventsLostError
from engine.events.event import Draft, Event, check_id, event_id, make_draft
from engine.events.log import EventLogHealth
from engine.events.writer import EventWriter
from engine.redis_client import redis_client, said_of

__all__ = ["RedisEventLog"]

_DAY_MS: Final = 24 * 3600 * 1000
_CONNECT_WITHIN_S: Final = 2.0
_ANSWER_WITHIN_S: Final = 5.0
_BLOCK_S: Final = 1.0
_RETRY_S: Final = 0.1

# The id of the newest entry, also when no entry is left. A stream that is not there is begun with
# an id of its own time, so that one that was lost with its server is not taken for the same log.
_LAST = """
local function last(key)
  if redis.call('EXISTS', key) == 0 then
    local id = redis.call('XADD', key, '*', 'begin', '')
    redis.call('XDEL', key, id)
    return id
  end
  local info = redis.call('XINFO', 'STREAM', key)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return info[i + 1] end
  end
end
"""

# Each entry holds the id of the one before it: a reader sees whether something is missing between
# what it knows and what it gets. What a writer sends again after a lost answer is left out.
_WRITE = """
local done = tonumber(redis.call('GET', KEYS[2]) or '0')
local first, keep_events, keep_ms = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local previous = last(KEYS[1])
for i = 4, #ARGV do
  if first + i - 4 > done then
    previous = redis.call('XADD', KEYS[1], '*', 'event', ARGV[i], 'previous', previous)
  end
end
local now = redis.call('TIME')
local oldest = now[1] * 1000 + math.floor(now[2] / 1000) - keep_ms
redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', oldest))
redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', keep_events)
redis.call('SET', KEYS[2], string.format('%.0f', first + #ARGV - 4), 'PX', ARGV[3])
"""

# One text per entry: parts would take the client more than twice the time to receive.
_READ = """
local found = {last(KEYS[1])}
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])) do
  local fields = entry[2]
  found[#found + 1] = table.concat({entry[1], fields[4] or '', fields[2]}, ' ')
end
return found
"""

_NEWEST = "return last(KEYS[1])"


class RedisEventLog:
    """Keeps the events of all processes in Redis, as an `EventLog`.

    As durable as its Redis: with `appendonly yes` and `appendfsync everysec` a crash of the server
    may take the last second. Redis going away for a while costs nothing (see `EventWriter`).

    Args:
        url: Address, ``redis://``, ``rediss://`` or ``unix://``. Its password is never told.
        now_ms: Tells the time, in milliseconds since 1970.
        name: Name of the log; logs of different names do not know each other.
        keep_ms: How long events are kept, by the clock of Redis.
        keep_events: How many at most. A few hundred more of both may be kept.
        capacity: Events that wait in this process while Redis cannot be reached.

    Raises:
        EventLogError: The address is not usable.
    """

    def __init__(
        self,
        url: str,
        *,
        now_ms: Callable[[], int],
        name: str = "chorus:events",
        keep_ms: int = _DAY_MS,
        keep_events: int = 1_000_000,
        capacity: int = 10_000,
    ) -> None:
        try:
            self._client = redis_client(
                url,
                subject="event log",
                connect_within_s=_CONNECT_WITHIN_S,
                answer_within_s=_ANSWER_WITHIN_S,
            )
        except ConfigError as error:
            raise EventLogError(str(error)) from None
        self._now_ms = now_ms
        # The braces keep both keys on one node of a Redis cluster.
        self._stream = f"{{{name}}}"
        self._progress = f"{self._stream}:written:{secrets.token_hex(8)}"
        self._keep = (keep_events, keep_ms)
        self._write = self._client.register_script(_LAST + _WRITE)
        self._range = self._client.register_script(_LAST + _READ)
        self._last = self._client.register_script(_LAST + _NEWEST)
        self._closed = threading.Event()
        self._writer = EventWriter(self._send, now_ms=now_ms, capacity=capacity)

    def publish(
        self, topic: str, data: dict[str, Any], *, strategy_id: str = "", owner_id: str = ""
    ) -> None:
        """Queue an event for the log; see `EventLog`."""
        draft, _ = make_draft(
            topic, data, strategy_id=strategy_id, owner_id=owner_id, at_ms=self._now_ms()
        )
        self._writer.put(draft)

    def read(self, after: str | None, limit: int) -> list[Event]:
        """Return events in order; see `EventLog`."""
        start = "-" if after is None else f"({_to_redis(check_id(after))}"
        last, *entries = self._call(self._range, keys=[self._stream], args=[start, limit])
        found = [_decode(entry) for entry in entries]
        if after is None:
            return [event for event, _ in found]
        if found and found[0][1] > after:
            raise EventsLostError(after, found[0][1])
        if not found and _from_redis(last) != after:
            raise EventsLostError(after, self._oldest())
        return [event for event, _ in found]

    def newest(self) -> str:
        """Return the id of the newest event; see `EventLog`."""
        return _from_redis(self._call(self._last, keys=[self._stream]))

    def wait(self, after: str, timeout_s: float) -> bool:
        """Wait for something to read; see `EventLog`."""
        start = {self._stream: _to_redis(check_id(after))}
        deadline = time.monotonic() + timeout_s
        while not self._closed.is_set():
            # In short turns: a server that dies without a word is noticed, and so is an empty one.
            left_s = min(_BLOCK_S, deadline - time.monotonic())
            try:
                if self.newest() != after:
                    return True
                if left_s <= 0:
                    return False
                self._call(self._client.xread, start, count=1, block=max(1, int(left_s * 1000)))
            except EventLogUnavailableError:
                if left_s <= 0:
                    return False
                self._closed.wait(min(_RETRY_S, left_s))
        return False

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing waits to be written. False: not within the time."""
        return self._writer.flush(timeout_s)

    def health(self) -> EventLogHealth:
        """Return how the log is, as its writer knows it."""
        return self._writer.health()

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is waiting, if that can be done within the time, and disconnect."""
        self._writer.close(timeout_s)
        self._closed.set()
        self._client.close()

    def _send(self, first: int, drafts: Sequence[Draft]) -> None:
        texts = [msgspec.json.encode(draft) for draft in drafts]
        keys = [self._stream, self._progress]
        self._call(self._write, keys=keys, args=[first, *self._keep, *texts])

    def _oldest(self) -> str:
        """Return the id before the oldest event that is kept."""
        last, *entries = self._call(self._range, keys=[self._stream], args=["-", 1])
        return _decode(entries[0])[1] if entries else _from_redis(last)

    def _call(self, command: Callable[..., Any], *args: Any, **named: Any) -> Any:
        try:
            return command(*args, **named)
        except redis.RedisError as error:
            said = said_of(self._client, error)
            raise EventLogUnavailableError(f"event log: {said}") from None


def _to_redis(event: str) -> str:
    ms, _, number = event.partition("-")
    return f"{int(ms)}-{int(number)}"


def _from_redis(entry: bytes) -> str:
    ms, _, number = entry.partition(b"-")
    return event_id(int(ms), int(number))


def _decode(entry: bytes) -> tuple[Event, str]:
    """Return the event of an entry and the id of the one before."""
    place, previous, text = entry.split(b" ", 2)
    try:
        draft = msgspec.json.decode(text, type=Draft)
        before = _from_redis(previous)
    except ValueError as error:
        raise EventLogError(
            f"event log: entry {place.decode()} in Redis was not written by an event log; "
            f"delete it there, and give each program a log of its own name"
        ) from error
    return Event(id=_from_redis(place), **msgspec.structs.asdict(draft)), before
