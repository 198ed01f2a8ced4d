"""What waits is played as the command line plays it, within its limits, whatever dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import StoreError
from engine.jobs import BacktestStrategy
from engine.jobs.backtests import LEASE_MS
from tests.api.backtests.conftest import LONG, SHORT, Shop, await_player, players
from tests.api.conftest import Chorus, candle_frame
from tests.conftest import build_run, build_strategy
from tests.engine.jobs.conftest import ANN
from tests.waiting import until

pytestmark = pytest.mark.slow


def test_it_is_played_as_by_the_command_line(shop: Shop, chorus: Chorus, tmp_path: Path) -> None:
    run = build_run([build_strategy(number) for number in range(3)])
    said = run.model_dump(mode="json", by_alias=True, exclude_unset=True)
    job_id = shop.ask(config=said)
    assert shop.workers().work_once()
    (tmp_path / "run.json").write_text(json.dumps(said))
    printed = json.loads(chorus("backtest", tmp_path / "run.json", "--json").stdout)
    job = shop.backtests.get(job_id, ANN)
    assert (job.status, job.error) == ("done", "")
    assert job.summary is not None
    assert job.summary["ledger_sha256"] == printed["ledger_sha256"]
    assert job.summary["fills"] == printed["totals"]["fills"] > 100
    report = shop.backtests.report(job_id, ANN)
    for ours, theirs in zip(report["strategies"], printed["strategies"], strict=True):
        assert ours["metrics"] == theirs["metrics"]
        assert ours["ledger_sha256"] == theirs["ledger_sha256"]
        assert ours["equity_curve"][-1][1] == theirs["metrics"]["equity"]


def test_datasets_are_played_as_files_are_and_no_path_is_told(
    shop: Shop, chorus: Chorus, tmp_path: Path
) -> None:
    candles = shop.folder / "BTC-USDT_1m.parquet"
    candle_frame(3_000).write_parquet(candles)
    config = {"symbol": "BTC/USDT", "timeframe": "5m", "parameters": {"fast_period": 3}}
    made = BacktestStrategy(id="one", definition="builtin-ema_cross", config=config)
    job_id = shop.ask(config={}, strategies=[made], datasets=[candles.name])
    assert shop.workers().work_once()
    (tmp_path / "one.json").write_text(json.dumps({"id": "one", "type": "EMA_CROSS", **config}))
    printed = chorus("backtest", tmp_path / "one.json", "--replay", candles, "--json")
    report = shop.backtests.report(job_id, ANN)
    assert report["ledger_sha256"] == json.loads(printed.stdout)["ledger_sha256"]
    assert report["totals"]["fills"] > 10
    assert report["market"][0]["source"] == candles.name
    assert str(tmp_path) not in json.dumps(report)


def test_a_dataset_that_is_broken_or_gone_fails_it(shop: Shop) -> None:
    candles = shop.folder / "BTC-USDT_1m.csv"
    candles.write_text("no candles")
    ids = [shop.ask(config=SHORT["strategies"][0], datasets=[candles.name]) for _ in range(2)]
    assert shop.workers().work_once()
    candles.unlink()
    assert shop.workers().work_once()
    errors = [shop.backtests.get(job_id, ANN).error for job_id in ids]
    assert errors[0].startswith("BTC-USDT_1m.csv: ")
    assert "datasets: there is no 'BTC-USDT_1m.csv'" in errors[1]


def test_progress_is_told_and_a_canceled_one_ends_at_once(shop: Shop) -> None:
    job_id, next_id = shop.ask(config=LONG), shop.ask(config=SHORT)
    with shop.workers():
        until(lambda: shop.backtests.get(job_id, ANN).progress > 0, "it gets on")
        player = await_player()
        shop.backtests.cancel(job_id, ANN)
        until(lambda: player not in players(), "its process goes on")
        shop.await_status(next_id, "done")
    assert shop.status(job_id) == "canceled"
    told = [progress for status, progress in shop.told() if status == "running"]
    assert len(told) > 2
    assert not players()


def test_what_takes_too_long_or_too_much_fails(shop: Shop) -> None:
    ids = [shop.ask(config=LONG), shop.ask(config=LONG)]
    assert shop.workers(time_limit_s=0.1).work_once()
    assert shop.workers(memory_limit_mb=1).work_once()
    errors = [shop.backtests.get(job_id, ANN).error for job_id in ids]
    assert "took longer than 0.1 s; play fewer" in errors[0]
    assert "needs more memory than 1 MB; play fewer" in errors[1]
    assert not players()


def test_no_more_are_played_at_once_than_may_be(shop: Shop) -> None:
    ids = [shop.ask(config=SHORT) for _ in range(4)]
    seen = set()
    with shop.workers(at_once=2):
        until(
            lambda: seen.add(len(players())) or all(shop.status(each) == "done" for each in ids),
            "they are played",
        )
    assert max(seen) == 2


def test_at_the_end_of_the_service_it_waits_again(shop: Shop) -> None:
    job_id = shop.ask(config=LONG)
    with shop.workers():
        await_player()
    assert not players()
    job = shop.backtests.get(job_id, ANN)
    assert (job.status, job.attempts) == ("waiting", 0)


def test_one_whose_process_is_killed_is_played_again(shop: Shop) -> None:
    undisturbed, job_id = shop.ask(config=SHORT), shop.ask(config=SHORT)
    assert shop.workers().work_once()
    with shop.workers():
        os.kill(await_player(), signal.SIGKILL)
        shop.await_status(job_id, "done")
    job, other = shop.backtests.get(job_id, ANN), shop.backtests.get(undisturbed, ANN)
    assert (job.attempts, other.attempts) == (2, 1)
    assert job.summary is not None
    assert other.summary is not None
    assert job.summary["ledger_sha256"] == other.summary["ledger_sha256"]


def test_one_whose_process_is_killed_each_time_fails(shop: Shop) -> None:
    job_id = shop.ask(config=LONG)
    with shop.workers():
        killed = await_player()
        os.kill(killed, signal.SIGKILL)
        until(lambda: players() and players() != [killed], "it is not played again")
        os.kill(await_player(), signal.SIGKILL)
        shop.await_status(job_id, "failed")
    assert "was begun 2 times, at last its process was ended by signal 9" in (
        shop.backtests.get(job_id, ANN).error
    )


SERVICE = """
import sys
import time
from pathlib import Path

