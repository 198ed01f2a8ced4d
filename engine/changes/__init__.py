"""What was changed, told at once to whoever acts on it, in this process and in others.

`RedisChanges` is imported from `engine.changes.redis_changes`: most processes need no Redis.
"""

from engine.changes.change import EVERYTHING, MAX_CHANGE_BYTES, Change, Kind, read_change
from engine.changes.changes import Changes, Listening, OnChange, nobody_listens
from engine.changes.local import LocalChanges

__all__ = [
    "EVERYTHING",
    "MAX_CHANGE_BYTES",
    "Change",
    "Changes",
    "Kind",
    "Listening",
    "LocalChanges",
    "OnChange",
    "nobody_listens",
    "read_change",
]
