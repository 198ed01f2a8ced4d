"""The folder of a run: made whole, used by one engine at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import engine.journal.folder as folder_module
from engine.errors import ConfigError, JournalError
from engine.journal import Manifest, RunFolder, config_sha256
from tests.engine.journal.disks import TinyDisk

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


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o755)
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match=r"need an empty folder .* found 'thesis.txt'"):
        RunFolder.create(mine, MANIFEST)
    assert [entry.name for entry in mine.iterdir()] == ["thesis.txt"]
    assert mine.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_a_file_in_the_way_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises((ConfigError, JournalError), match=r"need a folder|part of the path is a"):
        RunFolder.create(tmp_path / path, MANIFEST)
    with pytest.raises(ConfigError, match=r"need a folder|there is no run"):
        RunFolder.open(tmp_path / path)


@pytest.mark.parametrize("path", [".", "nowhere"])
def test_opening_what_is_no_run_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match=r"there is no run \(manifest.json is missing\)"):
        RunFolder.open(tmp_path / path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path, unprivileged: None) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        RunFolder.create(folder / "run", MANIFEST).close()
        (folder / "run" / "lock").chmod(0o400)
        with pytest.raises(JournalError, match=r"Permission denied .*name a folder you may write"):
            RunFolder.open(folder / "run")
        (folder / "run").chmod(0o000)
        with pytest.raises(JournalError, match=r"cannot look for a run: Permission denied"):
            RunFolder.exists(folder / "run")
        with pytest.raises(JournalError, match=r"cannot open the folder .*Permission denied"):
            RunFolder.open(folder / "run")
        (folder / "run").chmod(0o700)
        folder.chmod(0o500)
        with pytest.raises(JournalError, match=r"cannot make the folder .*Permission denied"):
            RunFolder.create(folder / "other", MANIFEST)
        folder.chmod(0o700)


def test_a_disk_without_room_is_refused_before_anything_is_made(tiny_disk: TinyDisk) -> None:
    with pytest.raises(JournalError, match=r"needs 16 MiB of free space, there are 0.\d; make"):
        RunFolder.create(tiny_disk.folder / "run", MANIFEST)
    assert list(tiny_disk.folder.iterdir()) == []


def test_a_run_without_room_to_go_on_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RunFolder.create(tmp_path / "run", MANIFEST).close()
    monkeypatch.setattr("engine.journal.folder.free_bytes", lambda path: 15 << 20)
    with pytest.raises(JournalError, match=r"needs 16 MiB of free space, there are 15.0"):
        RunFolder.open(tmp_path / "run")
    monkeypatch.setattr("engine.journal.folder.free_bytes", lambda path: None)
    RunFolder.open(tmp_path / "run").close()


def test_a_second_engine_in_the_same_process_is_refused(tmp_path: Path) -> None:
    with (
        RunFolder.create(tmp_path / "run", MANIFEST),
        pytest.raises(JournalError, match=f"process id {os.getpid()};"),
    ):
        RunFolder.open(tmp_path / "run")


def test_two_engines_that_make_the_same_run_do_not_both_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one is done between the first look at the folder and the lock."""
    locked = folder_module._locked

    def late(folder: Path) -> AbstractContextManager[int]:
        monkeypatch.setattr(folder_module, "_locked", locked)
        RunFolder.create(folder, MANIFEST).close()
        return locked(folder)

    monkeypatch.setattr(folder_module, "_locked", late)
    with pytest.raises(ConfigError, match="holds a run already"):
        RunFolder.create(tmp_path / "run", MANIFEST)
    RunFolder.open(tmp_path / "run").close()


