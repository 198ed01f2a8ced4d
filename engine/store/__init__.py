"""The store: everything that has to be there after a restart, in SQLite or PostgreSQL.

One writer per table: whoever else wants something written asks that one.
"""

from engine.store.base import Base
from engine.store.definitions import (
    VISIBILITIES,
    Definition,
    DefinitionVersion,
    StrategyFile,
    TrustedKey,
)
from engine.store.deployments import Account, Strategy, Subscription
from engine.store.people import ROLES, ApiKey, User
from engine.store.recordings import Recording, UnpublishedEvents
from engine.store.records import (
    Alert,
    AuditEntry,
    BacktestJob,
    Execution,
    LogLine,
    Setting,
    Signal,
)
from engine.store.requests import IdempotencyKey
from engine.store.store import Store
from engine.store.trades import Fill, Order, Position

__all__ = [
    "ROLES",
    "VISIBILITIES",
    "Account",
    "Alert",
    "ApiKey",
    "AuditEntry",
    "BacktestJob",
    "Base",
    "Definition",
    "DefinitionVersion",
    "Execution",
    "Fill",
    "IdempotencyKey",
    "LogLine",
    "Order",
    "Position",
    "Recording",
    "Setting",
    "Signal",
    "Store",
    "Strategy",
    "StrategyFile",
    "Subscription",
    "TrustedKey",
    "UnpublishedEvents",
    "User",
]
