"""Who takes part since when, and what is forgotten when that changes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from engine.errors import ChorusError
from engine.instance import Pause
from engine.sequencing import Answer, Past, Release, SliceCommand, SliceDecision, SliceEvent
from engine.sequencing.coordinator import Coordinator
from engine.sequencing.records import Reached, Record, Recorder, Traded, Withdrawn
from engine.trading import Registration, TradingMode
from engine.types import Decision, MarketSlice, OrderEvent
from tests.engine.sequencing.scripted import MINUTE, OTHER, STREAM, canceled, candle


class Desk:
    """An order manager that notes what it decides, and cancels something when told to."""

    strategies = ("a", "b", "c")
    lines = 0

    def __init__(self) -> None:
        self.decided: list[tuple[int, list[str]]] = []
        self.withdrawn: list[str] = []
        self.modes: list[tuple[str, str]] = []
        self.matching: dict[int, list[OrderEvent]] = {}

    def register(self, registration: Registration, /) -> None:
        raise NotImplementedError

    def set_trading(self, mode: TradingMode, account: str, /) -> None:
        self.modes.append((mode, account))

    def withdraw(self, instance: str, reason: str, /) -> list[OrderEvent]:
        self.withdrawn.append(instance)
        return [canceled(reason, instance)]

    def tally(self) -> dict[str, tuple[int, int]]:
        return {}

    def match(self, market_slice: MarketSlice, /) -> list[OrderEvent]:
        return self.matching.get(market_slice.number, [])

    def decide(
        self, market_slice: MarketSlice, decisions: Sequence[Decision], /
    ) -> list[OrderEvent]:
        self.decided.append((market_slice.number, [each.instance for each in decisions]))
        return []


class Notes(Recorder):
    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(self, record: Record) -> None:
        self.records.append(record)


class Stage:
    """A coordinator with host `h` of instances `a` and `b`; every slice has a candle of theirs."""

    def __init__(self, through: int = 2) -> None:
        self.desk, self.notes = Desk(), Notes()
        self.coordinator = Coordinator(self.desk, self.notes)
        self.coordinator.join("h", epoch=1, instances={"a": [STREAM], "b": [STREAM]})
        self.slices = [MarketSlice(n, (n + 1) * MINUTE, (candle(n),)) for n in range(10)]
        self.coordinator.add_slices(self.slices[: through + 1])

    def answer(
        self,
        through: int,
        *decided: tuple[int, str],
        host: str = "h",
        epoch: int = 1,
        waiting: int = -1,
        **more: object,
    ) -> bool:
        decisions = [
            SliceDecision(n, Decision(name, STREAM, n, (n + 1) * MINUTE, ())) for n, name in decided
        ]
        given = {"commands": [], "taken": None, "reign": 0, **more}
        return self.coordinator.on_answer(
            Answer(host, epoch, through, waiting, 0, decisions, **given)
        )

    @property
    def decided(self) -> list[tuple[int, list[str]]]:
        return self.desk.decided

    def restored(self) -> Coordinator:
        again = Coordinator(Desk(), reign=1)
        again.restore(self.slices, self.notes.records)
        return again


def test_newcomers_take_part_from_the_slice_after_the_one_in_hand() -> None:
    stage = Stage()
    stage.coordinator.advance()
    assert stage.coordinator.join("h", epoch=2, instances={"c": [OTHER]}) == 1
    assert stage.coordinator.members() == {"h": (2, ["a", "b", "c"])}
    assert stage.coordinator.stalls()[0].host == "h"


def test_what_was_answered_without_the_newcomers_is_told_again() -> None:
    stage = Stage(0)
    stage.answer(2, (0, "a"), (1, "a"), (2, "b"))
    stage.coordinator.advance()
    assert stage.decided == [(0, ["a"])]
    assert stage.coordinator.join("h", epoch=2, instances={"c": [STREAM]}) == 1
    assert stage.coordinator.reached() == {"h": 0}
    stage.coordinator.add_slices(stage.slices[:3])
    assert not stage.answer(2), "the old epoch is over"
    assert not stage.answer(2, epoch=2), "it has yet to tell everything again"
    told = {"a": 0, "b": 0, "c": 0}
    assert stage.answer(2, (0, "a"), (1, "a"), (1, "c"), (2, "b"), epoch=2, taken=told)
    stage.coordinator.advance()
    assert stage.decided == [(0, ["a"]), (1, ["a", "c"]), (2, ["b"])]


def test_nothing_is_sent_to_a_host_before_it_has_told_everything_again() -> None:
    stage = Stage(0)
    stage.desk.matching[1] = [canceled("one", "a"), canceled("two", "a")]
    stage.answer(0, waiting=1)
    stage.coordinator.advance()
    stage.coordinator.join("h", epoch=2, instances={"c": [STREAM]})
    stage.coordinator.add_slices(stage.slices[:2])
    assert stage.coordinator.advance() == []
    assert stage.answer(0, epoch=2, waiting=1, taken={"a": 1, "b": 0, "c": 0})
    second = SliceEvent(1, canceled("two", "a"), matched=True, number=1)
    assert stage.coordinator.advance() == [("h", Release(1, [second], 0, 2))]
    assert stage.answer(0, epoch=2, taken={"a": 1, "b": 0, "c": 0})
    assert stage.coordinator.advance() == [], "the release is under way"


@pytest.mark.parametrize("taken", [{"c": 0}, None])
def test_nothing_is_sent_to_a_host_that_has_yet_to_speak(taken: dict[str, int] | None) -> None:
    stage = Stage(0)
    coordinator = stage.coordinator
    coordinator.advance()
    coordinator.leave("h", ["a", "b"], "test")
    assert coordinator.join("h", epoch=2, instances={"c": [STREAM]}) == 1
    stage.desk.matching[1] = [canceled("early", "c")]
    coordinator.add_slices(stage.slices[:2])
    assert coordinator.advance() == [], "its process may go on, and c not be there yet"
    assert stage.answer(0, epoch=2, taken=taken)
    early = SliceEvent(1, canceled("early", "c"), matched=True)
    assert coordinator.advance() == [("h", Release(1, [early], 0, 2))]
    assert stage.answer(0, epoch=2, taken=taken), "it comes twice"
    assert coordinator.advance() == []


def test_an_instance_that_takes_part_elsewhere_cannot_join() -> None:
    with pytest.raises(ChorusError, match="'a': takes part in host 'h' and cannot join 'other'"):
        Stage().coordinator.join("other", epoch=1, instances={"a": [STREAM]})


def test_an_epoch_is_not_given_twice() -> None:
    coordinator = Stage().coordinator
    with pytest.raises(ChorusError, match="'h': a new epoch has to be larger than 1, got 1"):
        coordinator.join("h", epoch=1, instances={"c": [STREAM]})
    coordinator.join("other", epoch=1, instances={"c": [STREAM]})
    with pytest.raises(ChorusError, match="'other': a new epoch has to be larger than 1, got 1"):
        coordinator.move("a", to="other", epoch=1)


def test_a_host_that_joins_again_with_all_its_instances_is_a_new_one() -> None:
    stage = Stage()
    stage.answer(2, (0, "a"), (2, "b"))
    assert stage.coordinator.join("h", epoch=2, instances={"a": [STREAM], "b": [STREAM]}) == 0
    assert stage.answer(0, epoch=2)
    stage.coordinator.advance()
    assert stage.decided == [(0, [])]


def test_a_host_goes_on_without_those_who_leave() -> None:
    stage = Stage()
    stage.answer(1, (0, "a"), (1, "b"))
    stage.coordinator.leave("h", ["a"], "test")
    assert stage.desk.withdrawn == ["a"]
    assert stage.answer(2, (2, "a"), (2, "b")), "its answers may still speak of one that has left"
    stage.coordinator.advance()
    assert stage.decided == [(0, []), (1, ["b"]), (2, ["b"])]
    stage.coordinator.leave("h", ["b"], "test")
    assert stage.coordinator.members() == {}
    assert not stage.answer(3)


def test_nobody_waits_for_candles_of_those_who_left() -> None:
    stage = Stage(0)
    stage.coordinator.join("other", epoch=1, instances={"c": [OTHER]})
    stage.coordinator.leave("h", ["a", "b"], "test")
    stage.coordinator.advance()
    assert stage.decided == [(0, [])]


def test_one_that_has_moved_leaves_from_where_it_is() -> None:
    stage = Stage(0)
    stage.coordinator.advance()
    stage.coordinator.move("a", to="x", epoch=1)
    assert stage.answer(5, host="x"), "it has run ahead"
    stage.coordinator.leave("h", ["a"], "test")
    again = stage.restored()
    assert again.members() == stage.coordinator.members() == {"h": (1, ["b"])}
    assert again.history("a") == stage.coordinator.history("a")
    for coordinator in (again, stage.coordinator):
        assert coordinator.join("a", epoch=1, instances={"a": [STREAM]}) == 1
    before = stage.coordinator.rejoin("a", epoch=2)
    assert again.rejoin("a", epoch=2) == before
    assert before.events == {"a": [SliceEvent(0, canceled("test", "a"))]}


def test_one_that_moves_takes_its_past_along() -> None:
    stage = Stage()
    stage.desk.matching[0] = [canceled("first", "a")]
    command = SliceCommand("a", 0, 1, Pause())
    stage.coordinator.advance()
    stage.answer(0, commands=[command])
    stage.coordinator.join("other", epoch=1, instances={"c": [OTHER]})
    past = stage.coordinator.move("a", to="other", epoch=2)
    event = SliceEvent(0, canceled("first", "a"), matched=True)
    assert past == Past({"a": 0}, 0, 0, {"a": [event]}, {"a": 0}, [command])
    assert stage.coordinator.members() == {"h": (1, ["b"]), "other": (2, ["c", "a"])}
    assert stage.desk.withdrawn == []


def test_what_one_that_moved_had_answered_ahead_is_told_by_its_new_host() -> None:
    stage = Stage(0)
    stage.answer(2, (0, "a"), (1, "a"), (1, "b"))
    past = stage.coordinator.move("a", to="a", epoch=1)
    assert (past.matched, past.through) == (-1, -1)
    stage.coordinator.add_slices(stage.slices[:2])
    assert stage.answer(3, (3, "a"), (3, "b")), "its old host has not heard of it"
    stage.coordinator.advance()
    assert stage.decided == []
    assert stage.answer(1, (0, "a"), (1, "a"), host="a")
    stage.coordinator.advance()
    assert stage.decided == [(0, ["a"]), (1, ["b", "a"])]


def test_a_host_goes_with_the_last_one_that_moves() -> None:
    coordinator = Stage().coordinator
    coordinator.move("a", to="x", epoch=1)
    coordinator.move("b", to="x", epoch=2)
    assert coordinator.members() == {"x": (2, ["a", "b"])}
    with pytest.raises(ChorusError, match="'b': takes part in host 'x' already"):
        coordinator.move("b", to="x", epoch=3)
    with pytest.raises(ChorusError, match="'nobody': takes part nowhere"):
        coordinator.move("nobody", to="x", epoch=3)


def test_commands_of_several_instances_are_told_apart_when_all_are_repeated() -> None:
    stage = Stage(0)
    first, second = SliceCommand("a", -1, 0, Pause()), SliceCommand("b", -1, 0, Pause())
    assert stage.answer(-1, commands=[first])
    assert stage.answer(-1, commands=[first]), "it comes twice"
    again = stage.restored()
    repeated = Answer("h", 1, -1, -1, 0, [], [first, second], {"a": 0, "b": 0}, 1)
    assert again.on_answer(repeated)
    assert again.rejoin("h", epoch=2).commands == [first, second]


def test_who_takes_part_since_when_is_on_record() -> None:
    stage = Stage()
    coordinator = stage.coordinator
    stage.answer(0)
    coordinator.advance()
    coordinator.join("h", epoch=2, instances={"c": [OTHER]})
    coordinator.move("b", to="b", epoch=1)
    coordinator.leave("h", ["a"], "test")
    again = stage.restored()
    assert again.members() == coordinator.members() == {"h": (2, ["c"]), "b": (1, ["b"])}
    for host in ("h", "b"):
        before, after = coordinator.rejoin(host, epoch=9), again.rejoin(host, epoch=9)
        assert msgspec.structs.replace(after, through=before.through) == before
    assert again.history("a") == coordinator.history("a")


def test_nobody_joins_before_a_place_that_others_were_told_of() -> None:
    stage = Stage()
    stage.answer(1, waiting=2)
    assert stage.coordinator.advance() == [("h", Release(2, [], 0, 1))]
    again = stage.restored()
    assert (again.matched, again.decided) == (2, 1)
    assert again.join("other", epoch=1, instances={"c": [STREAM]}) == 3


def test_what_can_be_read_of_the_ledger_is_on_record() -> None:
    stage = Stage(0)
    stage.answer(0)
    stage.coordinator.advance()
    stage.coordinator.add_slices(stage.slices[:2])
    stage.desk.lines = 3  # a fill of one without an instance: nobody is released
    assert stage.coordinator.lines == 0
    assert stage.coordinator.advance() == []
    assert stage.coordinator.lines == 3
    assert stage.notes.records[-1] == Reached(1, 0)
    stage.coordinator.advance()
    assert stage.notes.records[-1] == Reached(1, 0), "only what is new is put on record"
    assert stage.restored().matched == 1


def test_those_without_an_instance_are_withdrawn_on_record() -> None:
    stage = Stage()
    with pytest.raises(ChorusError, match="'a': takes part in host 'h'; let it leave"):
        stage.coordinator.withdraw(["c", "a"], "test")
    assert stage.desk.withdrawn == []
    stage.coordinator.withdraw(["c", "nobody"], "test")
    assert stage.desk.withdrawn == ["c"]
    assert stage.notes.records[-1] == Withdrawn(-1, -1, ["c", "nobody"], "test")


def test_modes_of_trading_are_on_record() -> None:
    stage = Stage()
    stage.coordinator.set_trading("halted")
    stage.coordinator.set_trading("reduce", "mine")
    assert stage.desk.modes == [("halted", ""), ("reduce", "mine")]
    assert stage.notes.records[-2:] == [
        Traded(-1, -1, "halted", ""),
        Traded(-1, -1, "reduce", "mine"),
    ]
    desk = Desk()
    Coordinator(desk, reign=1).restore(stage.slices, stage.notes.records)
    assert desk.modes == stage.desk.modes
