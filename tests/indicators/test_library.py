from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from indicators.library import _FrameLibrariesAbsent

PROGRAM = """
import sys
import indicators
assert not {"polars", "pandas"} & set(sys.modules), "a frame library was imported"
assert not [f for f in sys.meta_path if "indicators" in type(f).__module__], "the guard remained"
import polars
assert polars.Series([1.0]).sum() == 1.0
"""


def test_indicators_are_imported_without_frame_libraries_and_these_work_afterwards() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
    assert done.returncode == 0, done.stderr


def test_only_the_importing_thread_misses_them() -> None:
    guard = _FrameLibrariesAbsent()
    with pytest.raises(ModuleNotFoundError, match="polars") as raised:
        guard.find_spec("polars", None)
    assert raised.value.name == "polars"
    assert guard.find_spec("numpy", None) is None
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(guard.find_spec("polars", None)))
    thread.start()
    thread.join()
    assert answers == [None]
