"""Desired and actual state, and the actions that make the one the other; pure functions."""

from engine.supervision.actions import (
    Action,
    Adopt,
    EndHost,
    FailStrategy,
    Move,
    PauseStrategy,
    RecoverHost,
    ResumeStrategy,
    StartHost,
    StopStrategy,
)
from engine.supervision.actual import Actual, ActualHost, ActualStrategy
from engine.supervision.desired import Desired, DesiredStrategy
from engine.supervision.history import History, HostRecord, StrategyRecord
from engine.supervision.observe import observe
from engine.supervision.plan import plan
from engine.supervision.settings import SupervisionSettings
from engine.supervision.storage import decode, encode

__all__ = [
    "Action",
    "Actual",
    "ActualHost",
    "ActualStrategy",
    "Adopt",
    "Desired",
    "DesiredStrategy",
    "EndHost",
    "FailStrategy",
    "History",
    "HostRecord",
    "Move",
    "PauseStrategy",
    "RecoverHost",
    "ResumeStrategy",
    "StartHost",
    "StopStrategy",
    "StrategyRecord",
    "SupervisionSettings",
    "decode",
    "encode",
    "observe",
    "plan",
]
