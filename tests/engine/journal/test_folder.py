"""The folder of a run: made whole, used by one engine at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ConfigError, JournalError
from engine.journal import Manifest, RunFolder, config_sha256

MANIFEST = Manifest.of(
    {"name": "run", "strategies": [{"id": "a"}]},
    created_ms=1_500,
    market={"files": {"a.csv": "00"}},
    plugins={"RULES": "11"},
)


def test_a_run_is_found_again_as_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "one"
    assert not RunFolder.exists(path)
    with RunFolder.create(path, MANIFEST) as folder:
        assert path.stat().st_mode & 0o777 == 0o700
        with folder.journal("orders", "orders") as journal:
            journal.append(b"one")
        folder.snapshots().write("a", 1, b"state")
    assert RunFolder.exists(path)
    with RunFolder.open(path) as folder:
        assert folder.manifest == MANIFEST
        assert folder.manifest.created == "1970-01-01T00:00:01.500Z"
        assert folder.manifest.config_sha256 == config_sha256(
            {"strategies": [{"id": "a"}], "name": "run"}
        )
        with folder.journal("orders", "orders") as journal:
            assert list(journal.records()) == [b"one"]
        assert folder.snapshots().newest("a") == (1, b"state")
        folder.remove()
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_second_run_in_a_folder_is_refused(tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "run", MANIFEST).close()
    with pytest.raises(ConfigError, match="holds a run already"):
        RunFolder.create(tmp_path / "run", MANIFEST)


@pytest.mark.parametrize("name", ["", "../x", "A", "a/b", "x" * 65, "a.b"])
def test_a_journal_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with (
        RunFolder.create(tmp_path / "run", MANIFEST) as folder,
        pytest.raises(JournalError, match="a journal's name is made of"),
    ):
        folder.journal(name, "orders")
