"""Durable state of a run: journals, snapshots, and the folder that holds them.

What the order manager's process alone needs (`orders`) is imported from its module.
"""

from engine.journal.file import JournalFile
from engine.journal.folder import FolderInUseError, RunFolder
from engine.journal.manifest import Manifest, config_sha256
from engine.journal.slices import SliceJournal
from engine.journal.snapshots import SnapshotStore
from engine.journal.state import read_state, write_state

__all__ = [
    "FolderInUseError",
    "JournalFile",
    "Manifest",
    "RunFolder",
    "SliceJournal",
    "SnapshotStore",
    "config_sha256",
    "read_state",
    "write_state",
]
