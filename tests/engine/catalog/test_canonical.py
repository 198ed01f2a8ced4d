"""One content has one canonical form, and it is read back as what it was."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.catalog.canonical import MAX_BYTES, MAX_DEPTH, canonical, sha256_of
from engine.errors import ConfigError
from tests.examples import examples

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
LARGEST = 2**53 - 1
NUMBERS = st.integers(-LARGEST, LARGEST) | st.floats(-LARGEST, LARGEST, allow_nan=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def written(value: Any) -> str:
    return canonical(value, name="x").decode()


@given(VALUES)
@examples(300)
def test_it_is_read_back_as_what_it_was_and_written_the_same_again(value: Any) -> None:
    text = written(value)
    assert json.loads(text) == value
    assert written(json.loads(text)) == text


@given(st.dictionaries(TEXT, st.integers(0, 9), min_size=1))
@examples(100)
def test_the_order_of_names_and_the_spelling_of_numbers_do_not_matter(value: Any) -> None:
    other = {name: float(value[name]) for name in reversed(value)}
    assert sha256_of(other, name="x") == sha256_of(value, name="x")


# RFC 8785, appendix B: bits of the number, and its canonical form.
@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("433fffffffffffff", "9007199254740991"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("41b3de4355555555", "333333333.3333333"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_are_written_as_the_standard_says(bits: str, text: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert written(number) == text


def test_names_are_sorted_as_the_standard_says() -> None:
    # RFC 8785, section 3.2.3: by UTF-16, where an emoji comes before the letter at U+FB33.
    value = {"€": 1, "\r": 2, "\ufb33": 3, "1": 4, "😀": 5, "\x80": 6, "ö": 7}
    assert list(json.loads(written(value)).values()) == [2, 4, 6, 7, 1, 5, 3]


def test_texts_are_written_as_the_standard_says() -> None:
    assert written('€$\x0f\nA\'B"\\\\"/\x7f') == '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/\x7f"'


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "x.a.1: a number must be finite"),
        (float("-inf"), "x.a.1: a number must be finite"),
        (2**53, "write a larger one as text"),
        (1e300, "write a larger one as text"),
        ("a\0", "x.a.1: holds a NUL"),
        ("\ud800", "half of a surrogate pair"),
        ({"\ud800": 1}, "half of a surrogate pair"),
        ({1: 2}, "x.a.1: a name must be text, got 1"),
        (b"x", "x.a.1: bytes is no value of JSON"),
        ("x" * MAX_BYTES, "x: is larger than 262,144 bytes"),
    ],
)
def test_what_not_everybody_keeps_is_refused_with_its_place(value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        canonical({"a": [0, value]}, name="x")
    assert message in str(refused.value)


def test_what_is_nested_too_deeply_is_refused() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert written(value).count("[") == MAX_DEPTH
    with pytest.raises(ConfigError, match=f"deeper than {MAX_DEPTH} levels"):
        canonical([value], name="x")
