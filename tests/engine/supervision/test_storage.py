"""Desired state and history come back as they were, or not at all."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ChorusError, ConfigError
from engine.supervision import (
    Desired,
    DesiredStrategy,
    History,
    HostRecord,
    StrategyRecord,
    decode,
    encode,
)

DESIRED = Desired(
    (DesiredStrategy("a", "running", "dedicated", 1), DesiredStrategy("b", "paused", "pooled", 7)),
    2,
)
HISTORY = History(
    {"a": StrategyRecord(3, ("signal 11",), is_apart=True, verdict="failed")},
    {"a": HostRecord(4, 3, "signal 11", 12.5, 2, 0.125, 99, 13.0, None)},
)


def test_desired_state_comes_back() -> None:
    assert decode(encode(DESIRED), Desired) == DESIRED


@given(
    st.builds(
        History,
        *(
            st.dictionaries(st.text(), v)
            for v in (
                st.builds(StrategyRecord, st.integers(0, 9), st.lists(st.text()).map(tuple)),
                st.builds(HostRecord, st.integers(0, 9), delay_s=st.floats(0, 30)),
            )
        ),
    )
)
def test_any_history_comes_back(history: History) -> None:
    assert decode(encode(history), History) == history


def test_a_full_history_comes_back() -> None:
    assert decode(encode(HISTORY), History) == HISTORY


@given(st.data())
def test_damage_is_noticed(data: st.DataObject) -> None:
    stored = encode(HISTORY)
    place = data.draw(st.integers(0, len(stored) - 1))
    flipped = bytearray(stored)
    flipped[place] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(flipped), stored[:place]):
        with pytest.raises(ChorusError, match="supervision history"):
            decode(damaged, History)


def test_a_newer_format_asks_for_a_newer_program() -> None:
    stored = msgspec.json.encode({"kind": "desired state", "format": 2, "anything": 1})
    with pytest.raises(ChorusError, match="format 2, this program reads up to 1; update"):
        decode(stored, Desired)


def test_one_kind_is_not_taken_for_the_other() -> None:
    with pytest.raises(ChorusError, match="desired state: the stored bytes hold a 'supervision"):
        decode(encode(HISTORY), Desired)


def test_a_desired_state_has_unique_ids_and_a_host() -> None:
    with pytest.raises(ConfigError, match="'a' occur more than once"):
        Desired((DESIRED.strategies[0], DESIRED.strategies[0]), 1)
    with pytest.raises(ConfigError, match="hosts must be at least 1, is 0"):
        Desired((), 0)
