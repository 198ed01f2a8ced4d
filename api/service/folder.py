"""The run a service goes on with, or begins."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Final

from actors.state import open_run_folder
from api.service.leading import Leadership
from api.service.plan import ServicePlan
from engine.catalog import Catalog
from engine.config import RunConfig
from engine.errors import ConfigError, StoppedError
from engine.journal import FolderInUseError, RunFolder

__all__ = ["open_run", "run_id"]

_LOOK_EVERY_S: Final = 0.25


def open_run(
    plan: ServicePlan,
    config: RunConfig,
    leadership: Leadership,
    *,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> RunFolder:
    """Open the run of a folder, or begin one there, and put on record that it is led.

    Waits while another process has the run: one that led before, and has yet to end.

    Raises:
        ConfigError: It is not the run the store's engine has played so far, or not of this
            configuration; or the folder cannot be used.
        StoppedError: `stop` said so.
        ChorusError: The store cannot be written, or a later leader is on record.
    """
    path = plan.folder / "run"
    exists = RunFolder.exists(path)
    if not exists and not plan.is_new_run:
        leadership.require_run(None, plan.folder)
    folder = _opened(plan, config, resume=exists, stop=stop, say=say)
    try:
        run = run_id(folder)
        if exists and not plan.is_new_run:
            leadership.require_run(run, plan.folder)
        leadership.claim(run, plan.folder)
    except BaseException:  # whatever it is, it goes on; nobody else would close it
        folder.close()
        raise
    return folder


def run_id(folder: RunFolder) -> str:
    """Return what tells this run from any other: its manifest says when it was begun, and how."""
    return hashlib.sha256(folder.manifest.encode()).hexdigest()[:16]


def _opened(
    plan: ServicePlan,
    config: RunConfig,
    *,
    resume: bool,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> RunFolder:
    path, pause, has_said = plan.folder / "run", threading.Event(), False
    while True:
        try:
            return open_run_folder(path, config, Catalog({}, []), plan.replay, resume=resume)
        except ConfigError as error:
            if not isinstance(error.__cause__, FolderInUseError):
                raise
            if not has_said:
                say(f"waiting for the engine before to end: {error.__cause__}")
                has_said = True
        pause.wait(_LOOK_EVERY_S)
        if stop():
            raise StoppedError("stopped while the engine before had yet to end")
