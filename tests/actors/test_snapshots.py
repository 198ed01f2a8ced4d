"""States are taken when nothing else is to be done, and a host that dies goes on from them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from actors.engine import running_engine
from actors.snapshots import CHUNKS, ROUND_EVERY_NS, SHARE, StateKeeper, says_what_it_keeps
from actors.state import open_run_folder
from engine.backtest import run_backtest
from engine.catalog import default_folders, discover
from engine.config import RunConfig
from engine.journal import SnapshotStore
from engine.market import open_market
from engine.sequencing import SeatState
from strategies import Candle, Strategy, StrategyMetadata

MS = 1_000_000


def a_state(name: str, processed: int, size: int = 0) -> SeatState:
    return SeatState.of(
        name,
        joined=0,
        inherited=0,
        processed=processed,
        taken=0,
        events=0,
        matched=0,
        commands=[],
        decisions=[],
        state=bytes(size),
    )


class Desk:
    """Instances with states, and a clock that goes on while these are taken."""

    def __init__(self, folder: Path, count: int, *, cost_ns: int = MS // 10) -> None:
        self.now = 1000 * ROUND_EVERY_NS
        self.processed = 5
        self.taken: list[str] = []
        self.failures: dict[str, str] = {}
        self.cost_ns = cost_ns
        self.size = 0
        self.names = [f"s{n}" for n in range(count)]
        self.keeper = self.a_keeper(folder)

    def a_keeper(self, folder: Path | str) -> StateKeeper:
        return StateKeeper(str(folder), "pool:0", self.take, clock=lambda: self.now)

    def take(self, names: Sequence[str]) -> tuple[list[SeatState], dict[str, str]]:
        self.now += self.cost_ns * len(names)
        self.taken += names
        failures = {name: cause for name, cause in self.failures.items() if name in names}
        able = [name for name in names if name not in failures]
        return [a_state(name, self.processed, self.size) for name in able], failures

    def idle(self, duration_ns: int = ROUND_EVERY_NS) -> None:
        """Let nothing happen for a while."""
        end = self.now + duration_ns
        while self.now < end:
            self.keeper.take_some(self.names)
            self.now += 10 * MS

    def found(self, keeper: StateKeeper) -> dict[str, int]:
        return {name: state.processed for name, state in keeper.read(self.names).items()}


def test_every_state_is_taken_once_a_round_and_found_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 300)
    desk.idle(ROUND_EVERY_NS - MS)
    assert sorted(desk.taken) == sorted(desk.names)
    assert desk.found(desk.a_keeper(tmp_path)) == dict.fromkeys(desk.names, 5)
    assert len(list((tmp_path / "snapshots").iterdir())) <= CHUNKS
    desk.processed = 9
    desk.idle()
    assert len(desk.taken) == 600
    assert desk.found(desk.a_keeper(tmp_path)) == dict.fromkeys(desk.names, 9)


def test_where_nothing_was_to_be_stored_the_next_round_begins_soon(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 3)
    take = desk.take
    asked = 0

    def nothing_yet(names: Sequence[str]) -> tuple[list[SeatState], dict[str, str]]:
        nonlocal asked
        asked += 1
        return take(names) if asked > 9 else ([], {})

    desk.keeper = StateKeeper(str(tmp_path), "h", nothing_yet, clock=lambda: desk.now)
    desk.idle()
    assert sorted(desk.taken) == sorted(desk.names)


def test_nobody_else_waits_long_and_little_time_goes_into_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 3000)
    began = desk.now
    longest = 0
    while len(desk.taken) < 3000:
        before = desk.now
        desk.keeper.take_some(desk.names)
        longest = max(longest, desk.now - before)
        desk.now += MS
    spent = desk.cost_ns * 3000
    assert longest < 4 * MS
    assert spent / (desk.now - began) < SHARE * 1.05


def test_large_states_are_written_less_often(tmp_path: Path) -> None:
    desk = Desk(tmp_path, 5)
    desk.size = 30_000_000
    desk.idle(2 * ROUND_EVERY_NS)
    assert len(desk.taken) == 5
    desk.idle()
    assert len(desk.taken) == 10


def test_one_without_a_state_is_asked_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path, 3)
    desk.failures = {"s1": "ValueError: odd"}
    desk.idle(3 * ROUND_EVERY_NS)
    assert desk.taken.count("s1") == 1
    assert desk.found(desk.keeper) == {"s0": 5, "s2": 5}
    assert caplog.text.count("ValueError: odd") == 1


def test_a_disk_that_takes_nothing_is_noted_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path, 3)
    (tmp_path / "snapshots").write_text("in the way")
    desk.idle(3 * ROUND_EVERY_NS)
    assert desk.found(desk.keeper) == {}
    assert caplog.text.count("goes on without snapshots") == 2, "writing once, reading once"


@pytest.mark.parametrize("payload", [b"odd", msgspec.msgpack.encode([b"odd"])])
def test_what_cannot_be_read_is_noted_and_ignored(
    tmp_path: Path, payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path, 1)
    desk.idle()
    (folder,) = (tmp_path / "snapshots").iterdir()
    chunk = folder.name.split("_")[2].split("-")[0]
    SnapshotStore(tmp_path / "snapshots").write(f"pool:0/{chunk}", 99, payload)
    assert desk.found(desk.keeper) == {}
    assert "damaged" in caplog.text


@pytest.mark.parametrize("folder", ["", "/nowhere/at/all"])
def test_without_a_folder_on_this_machine_none_are_taken(tmp_path: Path, folder: str) -> None:
    desk = Desk(tmp_path, 3)
    desk.keeper = desk.a_keeper(folder)
    desk.idle()
    assert (desk.taken, desk.found(desk.keeper)) == ([], {})


class Silent(Strategy):
    metadata = StrategyMetadata(type="SILENT")

    def on_candle(self, candle: Candle) -> None:
        self.last = candle.close


class Outspoken(Silent):
    metadata = StrategyMetadata(type="OUTSPOKEN")
    state_fields = ("last",)


class Learning(Silent):
    metadata = StrategyMetadata(type="LEARNING")

    def on_history(self, candle: Candle) -> None:
        self.last = candle.close


def test_only_types_that_say_what_they_keep_go_on_from_states() -> None:
    assert not says_what_it_keeps(Silent)
    assert says_what_it_keeps(Outspoken)
    assert says_what_it_keeps(Learning)


TALKATIVE = """
import os
from pathlib import Path
from strategies import Strategy, StrategyMetadata