def before_the_lock(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Let something happen between opening the lock's file and locking it."""
    flock = fcntl.flock

    def late(fd: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        act()
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", late)


@pytest.mark.parametrize("anew", [True, False])
def test_a_run_that_is_removed_while_it_is_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, anew: bool
) -> None:
    path = tmp_path / "run"
    first = RunFolder.create(path, MANIFEST)
    second = []

    def replace() -> None:
        first.remove()
        if anew:
            second.append(RunFolder.create(path, MANIFEST))

    before_the_lock(monkeypatch, replace)
    with pytest.raises(JournalError, match="in use by the engine"):
        RunFolder.open(path)
    for folder in second:
        folder.close()


def test_a_manifest_that_goes_while_the_run_is_opened_is_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RunFolder.create(tmp_path, MANIFEST).close()
    before_the_lock(monkeypatch, (tmp_path / "manifest.json").unlink)
    with pytest.raises(ConfigError, match=r"there is no run \(manifest.json is missing\)"):
        RunFolder.open(tmp_path)
    RunFolder.create(tmp_path, MANIFEST).close()  # the lock was let go of


@pytest.mark.parametrize("survivors", [set(), {"lock", "orders.journal"}])
def test_what_a_crash_in_removing_leaves_is_no_run_and_is_cleared_away(
    tmp_path: Path, survivors: set[str]
) -> None:
    path = tmp_path / "run"
    path.mkdir()
    (path / "manifest.json.removed").write_bytes(MANIFEST.encode())
    for name in survivors:
        (path / name).write_bytes(b"waste")
    assert not RunFolder.exists(path)
    with RunFolder.create(path, MANIFEST):
        assert {entry.name for entry in path.iterdir()} == {"lock", "manifest.json"}


@pytest.mark.parametrize("content", [b"", b"years of work", b"{}"])
def test_a_file_called_like_the_sign_of_removal_is_no_licence_to_delete(
    tmp_path: Path, content: bytes
) -> None:
    for name in ("manifest.json.removed", "thesis.txt"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match="need an empty folder"):
        RunFolder.create(tmp_path, MANIFEST)
    assert (tmp_path / "thesis.txt").read_bytes() == content


def test_a_folder_called_like_the_sign_of_removal_is_not_one(tmp_path: Path) -> None:
    (tmp_path / "manifest.json.removed").mkdir()
    with pytest.raises(ConfigError, match=r"found 'manifest.json.removed'"):
        RunFolder.create(tmp_path, MANIFEST)


def test_a_crash_in_creating_leaves_a_folder_to_create_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, target: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(JournalError, match="cannot make the folder of the run: Input/output"):
            RunFolder.create(tmp_path / "run", MANIFEST)
    (tmp_path / "run" / "manifest.json.tmp").write_bytes(b"{")
    RunFolder.create(tmp_path / "run", MANIFEST).close()
    assert RunFolder.open(tmp_path / "run").manifest == MANIFEST


def test_a_link_to_a_run_leads_to_it(tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "run", MANIFEST).close()
    (tmp_path / "link").symlink_to("run")
    with RunFolder.open(tmp_path / "link") as folder:
        assert folder.path == (tmp_path / "run").resolve()
        folder.remove()
    assert not (tmp_path / "run").exists()


def test_an_exception_lets_go_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(InterruptedError), RunFolder.create(tmp_path / "run", MANIFEST):
        raise InterruptedError
    RunFolder.open(tmp_path / "run").close()


def test_a_closed_folder_gives_nothing_away(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", MANIFEST)
    folder.close()
    folder.close()
    for use in (lambda: folder.journal("orders", "orders"), folder.snapshots, folder.remove):
        with pytest.raises(JournalError, match="the folder is closed"):
            use()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"format": 1', b'"format": 2', "run format 2 is newer than 1"),
        (b'"name": "run"', b'"name": "ran"', "the configuration in the manifest has SHA-256"),
        (b'"created"', b'"crated"', "the manifest is damaged: Object missing required field"),
        (b"{", b"", "the manifest is damaged"),
        (b"run", b"r\xffn", "the manifest is damaged"),
    ],
)
def test_a_manifest_that_was_changed_is_refused(
    tmp_path: Path, old: bytes, new: bytes, message: str
) -> None:
    RunFolder.create(tmp_path / "run", MANIFEST).close()
    file = tmp_path / "run" / "manifest.json"
    data = file.read_bytes()
    assert old in data
    file.write_bytes(data.replace(old, new, 1))
    with pytest.raises(JournalError, match=message):
        RunFolder.open(tmp_path / "run")
    file.write_bytes(data)
    RunFolder.open(tmp_path / "run").close()  # the lock was let go of
