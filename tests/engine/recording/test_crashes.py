"""A recorder that is killed leaves the lines it has counted and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from engine.recording import RecordingLoop
from engine.store import Recording, Store
from tests.engine.recording.ledgers import (
    OWNERS,
    a_ledger,
    a_recorder,
    an_event_log,
    contents,
    record_all,
    rows_of,
)
from tests.stores import an_empty_store

LEDGER, _ = a_ledger("net", 11)
BATCH = 3
"""Lines: so few that a process is killed long before it has recorded them all."""

RECORDER = """
import json
import sys
from pathlib import Path
from engine.events import MemoryEventLog
from engine.recording import Owner, Recorder
from engine.store import Store

address, ledger, events, size = sys.argv[1:]
lines = Path(ledger).read_bytes().splitlines(keepends=True)

class Log(MemoryEventLog):
    def publish(self, topic, data, **about):
        print(json.dumps([topic, data]), file=told, flush=True)

def whose(name):
    return Owner(name, f"u-{name}", f"account-{name}")

with open(events, "a") as told:
    store = Store.open(address)
    recorder = Recorder(store, Log(now_ms=lambda: 1), whose, lambda: 7, run_id="r")
    at = recorder.position()
    recorder.publish()
    while at < len(lines):
        at = recorder.apply(at, lines[at : at + int(size)])
        print(at, flush=True)
"""


def kill_after(batches: int, *arguments: str) -> int:
    """Record in a process of its own, which is killed after some batches; returns the last one."""
    process = subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", RECORDER, *arguments, str(BATCH)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(batches):
        said = process.stdout.readline()
    process.kill()
    rest, _ = process.communicate()
    return int((said + rest).split("\n")[-2])


def undisturbed(folder: Path, count: int) -> dict[str, list[dict[str, object]]]:
    """Return what a store holds of the first lines when nothing happens."""
    with an_empty_store(folder / f"undisturbed-{count}.db") as store:
        record_all(a_recorder(store, run_id="r"), LEDGER[:count])
        return contents(store)


@pytest.mark.slow
def test_rows_agree_with_the_position_and_whoever_goes_on_makes_the_same_tables(
    address: str, store: Store, tmp_path: Path
) -> None:
    ledger, events = tmp_path / "ledger", tmp_path / "events"
    ledger.write_bytes(b"".join(LEDGER))
    for batches in (2, 5, 9):
        said = kill_after(batches, address, str(ledger), str(events))
        (row,) = rows_of(store, Recording)
        assert said <= row["lines"] <= said + BATCH
        assert row["lines"] < len(LEDGER)
        assert contents(store) == undisturbed(tmp_path, row["lines"])

    log, expected = an_event_log(), an_event_log()
    loop = RecordingLoop(
        a_recorder(store, run_id="r", event_log=log),
        lambda start, limit, _: (len(LEDGER), LEDGER[start : start + limit]),
    )
    while loop.status.recorded < len(LEDGER):
        loop._go_on()
    assert contents(store) == undisturbed(tmp_path, len(LEDGER))

    with an_empty_store(tmp_path / "told.db") as other:
        record_all(a_recorder(other, run_id="r", event_log=expected), LEDGER)
    told = [msgspec.json.decode(line) for line in events.read_bytes().splitlines(keepends=True)]
    told += [[event.topic, event.data] for event in log.read(None, 10**6)]
    once = dict.fromkeys(msgspec.json.encode(each) for each in told)
    all_of_it = [[event.topic, event.data] for event in expected.read(None, 10**6)]
    assert list(once) == list(dict.fromkeys(msgspec.json.encode(each) for each in all_of_it))
    assert len(told) >= len(all_of_it)


def test_the_owners_of_the_process_are_those_of_the_test() -> None:
    assert all(
        (owner.owner_id, owner.account_id) == (f"u-{name}", f"account-{name}")
        for name, owner in OWNERS.items()
    )
