"""What happens, as one log with ids that any number of clients follow at their own speed.

`RedisEventLog` is imported from `engine.events.redis_log`: most processes need no Redis.
"""

from engine.events.broadcast import Broadcaster
from engine.events.errors import (
    EventError,
    EventLogError,
    EventLogUnavailableError,
    EventsLostError,
    SlowSubscriberError,
)
from engine.events.event import MAX_EVENT_BYTES, TOPICS, Event, is_expendable
from engine.events.log import EventLog, EventLogHealth
from engine.events.memory import MemoryEventLog
from engine.events.subscriber import Batch, Interest, Subscriber

__all__ = [
    "MAX_EVENT_BYTES",
    "TOPICS",
    "Batch",
    "Broadcaster",
    "Event",
    "EventError",
    "EventLog",
    "EventLogError",
    "EventLogHealth",
    "EventLogUnavailableError",
    "EventsLostError",
    "Interest",
    "MemoryEventLog",
    "SlowSubscriberError",
    "Subscriber",
    "is_expendable",
]
