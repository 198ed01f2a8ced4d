"""Who of several engines on one store leads, and who has done what."""

from engine.locks.advisory import AdvisoryRegistry
from engine.locks.errors import LockUnavailableError
from engine.locks.file import FileLock
from engine.locks.intervals import IntervalLocks
from engine.locks.keeper import LeaderKeeper
from engine.locks.lease import Grant, LeaseLock, LeaseRegistry
from engine.locks.lock import Claim, LeaderLock
from engine.locks.redis_registry import RedisRegistry

__all__ = [
    "AdvisoryRegistry",
    "Claim",
    "FileLock",
    "Grant",
    "IntervalLocks",
    "LeaderKeeper",
    "LeaderLock",
    "LeaseLock",
    "LeaseRegistry",
    "LockUnavailableError",
    "RedisRegistry",
]
