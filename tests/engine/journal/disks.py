"""Disks to fail on: a real one where mounting is allowed, a simulated one everywhere."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Protocol

import pytest

DISK_BYTES = 256 << 10
PAGE = 4096


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Let permissions hold for the root user as well."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65_534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


class TinyDisk(Protocol):
    """A disk of 256 KiB: its folder, and how it becomes read-only."""

    folder: Path

    def make_read_only(self) -> None:
        """Refuse to open files for writing from now on."""


class MountedDisk:
    """A real one, in memory (needs root)."""

    def __init__(self, folder: Path, size: int = DISK_BYTES) -> None:
        self.folder = folder
        self._size = size

    def mount(self) -> bool:
        """Mount it; tell whether that is allowed here."""
        options = ["-t", "tmpfs", "-o", f"size={self._size}", "tmpfs"]
        return self._call("mount", *options, str(self.folder))

    def make_read_only(self) -> None:
        assert self._call("mount", "-o", "remount,ro", str(self.folder))

    def unmount(self) -> None:
        assert self._call("umount", str(self.folder))

    def _call(self, *words: str) -> bool:
        try:
            return not subprocess.run(words, capture_output=True, check=False).returncode  # noqa: S603 - fixed words
        except FileNotFoundError:
            return False


class SimulatedDisk:
    """What the system says of one: files take whole pages, a last write takes what is left."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._patch = monkeypatch
        self._open, self._write, self._usage = os.open, os.write, shutil.disk_usage
        monkeypatch.setattr(os, "write", self._limited_write)
        monkeypatch.setattr(shutil, "disk_usage", self._limited_usage)

    def make_read_only(self) -> None:
        self._patch.setattr(os, "open", self._refusing_open)

    def _pages(self) -> int:
        sizes = [file.stat().st_size for file in self.folder.rglob("*") if file.is_file()]
        return sum(-(-size // PAGE) for size in sizes)

    def _free(self) -> int:
        return max(0, DISK_BYTES - self._pages() * PAGE)

    def _limited_write(self, fd: int, data: bytes | memoryview) -> int:
        status = os.fstat(fd)
        if not any(os.path.samestat(status, file.stat()) for file in self.folder.rglob("*")):
            return self._write(fd, data)
        room = self._free() + -status.st_size % PAGE
        if data and not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(fd, data[:room])

    def _limited_usage(self, path: Path) -> tuple[int, int, int]:
        usage = self._usage(path)
        return usage._replace(free=self._free()) if self._is_inside(path) else usage

    def _refusing_open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and self._is_inside(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return self._open(path, flags, mode)

    def _is_inside(self, path: Path) -> bool:
        return Path(path).is_relative_to(self.folder)


@cache
def can_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        disk = MountedDisk(Path(folder))
        is_mounted = disk.mount()
        if is_mounted:
            disk.unmount()
    return is_mounted
