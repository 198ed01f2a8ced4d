"""`chorus up` as whoever starts it sees it, as far as it goes without an engine."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.locks import Claim, FileLock
from tests.api.conftest import Chorus, build_strategy
from tests.stores import an_empty_store

MARKET = {"synthetic": {"symbols": [{"symbol": "BTC/USDT"}]}}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_that_stands_by_ends_well_when_it_is_stopped(
    chorus: Chorus,
    write: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    @contextlib.contextmanager
    def stopped(*_: object) -> Iterator[None]:
        signal.raise_signal(number)
        yield

    monkeypatch.setattr("api.service.listening.serving_meanwhile", stopped)
    config = write({"name": "a", "market": MARKET, "strategies": [build_strategy()]})
    data = tmp_path / "data"
    data.mkdir()
    an_empty_store(data / "chorus.db").close()
    leader = FileLock(data / "chorus.db.leader")
    assert leader.take(Claim())
    result = chorus("up", config, "--data", data, "--port", 0)
    leader.release()
    assert result.exit_code == 0, result.output
    assert "standing by: another engine leads on this store" in result.stdout
    assert "stopped while another engine was leading" in result.stdout
