"""What can go wrong with events."""

from __future__ import annotations

from engine.errors import ChorusError

__all__ = [
    "EventError",
    "EventLogError",
    "EventLogUnavailableError",
    "EventsLostError",
    "SlowSubscriberError",
]


class EventLogError(ChorusError):
    """Base of what publishing, reading and following events raises."""


class EventError(EventLogError):
    """An event, an id or a topic is not one."""


class EventLogUnavailableError(EventLogError):
    """The log cannot be reached now; the same call may work a moment later."""


class EventsLostError(EventLogError):
    """What followed an id is no longer kept, or the id never was one of this log.

    Attributes:
        oldest: The oldest id reading can go on from.
    """

    def __init__(self, after: str, oldest: str) -> None:
        super().__init__(
            f"event log: not all events after {after} are kept, only those after {oldest}; "
            f"read the present state, then go on from there"
        )
        self.oldest = oldest


class SlowSubscriberError(EventLogError):
    """A subscriber had more events waiting that must not be lost than it has room for.

    Attributes:
        resume_after: Id of the last event it has taken; nothing is lost by going on from there.
    """

    def __init__(self, capacity: int, resume_after: str) -> None:
        super().__init__(
            f"subscription: ended, more than {capacity} events that must not be lost were waiting; "
            f"subscribe again after {resume_after}, and take events faster or fewer topics"
        )
        self.resume_after = resume_after