class Talkative(Strategy):
    metadata = StrategyMetadata(type="TALKATIVE")
    state_fields = ("count",)

    def on_init(self, services):
        self.count = 0

    def on_candle(self, candle):
        self.count += 1
        with Path({file!r}).open("a") as file:
            file.write(f"{{self.services.config.id}} {{os.getpid()}} {{candle.seq}}\\n")
        if self.count % 7 == 3:
            self.services.order.buy()
        elif self.count % 7 == 6:
            self.services.order.close()
"""


def test_hosts_that_die_go_on_from_their_states(
    tmp_path: Path, a_run: Callable[..., RunConfig], a_strategy: Callable[..., dict[str, object]]
) -> None:
    seen = tmp_path / "seen"
    (tmp_path / "talkative.py").write_text(TALKATIVE.format(file=str(seen)))
    catalog = discover([*default_folders(), tmp_path])
    members = [
        {"id": name, "type": "TALKATIVE", "symbol": "AAA/USDT", "timeframe": "1m", **placed}
        for name, placed in {
            "alone": {},
            "first": {"isolation": "pooled"},
            "second": {"isolation": "pooled"},
        }.items()
    ]
    config = a_run(
        members,
        candles=250,
        timeframes=("1m", "1m"),
        placement={"hosts": 1},
        market={"speed": 60 * 10},
        arbitration={"windowMs": 60_000},
    )
    expected = run_backtest(config, catalog, open_market(config.market, config.wanted_streams, ()))
    seen.unlink()
    with (
        open_run_folder(tmp_path / "state", config, catalog, (), resume=False) as state,
        running_engine(config, catalog, state=state) as engine,
    ):
        # The first round of states comes as soon as all is quiet, with few candles in them.
        while len(list(state.path.glob("snapshots/*/*.snapshot"))) < 3:
            assert not engine.wait(0.1), "it has ended without any state"
        killed = {int(line.split()[1]) for line in seen.read_text().splitlines()}
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        assert len(killed) == 2
        while not engine.wait(1.0):
            pass
        extract = engine.client.extract()
    assert extract.ledger.sha256 == expected.ledger_sha256
    firsts: dict[tuple[str, str], int] = {}
    for line in seen.read_text().splitlines():
        name, pid, seq = line.split()
        firsts.setdefault((name, pid), int(seq))
    came_back = {name: seq for (name, pid), seq in firsts.items() if int(pid) not in killed}
    assert set(came_back) == {"alone", "first", "second"}
    assert all(came_back.values()), "candle 0 was lived through again"
