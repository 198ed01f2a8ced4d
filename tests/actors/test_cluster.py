"""A cluster that cannot be started is said to be one, and leaves nothing behind."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import ray

from actors.cluster import embedded_cluster
from engine.errors import ChorusError


def test_what_keeps_ray_from_starting_is_said_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_busy(**_: Any) -> None:
        raise Exception("The current node timed out during startup.")  # noqa: TRY002 - as Ray does

    monkeypatch.setattr(ray, "init", too_busy)
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="c-") as home:
        monkeypatch.setattr(tempfile, "tempdir", home)
        with (
            pytest.raises(ChorusError, match=r"timed out during startup.*less busy"),
            embedded_cluster(1),
        ):
            pass
        assert list(Path(home).iterdir()) == []
