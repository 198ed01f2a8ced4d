"""Events, their topics and their ids."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from engine.events.errors import EventError

__all__ = [
    "MAX_EVENT_BYTES",
    "TOPICS",
    "Draft",
    "Event",
    "check_id",
    "check_topic",
    "event_id",
    "is_expendable",
    "make_draft",
]

TOPICS: Final = ("signals", "orders", "fills", "metrics", "status", "alerts", "logs")
"""The topics, beside one ``candles:<stream>`` for each stream."""

MAX_EVENT_BYTES: Final = 256 * 1024
"""Of the data of one event, as JSON."""

_CANDLES = "candles:"
_EXPENDABLE = frozenset({"metrics", "logs"})
_ID = re.compile(r"[0-9]{15}-[0-9]{10}")


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What is published: an event that has no place in the log yet.

    Attributes:
        topic: One of `TOPICS`, or ``candles:<stream>``.
        strategy_id: The strategy it is about; empty: about none.
        owner_id: The user who may see it; empty: everybody.
        at_ms: When it was published, by the clock of whoever did.
        data: What JSON can hold. It is shared by all who read it: nobody may change it.
    """

    topic: str
    strategy_id: str = ""
    owner_id: str = ""
    at_ms: int
    data: dict[str, Any]

    @property
    def subject(self) -> tuple[str, str]:
        """What it is an update of: topic and strategy."""
        return self.topic, self.strategy_id


class Event(Draft, frozen=True, kw_only=True):
    """An event in the log.

    Attributes:
        id: Its place: ids of one log sort as text in the order of the log. They mean nothing else.
    """

    id: str


def is_expendable(topic: str) -> bool:
    """Tell whether an old event of this topic may be lost once there is a newer one.

    So it is with candles and metrics, which can be had elsewhere, and with log lines. What remains
    (signals, orders, fills, status, alerts) has to reach everybody who follows it.
    """
    return topic in _EXPENDABLE or topic.startswith(_CANDLES)


def check_topic(topic: str) -> str:
    """Return the topic.

    Raises:
        EventError: There is no such topic.
    """
    if topic in TOPICS or (topic.startswith(_CANDLES) and len(topic) > len(_CANDLES)):
        return topic
    raise EventError(
        f"event: topic {topic!r} is not known; it is one of {', '.join(TOPICS)}, candles:<stream>"
    )


def event_id(ms: int, number: int) -> str:
    """Return an id that sorts by time, then number.

    >>> event_id(1_700_000_000_000, 2)
    '001700000000000-0000000002'
    """
    return f"{ms:015d}-{number:010d}"


def check_id(text: str) -> str:
    """Return the id.

    Raises:
        EventError: No log ever gave such an id.
    """
    if _ID.fullmatch(text):
        return text
    raise EventError(f"event log: {text[:60]!r} is no id of an event; use one that was received")


def make_draft(
    topic: str, data: dict[str, Any], *, strategy_id: str, owner_id: str, at_ms: int
) -> tuple[Draft, int]:
    """Return an event that cannot change any more, and the size of its data as JSON in bytes.

    Raises:
        EventError: The topic is unknown, or the data cannot be written as JSON or are too large.
    """
    check_topic(topic)
    try:
        text = msgspec.json.encode(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise EventError(f"event of {topic!r}: data have to be writable as JSON: {error}") from None
    if len(text) > MAX_EVENT_BYTES:
        raise EventError(
            f"event of {topic!r}: data may have {MAX_EVENT_BYTES:,} bytes as JSON, "
            f"not {len(text):,}; publish where to find them instead"
        )
    draft = Draft(
        topic=topic,
        strategy_id=strategy_id,
        owner_id=owner_id,
        at_ms=at_ms,
        data=msgspec.json.decode(text),  # what every reader gets, and a copy
    )
    return draft, len(text)
