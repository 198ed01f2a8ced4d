"""JSON of others is read strictly, and only what both databases can keep."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.documents import MAX_DEPTH, check_document, read_document
from engine.errors import ConfigError
from tests.examples import examples

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda part: st.lists(part) | st.dictionaries(TEXTS, part),
    max_leaves=20,
)  # fmt: skip


@examples(200)
@given(document=DOCUMENTS, is_ascii=st.booleans())
def test_what_json_can_say_is_read_as_it_is(document: Any, is_ascii: bool) -> None:
    text = json.dumps(document, ensure_ascii=is_ascii).encode()
    assert read_document(text, "body") == document


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"NaN", b"[Infinity]", b"1e999", b"'a'", b"[1,]", b"{} {}", b"\xef\xbb\xbf1",
        b'"\xff"', b'"\xed\xa0\x80"', b'"\\ud800"', '"a"'.encode("utf-16"), '"a"'.encode("utf-32"),
        b'"\\u0000"', b'["a", {"b\\u0000": 1}]', b'"\0"',
    ],
)  # fmt: skip
def test_what_others_let_through_is_refused(text: bytes) -> None:
    with pytest.raises(ConfigError, match=r"^body: "):
        read_document(text, "body")


@pytest.mark.parametrize("parts", [("[", "", "]"), ('{"a":', "0", "}"), ('{"a":', "{}", "}")])
@pytest.mark.parametrize("times", [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 900, 100_000])
def test_nesting_has_an_end(parts: tuple[str, str, str], times: int) -> None:
    opening, inner, closing = parts
    text = (opening * times + inner + closing * times).encode()
    if times + (inner == "{}") <= MAX_DEPTH:
        assert read_document(text, "body") is not None
    else:
        with pytest.raises(ConfigError, match="more than 32 lists and objects within each other"):
            read_document(text, "body")


def test_a_megabyte_of_anything_is_read_or_refused() -> None:
    for text in (b'"' + b"x" * 10**6 + b'"', b"[" + b"[]," * 300_000 + b"0]"):
        read_document(text, "body")
    for text in (b"[" * 10**6, b"1" * 10**6):
        with pytest.raises(ConfigError, match="body: "):
            read_document(text, "body")


def test_a_nul_is_found_at_the_deepest_place() -> None:
    document: Any = "a\0"
    for _ in range(MAX_DEPTH):
        document = [document]
    with pytest.raises(ConfigError, match="holds the character NUL"):
        check_document(document, "value")
    with pytest.raises(ConfigError, match=r"^value: must not have more than 32"):
        check_document([document], "value")