from tests.api.backtests.conftest import LIMITS, Shop
from engine.jobs import Backtests, Datasets
from engine.store import Store

class Other(Shop):
    def __init__(self, store, folder):
        self.folder = folder
        self.backtests = Backtests(
            store, None, catalog=None, datasets=Datasets(folder), events=Quiet(),
            clock=lambda: time.time_ns() // 1_000_000, limits=LIMITS,
        )

class Quiet:
    def publish(self, *args, **more): pass

with Store.open(sys.argv[1]) as store, Other(store, Path(sys.argv[2])).workers():
    sys.stdin.read()
"""


def test_when_the_service_is_killed_its_processes_end_and_another_takes_over(
    shop: Shop, tmp_path: Path
) -> None:
    undisturbed, job_id = shop.ask(config=SHORT), shop.ask(config=LONG)
    assert shop.workers().work_once()
    service = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", SERVICE, str(tmp_path / "chorus.db"), str(shop.folder)],
        stdin=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    try:
        player = await_player(service.pid)
        until(lambda: shop.backtests.get(job_id, ANN).progress > 0, "it gets on")
    finally:
        service.kill()
        service.communicate()
    until(lambda: not _is_alive(player), "its process goes on")
    assert shop.status(job_id) == "running"
    lease_ms = shop.backtests.get(job_id, ANN).lease_ms
    assert lease_ms is not None
    shop.now_ms = lease_ms - LEASE_MS
    assert shop.backtests.claim("early") is None
    shop.now_ms = lease_ms
    heir = shop.backtests.claim("heir")
    assert heir is not None
    assert heir.id == job_id
    assert shop.backtests.give_back(heir)
    assert shop.status(undisturbed) == "done"


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_store_that_is_away_for_a_moment_loses_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = shop.ask(config=SHORT)
    finish, calls = shop.backtests.finish, iter([True, True])

    def away(*args: object, **more: object) -> object:
        if next(calls, False):
            raise StoreError("away")
        return finish(*args, **more)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(shop.backtests, "finish", away)
    assert shop.workers().work_once()
    assert shop.status(job_id) == "done"


def test_nothing_secret_is_in_its_environment(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHORUS_SECRET", "hidden")
    shop.ask(config=LONG)
    with shop.workers():
        environ = Path(f"/proc/{await_player()}/environ").read_bytes()
        assert b"hidden" not in environ
        assert b"PATH=" in environ
