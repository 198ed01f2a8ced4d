"""A process ends itself where and when it was told to, once; without being told it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.crash_points import ARMED, VARIABLE, CrashPoint, arm, armed, fired, reach
from engine.errors import ConfigError

REACHES = """
from engine.crash_points import ARMED, CrashPoint, reach
from sys import argv
for point in argv[1:]:
    if ARMED:
        reach(CrashPoint(point))
    print(point, flush=True)
"""
LOGGED, SENT = CrashPoint.MARKET_LOGGED, CrashPoint.ORDERS_SENT


def passing(*points: str, folder: Path | None) -> subprocess.CompletedProcess[str]:
    """Start a process that reaches points one after the other, and says which it got beyond."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    if folder is not None:
        environment[VARIABLE] = str(folder)
    return subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", REACHES, *points],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_process_ends_where_it_is_told_to_and_the_next_one_goes_on(tmp_path: Path) -> None:
    arm(tmp_path, LOGGED, 3)
    first = passing(LOGGED, SENT, LOGGED, SENT, LOGGED, SENT, folder=tmp_path)
    assert first.returncode == -signal.SIGKILL
    assert first.stdout.split() == [LOGGED, SENT, LOGGED, SENT]
    assert armed(tmp_path) == {}
    assert [point for point, _ in fired(tmp_path)] == [LOGGED]
    again = passing(*[LOGGED] * 9, folder=tmp_path)
    assert (again.returncode, again.stdout.count("\n")) == (0, 9)


@pytest.mark.parametrize("point", CrashPoint)
def test_every_point_can_be_armed(tmp_path: Path, point: CrashPoint) -> None:
    arm(tmp_path, point)
    assert armed(tmp_path) == {point: 1}
    assert fired(tmp_path) == []


def test_a_point_may_end_one_process_after_the_other(tmp_path: Path) -> None:
    for _ in range(2):
        arm(tmp_path, SENT)
        assert passing(SENT, folder=tmp_path).returncode == -signal.SIGKILL
    assert [point for point, _ in fired(tmp_path)] == [SENT, SENT]


def test_where_nothing_was_said_before_the_start_nothing_happens(tmp_path: Path) -> None:
    arm(tmp_path, LOGGED)
    assert passing(LOGGED, LOGGED, folder=None).returncode == 0
    assert armed(tmp_path) == {LOGGED: 1}


def test_this_process_was_not_told_anything() -> None:
    assert not ARMED
    reach(LOGGED)


def test_an_unknown_point_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no crash point is called 'sent'; there are: market-da"):
        arm(tmp_path, "sent")
    (tmp_path / "sent").write_text("1")
    found = passing(LOGGED, folder=tmp_path)
    assert found.returncode == 1
    assert "no crash point is called 'sent'" in found.stderr


@pytest.mark.parametrize("text", ["", "0", "-1", "twice"])
def test_a_count_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / LOGGED).write_text(text)
    with pytest.raises(ConfigError, match=f"needs a count of 1 or more, got '{text}'"):
        armed(tmp_path)


def test_nothing_can_be_armed_to_happen_before_the_first_time(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="counts start at 1, got 0"):
        arm(tmp_path, LOGGED, 0)


def test_a_folder_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    found = passing(LOGGED, folder=tmp_path / "nowhere")
    assert found.returncode == 1
    assert "nowhere': No such file or directory; name another one, or unset it" in found.stderr
