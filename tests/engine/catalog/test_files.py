"""What is on record of strategy files is what lies in the folders, and nothing forbidden is run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from engine.access import Caller
from engine.catalog import default_folders
from engine.catalog.files import StrategyFiles
from engine.errors import ConfigError, ForbiddenError, NotFoundError
from engine.store import AuditEntry, Store, StrategyFile

GOOD = """
from decimal import Decimal

from strategies import Compatibility, Strategy, StrategyMetadata


class {name}(Strategy):
    metadata = StrategyMetadata(
        type="{type}", version="2.1", author="ann", description="Does nothing.",
        compatibility=Compatibility(symbols=("*/USDT",), min_capital=Decimal("0.10")),
    )

    def on_candle(self, candle): ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "types"
    folder.mkdir()
    (folder / "idle.py").write_text(GOOD.format(name="Idle", type="IDLE"))
    return folder


@pytest.fixture
def files(store: Store, folder: Path) -> StrategyFiles:
    clock = count(1_000)
    return StrategyFiles(store, [folder], lambda: next(clock))


def rows(store: Store) -> dict[str, StrategyFile]:
    with store.read() as session:
        return {Path(row.path).name: row for row in session.scalars(select(StrategyFile))}


def test_a_good_file_is_described_and_can_be_used(
    files: StrategyFiles, store: Store, folder: Path
) -> None:
    report = files.sync()
    assert report.added == [str(folder / "idle.py")]
    assert (report.changed, report.gone, report.unusable, report.unchanged) == ([], [], {}, 0)
    assert list(files.catalog.types) == ["IDLE"]
    row = rows(store)["idle.py"]
    assert (row.type, row.version, row.author, row.is_usable) == ("IDLE", "2.1", "ann", True)
    assert row.compatibility["symbols"] == ["*/USDT"]
    assert row.compatibility["min_capital"] == "0.10"
    assert row.code_hash == files.catalog.get("IDLE").code_hash
    assert row.problems == {"errors": []}


def test_what_comes_changes_and_goes_is_noticed(
    files: StrategyFiles, store: Store, folder: Path
) -> None:
    files.sync()
    other = folder / "other.py"
    other.write_text(GOOD.format(name="Other", type="OTHER"))
    assert files.sync().added == [str(other)]
    (folder / "idle.py").write_text(GOOD.format(name="Idle", type="IDLE") + "# changed\n")
    report = files.sync()
    assert (report.changed, report.unchanged) == ([str(folder / "idle.py")], 1)
    other.unlink()
    assert files.sync().gone == [str(other)]
    assert files.sync().gone == []
    row = rows(store)["other.py"]
    assert (row.is_present, row.is_usable, row.type) == (False, False, "OTHER")
    other.write_text(GOOD.format(name="Other", type="OTHER"))
    assert files.sync().added == [str(other)]


def test_a_file_that_does_what_it_may_not_is_not_run(
    files: StrategyFiles, store: Store, folder: Path
) -> None:
    trace = folder / "trace"
    source = GOOD.format(name="Bad", type="BAD") + f"\nopen({str(trace)!r}, 'w')\n"
    (folder / "bad.py").write_text(source)
    report = files.sync()
    assert not trace.exists()
    assert list(files.catalog.types) == ["IDLE"]
    line = source.splitlines().index(f"open({str(trace)!r}, 'w')") + 1
    assert report.unusable[str(folder / "bad.py")].startswith(f"{folder / 'bad.py'}:{line}:1: uses")
    assert not rows(store)["bad.py"].is_usable
    assert "(files)" in rows(store)["bad.py"].problems["errors"][0]
    assert [str(broken.file) for broken in files.catalog.broken] == [str(folder / "bad.py")]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def f(:", "SyntaxError"),
        ("x = 1", "needs exactly one subclass"),
        ("raise ValueError('no')", "ValueError: no"),
        (GOOD.format(name="Twin", type="IDLE"), "already defined"),
        ("raise ValueError('a\\0b\\ud800')", "ValueError: a?b?"),
        (GOOD.format(name="Long", type="L" * 65), "metadata.type has at most 64 characters"),
        (GOOD.format(name="Nul", type="N\\0"), "metadata.type: holds a NUL"),
        (
            GOOD.format(name="Odd", type="ODD")
            + "    def get_parameters_schema(): return {'default': float('inf')}\n",
            "get_parameters_schema.default: a number must be finite",
        ),
    ],
)
def test_a_broken_file_is_recorded_with_the_reason_and_breaks_no_other(
    files: StrategyFiles, store: Store, folder: Path, source: str, reason: str
) -> None:
    (folder / "zbroken.py").write_text(source)
    report = files.sync()
    assert list(files.catalog.types) == ["IDLE"]
    assert reason in report.unusable[str(folder / "zbroken.py")]
    assert reason in rows(store)["zbroken.py"].problems["errors"][0]


