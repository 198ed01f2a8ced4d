"""The order manager's journal gives back what was written, typed."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from engine.errors import JournalError
from engine.instance.commands import Pause, Update
from engine.journal import (
    Commanded,
    Decided,
    Joined,
    JournalFile,
    Left,
    OrderJournal,
    OrderJournalRecord,
    Registered,
)
from engine.types import Action, CancelRequest, Decision, OrderRequest, OrderType, Side, Signal

RECORDS: list[OrderJournalRecord] = [
    Registered(b'{"id": "a"}'),
    Joined("host", 1, ["a", "b"], ["paper:A/B:1m"], 0),
    Decided(
        3,
        [
            Decision(
                "a",
                "paper:A/B:1m",
                3,
                240_000,
                (
                    Signal(Action.BUY, "A/B", 0.75, "crossed", stop_loss=Decimal("0.02")),
                    OrderRequest("A/B", Side.SELL, OrderType.LIMIT, Decimal("1.10"), Decimal(7)),
                    CancelRequest("a-1"),
                ),
            )
        ],
    ),
    Commanded("a", 4, Pause()),
    Commanded("b", 4, Update({"fast": 12, "names": ["x"], "ratio": 0.5, "on": True})),
    Left("host", ["a", "b"], "process ended", 9),
]


def opened(path: Path, kind: str = OrderJournal.KIND) -> JournalFile:
    return JournalFile(path, kind=kind, sync=False)


def test_every_record_type_comes_back_equal(tmp_path: Path) -> None:
    with OrderJournal(opened(tmp_path / "j")) as journal:
        assert [journal.append(record) for record in RECORDS] == list(range(len(RECORDS)))
        assert list(journal.replay()) == []
        journal.commit()
        assert list(journal.replay()) == RECORDS
    with OrderJournal(opened(tmp_path / "j")) as journal:
        assert list(journal.replay(2)) == RECORDS[2:]


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with (
        opened(tmp_path / "j", "slices") as file,
        pytest.raises(JournalError, match="kind 'orders', got one of 'slices'"),
    ):
        OrderJournal(file)


def test_what_msgpack_cannot_hold_is_refused_before_it_is_buffered(tmp_path: Path) -> None:
    with OrderJournal(opened(tmp_path / "j")) as journal:
        with pytest.raises(JournalError, match="Commanded record cannot be stored"):
            journal.append(Commanded("a", 0, Update({"odd": object()})))
        assert journal.file.count == 0


def test_an_unknown_record_type_names_its_index(tmp_path: Path) -> None:
    with opened(tmp_path / "j") as file:
        file.append(b"\x91\xa7unknown")
        file.commit()
        with pytest.raises(JournalError, match="record 0 is intact but cannot be read"):
            list(OrderJournal(file).replay())


def test_closing_keeps_what_was_appended(tmp_path: Path) -> None:
    journal = OrderJournal(opened(tmp_path / "j"))
    journal.append(RECORDS[0])
    journal.close()
    with OrderJournal(opened(tmp_path / "j")) as journal:
        assert list(journal.replay()) == RECORDS[:1]
