"""What anybody says on a channel is a change, or refused."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.changes import MAX_CHANGE_BYTES, Change, read_change
from engine.errors import DataError
from tests.examples import examples

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=256)
COUNTS = st.integers(0, 2**63 - 1)
CHANGES = st.builds(
    Change, kind=WORDS, id=WORDS, version=st.none() | COUNTS, origin=WORDS, at_ms=COUNTS
)
GOOD = {"kind": "strategy", "id": "a", "version": 1, "origin": "x", "at_ms": 1}


@given(CHANGES)
@examples(200)
def test_a_change_is_read_as_it_was_written(change: Change) -> None:
    text = change.text()
    if len(text) <= MAX_CHANGE_BYTES:
        assert read_change(text) == change


def test_the_text_of_a_change_is_as_documented() -> None:
    change = Change(kind="strategy", id="ema_btc", version=7, origin="3f9c", at_ms=1)
    assert change.text() == (
        b'{"kind":"strategy","id":"ema_btc","version":7,"origin":"3f9c","at_ms":1}'
    )


def test_what_a_later_version_adds_is_left_out() -> None:
    text = msgspec.json.encode({**GOOD, "kind": "file", "more": {"x": [1]}})
    assert read_change(text) == Change(kind="file", id="a", version=1, origin="x", at_ms=1)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"kind":"strategy","id":"a","origin":"x","at_ms":1}}',
        b'{"x":' + b"[" * 2000 + b"]" * 2000 + b"}",
        *(
            msgspec.json.encode({**GOOD, **wrong})
            for wrong in (
                {"kind": None},
                {"id": 7},
                {"id": "x" * 257},
                {"version": -1},
                {"version": 2**63},
                {"at_ms": 1.5},
                {"more": "x" * MAX_CHANGE_BYTES},
            )
        ),
    ],
)
def test_what_is_no_change_is_refused(text: bytes) -> None:
    with pytest.raises(DataError, match=r"^change: "):
        read_change(text)


@given(st.binary(max_size=200))
@examples(300)
def test_whatever_is_said_is_a_change_or_refused(text: bytes) -> None:
    with contextlib.suppress(DataError):
        assert isinstance(read_change(text), Change)
