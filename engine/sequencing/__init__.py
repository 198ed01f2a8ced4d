"""Who may go on when: the logical clock shared by the order manager and the instances.

What one process of hundreds needs, an instance alone in its own, is here; the order manager's side
(`coordinator`, `records`) and the host of many (`host`) are imported from their modules.
"""

from engine.sequencing.messages import (
    Answer,
    CandleBatch,
    Mark,
    Past,
    Release,
    SliceBatch,
    SliceCommand,
    SliceDecision,
    SliceEvent,
)
from engine.sequencing.plate import PLATE_BYTES, read_plate
from engine.sequencing.runner import InstanceRunner
from engine.sequencing.stored import SeatState, Stored

__all__ = [
    "PLATE_BYTES",
    "Answer",
    "CandleBatch",
    "InstanceRunner",
    "Mark",
    "Past",
    "Release",
    "SeatState",
    "SliceBatch",
    "SliceCommand",
    "SliceDecision",
    "SliceEvent",
    "Stored",
    "read_plate",
]
