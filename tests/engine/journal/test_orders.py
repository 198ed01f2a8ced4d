"""The order manager's journal gives back what was recorded, typed."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from engine.config import AccountConfig, RiskConfig, StrategyConfig
from engine.errors import JournalError
from engine.instance.commands import Pause, Update
from engine.journal import JournalFile
from engine.journal.orders import OrderJournal
from engine.sequencing import Answer, SliceCommand, SliceDecision
from engine.sequencing.coordinator import Coordinator
from engine.sequencing.records import (
    Commanded,
    Decided,
    Joined,
    Left,
    Moved,
    Reached,
    Record,
    Registered,
    Rejoined,
    Traded,
    Withdrawn,
    registered,
    registration_of,
)
from engine.trading import Registration, TradingMode
from engine.types import (
    Action,
    CancelRequest,
    Candle,
    Decision,
    MarketSlice,
    OrderEvent,
    OrderRequest,
    OrderType,
    Side,
    Signal,
)

RECORDS: list[Record] = [
    Registered(-1, -1, '{"id": "a"}'),
    Registered(-1, -1, '{"id": "f"}', '{"id": "mine"}', "a"),
    Joined(-1, -1, "host", 1, {"a": ["paper:A/B:1m"], "b": []}),
    Reached(3, 2),
    Decided(
        3,
        2,
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
    Commanded(4, 4, "host", SliceCommand("a", 4, 2, Pause())),
    Rejoined(5, 4, "host", 2),
    Moved(6, 6, "b", "other", 1),
    Left(9, 9, "host", ["a", "b"], "process ended"),
    Withdrawn(9, 9, ["f"], "paused"),
    Traded(9, 9, "halted", "mine"),
]


def opened(path: Path, kind: str = OrderJournal.KIND) -> JournalFile:
    return JournalFile(path, kind=kind, sync=False)


def test_every_record_type_comes_back_equal(tmp_path: Path) -> None:
    assert {type(record) for record in RECORDS} == set(Record.__args__)
    with OrderJournal(opened(tmp_path / "j")) as journal:
        for record in RECORDS:
            journal.add(record)
        assert list(journal.records()) == []
        journal.commit()
        assert list(journal.records()) == RECORDS
    with OrderJournal(opened(tmp_path / "j")) as journal:
        assert list(journal.records(2)) == RECORDS[2:]


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with (
        opened(tmp_path / "j", "slices") as file,
        pytest.raises(JournalError, match="kind 'orders', got one of 'slices'"),
    ):
        OrderJournal(file)


def test_what_msgpack_cannot_hold_is_refused_before_it_is_buffered(tmp_path: Path) -> None:
    odd = SliceCommand("a", 0, 0, Update({"odd": object()}))
    with OrderJournal(opened(tmp_path / "j")) as journal:
        with pytest.raises(JournalError, match="Commanded record cannot be stored"):
            journal.add(Commanded(0, 0, "host", odd))
        assert journal.file.count == 0


def test_an_unknown_record_type_names_its_index(tmp_path: Path) -> None:
    with opened(tmp_path / "j") as file:
        file.append(b"\x91\xa7unknown")
        file.commit()
        with pytest.raises(JournalError, match="record 0 is intact but cannot be read"):
            list(OrderJournal(file).records())


def test_a_registration_of_before_there_were_followers_is_read(tmp_path: Path) -> None:
    text = '{"id": "a", "type": "RULES", "symbol": "A/B", "timeframe": "1m"}'
    with opened(tmp_path / "j") as file:
        file.append(msgspec.msgpack.encode(["Registered", 4, 3, text]))
        file.commit()
        (record,) = OrderJournal(file).records()
    assert record == Registered(4, 3, text)
    found = registration_of(record)
    assert (found.strategy.id, found.account, found.follows) == ("a", None, "")


def test_a_registration_comes_back_with_its_account(tmp_path: Path) -> None:
    leader = StrategyConfig.model_validate(
        {"id": "a", "type": "EMA_CROSS", "symbol": "A/B", "timeframe": "1m"}
    )
    account = AccountConfig.model_validate({"id": "mine", "balances": {"B": "10.50"}})
    risk = RiskConfig(stop_loss=Decimal("0.020"))
    follower = Registration.of_follower("f", leader, account, capital=Decimal("7.1"), risk=risk)
    with OrderJournal(opened(tmp_path / "j")) as journal:
        journal.add(registered(4, 3, follower))
        journal.commit()
        (record,) = journal.records()
    assert registration_of(record) == follower


class Decider:
    """Decides nothing and remembers what it was given."""

    strategies = ("a", "f")
    lines = 0

    def __init__(self) -> None:
        self.seen: list[object] = []

    def match(self, market_slice: MarketSlice) -> list[OrderEvent]:
        self.seen.append(market_slice.number)
        return []

    def tally(self) -> dict[str, tuple[int, int]]:
        return {}

    def decide(self, market_slice: MarketSlice, decisions: Sequence[Decision]) -> list[OrderEvent]:
        self.seen.append((market_slice.number, list(decisions)))
        return []

    def register(self, registration: Registration) -> None:
        self.seen.append(registration)

    def set_trading(self, mode: TradingMode, account: str) -> None:
        self.seen.append((mode, account))

    def withdraw(self, instance: str, reason: str) -> list[OrderEvent]:
        self.seen.append((instance, reason))
        return []


def test_a_coordinator_is_built_again_from_its_journal(tmp_path: Path) -> None:
    slices = [
        MarketSlice(n, n, (Candle("paper:A/B:1m", n, n, n + 1, 1.0, 1.0, 1.0, 1.0, 1.0, 1),))
        for n in range(3)
    ]
    wish = Decision("a", "paper:A/B:1m", 1, 1, (CancelRequest("a-1"),))
    strategy = StrategyConfig.model_validate(
        {"id": "a", "type": "EMA_CROSS", "symbol": "A/B", "timeframe": "1m"}
    )
    first = Decider()
    with OrderJournal(opened(tmp_path / "j")) as journal:
        coordinator = Coordinator(first, journal)
        coordinator.register([Registration(strategy)])
        coordinator.join("host", epoch=1, instances={"a": ["paper:A/B:1m"]})
        coordinator.add_slices(slices)
        coordinator.advance()
        coordinator.on_answer(Answer("host", 1, 1, -1, 0, [SliceDecision(1, wish)]))
        coordinator.advance()
        coordinator.leave("host", ["a"], "done")
        journal.abandon()
    second = Decider()
    with OrderJournal(opened(tmp_path / "j")) as journal:
        again = Coordinator(second, journal, reign=1)
        again.restore(slices, journal.records())
        assert second.seen == first.seen
        assert (again.matched, again.decided) == (2, 1)
        again.register([Registration(strategy)])
        assert [type(record) for record in journal.records()] == [
            Registered,
            Joined,
            Decided,
            Left,
            Registered,
        ]


def test_closing_keeps_what_was_added_and_abandoning_does_not(tmp_path: Path) -> None:
    journal = OrderJournal(opened(tmp_path / "j"))
    journal.add(RECORDS[0])
    journal.close()
    with OrderJournal(opened(tmp_path / "j")) as journal:
        journal.add(RECORDS[1])
        journal.abandon()
    with OrderJournal(opened(tmp_path / "j")) as journal:
        assert list(journal.records()) == RECORDS[:1]
