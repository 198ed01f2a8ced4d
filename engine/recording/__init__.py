"""What was traded, from the ledger of a run to the store, and from there to whoever follows it."""

from engine.recording.attendance import Attendance
from engine.recording.errors import RecordingError
from engine.recording.execution_loop import ExecutionLoop, ExecutionRecorder
from engine.recording.executions import ExecutionRow, record_executions
from engine.recording.loop import RecordingLoop, RecordingStatus, Source
from engine.recording.owners import Owner, Whose
from engine.recording.recorder import MAX_LINES, Recorder
from engine.recording.retention import RULES, Retention, Rule

__all__ = [
    "MAX_LINES",
    "RULES",
    "Attendance",
    "ExecutionLoop",
    "ExecutionRecorder",
    "ExecutionRow",
    "Owner",
    "Recorder",
    "RecordingError",
    "RecordingLoop",
    "RecordingStatus",
    "Retention",
    "Rule",
    "Source",
    "Whose",
    "record_executions",
]
