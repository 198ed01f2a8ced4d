"""Bodies are bounded, JSON in UTF-8, and hold nothing a store cannot keep."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from api.server import Guards, Limits
from tests.api.server.guards.conftest import Serve
from tests.api.server.test_routes import problem
from tests.examples import examples

MOST = Limits().body_bytes
JSON = {"Content-Type": "application/json"}


def in_pieces(body: bytes, size: int = 65_536) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def text_of(size: int) -> bytes:
    """Return a setting of so many bytes."""
    return b'{"value":"' + b"x" * (size - 12) + b'"}'


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_has_a_megabyte_at_most(serve: Serve, is_chunked: bool) -> None:
    client = serve()

    def put(size: int) -> TestClient:
        body = text_of(size)
        content = in_pieces(body) if is_chunked else body
        return client.put("/settings/a", content=content, headers=JSON)

    assert "at most 65536 bytes of JSON" in problem(put(MOST), 422)["detail"]  # it was read
    assert "at most 1,048,576 bytes" in problem(put(MOST + 1), 413)["detail"]
    assert problem(put(5 * MOST), 413)
    assert put(1000).status_code == 200


def test_a_body_that_goes_on_for_ever_is_read_no_further(serve: Serve) -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while read < 10**8:
            read += 1000
            yield b"x" * 1000

    client = serve(Guards(limits=Limits(body_bytes=10_000)))
    problem(client.post("/users", content=endless(), headers=JSON), 413)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 200),
        ({"Content-Type": "application/json; charset=UTF-8"}, 200),
        ({"Content-Type": "application/merge-patch+json"}, 200),
        ({}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Type": "json"}, 415),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Type": "application/json; charset=latin-1"}, 415),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
    ],
)
def test_a_body_is_json_in_utf_8(serve: Serve, headers: dict[str, str], status: int) -> None:
    answer = serve().put("/settings/a", content=b'{"value":1}', headers=headers)
    assert answer.status_code == status
    if status != 200:
        problem(answer, status)


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"nonsense", b'{"value":NaN}', b'{"value":-Infinity}', b'{"value":1e999}',
        b'{"value":"\xff"}', b'{"value":"\\ud800"}', b'{"value":"a\\u0000"}', b'{"\\u0000":1}',
        b'{"value":' + b"[" * 33 + b"]" * 33 + b"}", b"[" * 1_000_000, b'{"a":' * 200_000,
        '{"value":1}'.encode("utf-16"), b"\xef\xbb\xbf" + b'{"value":1}',
        b'{"value":' + b"9" * 100_000 + b"}",
    ],
)  # fmt: skip
def test_what_no_store_can_keep_is_refused(serve: Serve, body: bytes) -> None:
    refused = serve().put("/settings/a", content=body, headers=JSON)
    assert problem(refused, 422)["detail"].startswith("body: ")


def test_no_body_is_needed_where_none_is_taken(serve: Serve) -> None:
    client = serve()
    assert client.get("/me", headers=JSON).status_code == 200
    problem(client.post("/users", headers=JSON), 422)
    problem(client.request("GET", "/me", content=b"{", headers=JSON), 422)


PLACES = [
    ("POST", "/sessions"), ("POST", "/users"), ("PUT", "/users/me/password"), ("POST", "/keys"),
    ("PUT", "/settings/a"), ("POST", "/admin/strategy/definitions"), ("POST", "/accounts"),
    ("POST", "/strategies"), ("PUT", "/strategies/x/settings"), ("DELETE", "/keys/x"),
]  # fmt: skip

FIELDS = st.sampled_from(
    ["name", "role", "password", "present", "value", "expires", "userId", "key", "id", "config",
     "balances", "strategyType", "defaults", "schema", "definition", "account", "parameters"]
)  # fmt: skip

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["x" * 1_000_000, "\0", "\ud800", "trader", "9" * 5000]),
    lambda part: (
        st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=9), part, max_size=4)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(FIELDS, VALUES, max_size=5)
BODIES = st.one_of(
    st.binary(max_size=200),
    OBJECTS.map(lambda each: json.dumps(each).encode()),
    OBJECTS.map(lambda each: json.dumps(each, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    OBJECTS.map(lambda each: json.dumps(each).encode("utf-16")),
    st.integers(1, 500_000).map(lambda n: b"[" * n + b"]" * n),
)
TYPES = st.sampled_from(["application/json"] * 6 + ["", "text/plain", "application/json;charset=x"])


@pytest.mark.slow
@examples(150, suppress_health_check=list(HealthCheck))
@given(place=st.sampled_from(PLACES), body=BODIES, kind=TYPES)
def test_whatever_is_sent_is_answered_and_is_no_defect(
    serve: Serve, place: tuple[str, str], body: bytes, kind: str
) -> None:
    client = serve()
    answer = client.request(*place, content=body, headers={"Content-Type": kind})
    assert answer.status_code < 500, answer.text
    assert answer.status_code != 429, "the test is to get further than that"
    if answer.status_code >= 400:
        problem(answer, answer.status_code)
