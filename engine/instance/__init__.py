"""The running state of one strategy, a pure state machine."""

from engine.instance.build import build
from engine.instance.commands import Command, Pause, Restart, Resume, Stop, Update
from engine.instance.faults import Fault
from engine.instance.history import CandleHistory
from engine.instance.instance import Instance
from engine.instance.lifecycle import TRANSITIONS, Status
from engine.instance.log import SaidLine
from engine.instance.metrics import InstanceView, LastSignal, Metrics
from engine.instance.parameters import check_parameters
from engine.instance.snapshot import Snapshot, decode

__all__ = [
    "TRANSITIONS",
    "CandleHistory",
    "Command",
    "Fault",
    "Instance",
    "InstanceView",
    "LastSignal",
    "Metrics",
    "Pause",
    "Restart",
    "Resume",
    "SaidLine",
    "Snapshot",
    "Status",
    "Stop",
    "Update",
    "build",
    "check_parameters",
    "decode",
]
