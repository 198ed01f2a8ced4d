"""The secret is made once, for its owner only, and nothing less is taken."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from engine.errors import ConfigError
from engine.users import secret_of
from engine.users.secret import FILE


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_the_first_start_makes_it_for_its_owner_only(tmp_path: Path, umask: int) -> None:
    folder = tmp_path / "state" / "of" / "chorus"
    secret = secret_of(folder)
    assert len(secret) == 32
    assert secret_of(folder) == secret == (folder / FILE).read_bytes()
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert names_in(folder) == [FILE]
    assert secret_of(tmp_path) != secret


def test_all_who_start_at_once_get_the_same(tmp_path: Path) -> None:
    for number in range(10):
        barrier = Barrier(6)

        def start(folder: Path, barrier: Barrier = barrier) -> bytes:
            barrier.wait(60)
            return secret_of(folder)

        with ThreadPoolExecutor(6) as pool:
            assert len(set(pool.map(start, [tmp_path / str(number)] * 6))) == 1
        assert names_in(tmp_path / str(number)) == [FILE]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o601, 0o777])
def test_what_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    secret = secret_of(tmp_path)
    (tmp_path / FILE).chmod(mode)
    with pytest.raises(
        ConfigError, match=f"mode 0600.*has mode 0{mode:o}; take it away"
    ) as refused:
        secret_of(tmp_path)
    assert secret.hex() not in str(refused.value)
    assert (tmp_path / FILE).read_bytes() == secret


@pytest.mark.parametrize("length", [0, 1, 31])
def test_what_is_too_short_is_refused_and_left_alone(tmp_path: Path, length: int) -> None:
    path = tmp_path / FILE
    path.write_bytes(b"x" * length)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=f"must have at least 32 bytes, has {length}"):
        secret_of(tmp_path)
    assert path.stat().st_size == length


def test_where_nothing_can_be_made_it_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"token\.secret': must be a file .* Not a directory"):
        secret_of(tmp_path / "file")
    (tmp_path / FILE).mkdir()
    with pytest.raises(ConfigError, match="Is a directory"):
        secret_of(tmp_path)