def test_what_comes_with_chorus_is_all_usable(store: Store) -> None:
    files = StrategyFiles(store, default_folders(), lambda: 0)
    assert files.sync().unusable == {}
    assert {"RULES", "EMA_CROSS"} <= files.catalog.types.keys()
    assert files.sync().unchanged == len(files.catalog.types)


def test_a_folder_that_is_not_there_is_refused_and_nothing_recorded(
    store: Store, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        StrategyFiles(store, [tmp_path / "no"], lambda: 0).sync()
    assert rows(store) == {}


def test_what_is_on_record_is_found_and_filtered(
    files: StrategyFiles, folder: Path, store: Store
) -> None:
    (folder / "bad.py").write_text("import os")
    (folder / "old.py").write_text(GOOD.format(name="Old", type="OLD"))
    files.sync()
    (folder / "old.py").unlink()
    files.sync()

    def names(**filters: Any) -> list[str]:
        return [Path(row.path).name for row in files.page(**filters).items]

    assert names() == ["bad.py", "idle.py", "old.py"]
    assert names(valid=True) == ["idle.py"]
    assert names(valid=False, present=True) == ["bad.py"]
    assert names(present=False, sort="-type") == ["old.py"]
    first = files.page(limit=2)
    assert [Path(row.path).name for row in files.page(after=first.next).items] == ["old.py"]
    bad = files.get(first.items[0].id)
    assert "imports 'os'" in bad.problems["errors"][0]
    with pytest.raises(NotFoundError, match="strategy file 'x': there is none"):
        files.get("x")


def test_only_admins_look_anew_and_each_change_of_code_is_on_record(
    files: StrategyFiles, folder: Path, store: Store
) -> None:
    for role in ("viewer", "trader"):
        with pytest.raises(ForbiddenError, match="needs the role admin"):
            files.sync(Caller("u", role))
    assert rows(store) == {}
    files.sync()
    first = rows(store)["idle.py"].code_hash
    files.sync()
    (folder / "idle.py").write_text(GOOD.format(name="Idle", type="IDLE") + "# changed\n")
    files.sync()
    second = rows(store)["idle.py"].code_hash
    (folder / "idle.py").unlink()
    files.sync()
    with store.read() as session:
        entries = list(session.scalars(select(AuditEntry).order_by(AuditEntry.id)))
    assert [entry.action for entry in entries] == ["sync"] * 3
    changes = [entry.change["code_hash"] for entry in entries]
    assert changes == [[None, first], [first, second], [second, None]]


def test_the_catalog_is_replaced_as_a_whole(files: StrategyFiles, folder: Path) -> None:
    files.sync()
    before = files.catalog
    (folder / "idle.py").write_text(GOOD.format(name="Idle", type="IDLE") + "# changed\n")
    (folder / "other.py").write_text(GOOD.format(name="Other", type="OTHER"))
    files.sync()
    assert list(before.types) == ["IDLE"]
    assert list(files.catalog.types) == ["IDLE", "OTHER"]
    assert before.get("IDLE").cls is not files.catalog.get("IDLE").cls


def test_of_those_who_look_at_the_same_time_the_last_ones_catalog_stays(
    files: StrategyFiles, folder: Path, store: Store
) -> None:
    def change(number: int) -> None:
        (folder / f"n{number}.py").write_text(GOOD.format(name=f"N{number}", type=f"N{number}"))
        files.sync()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(change, range(8)))
    assert set(files.catalog.types) == {"IDLE", *(f"N{number}" for number in range(8))}
    assert all(row.is_usable for row in rows(store).values())
