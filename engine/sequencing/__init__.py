"""Who may go on when: the logical clock shared by the order manager and the instances."""

from engine.sequencing.coordinator import Coordinator
from engine.sequencing.host import HostRunner
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
from engine.sequencing.records import Record, Recorder
from engine.sequencing.runner import InstanceRunner
from engine.sequencing.stored import SeatState, Stored

__all__ = [
    "PLATE_BYTES",
    "Answer",
    "CandleBatch",
    "Coordinator",
    "HostRunner",
    "InstanceRunner",
    "Mark",
    "Past",
    "Record",
    "Recorder",
    "Release",
    "SeatState",
    "SliceBatch",
    "SliceCommand",
    "SliceDecision",
    "SliceEvent",
    "Stored",
    "read_plate",
]
