"""No secret gets into a log, however it is written."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.redaction import redacted
from tests.examples import examples

SECRET = st.text(string.ascii_letters + string.digits + "-_", min_size=8, max_size=40).filter(
    lambda text: not text.startswith(("-", "_")) and text.lower() != "authorization"
)
AROUND = st.text(max_size=30)
NAMES = st.sampled_from(
    ["password", "PASSWORD", "db_password", "api_key", "apiKey", "x-api-key", "secret", "token",
     "client_secret", "access-token", "Authorization", "private_key", "credentials"]
)  # fmt: skip


@given(
    before=AROUND,
    public=st.text("0123456789abcdef", min_size=16, max_size=16),
    secret=st.text("0123456789abcdef", min_size=12, max_size=64),
    after=AROUND,
)
@examples(200)
def test_a_key_of_ours_is_hidden_anywhere_cut_off_or_not(
    before: str, public: str, secret: str, after: str
) -> None:
    shown = redacted(f"{before}chorus_{public}_{secret}{after}")
    assert f"{public}_{secret[:4]}" not in shown


@given(name=NAMES, sign=st.sampled_from(["=", ": ", ":", " = ", '": "', "': '"]), secret=SECRET)
@examples(200)
def test_what_follows_a_telling_name_is_hidden(name: str, sign: str, secret: str) -> None:
    shown = redacted(f"cannot start: {name}{sign}{secret}")
    assert secret not in shown
    assert shown.startswith(f"cannot start: {name}")


@given(
    scheme=st.sampled_from(["postgresql", "redis", "rediss", "https", "postgresql+psycopg"]),
    user=st.sampled_from(["", "chorus", "a.b"]),
    secret=st.text(string.ascii_letters + string.digits + "!$%^*()@:/?#-_.", min_size=6),
)
@examples(200)
def test_passwords_in_addresses_are_hidden(scheme: str, user: str, secret: str) -> None:
    shown = redacted(f"cannot reach {scheme}://{user}:{secret}@host.example:5432/name now")
    assert shown == f"cannot reach {scheme}://{user}:***@host.example:5432/name now"


@given(kind=st.sampled_from(["Bearer", "bearer", "Basic"]), secret=SECRET)
@examples(100)
def test_bearers_are_hidden(kind: str, secret: str) -> None:
    assert secret not in redacted(f"Authorization: {kind} {secret}")
    assert secret not in redacted(f"sent {kind} {secret}!")


def test_tokens_are_hidden() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"  # noqa: S105 - of a test
    assert redacted(f"refused {token}, sign in") == "refused ***, sign in"


@pytest.mark.parametrize(
    "text",
    [
        "strategy 'btc_dips': raised three times in a row",
        "http://127.0.0.1:8642/api/v1/strategies/a?limit=3",
        "2 passwords were wrong, 3 tokens are old",
        "line 12, column 24: unknown name 'x' (did you mean 'y'?)",
        "paper:BTC/USDT:1m closed at 100.5",
        "chorus_engine_up",
    ],
)
def test_the_rest_stays_as_it_is(text: str) -> None:
    shown = redacted(text)
    assert shown == text


@given(st.text())
@examples(300)
def test_any_text_can_be_shown_and_again(text: str) -> None:
    once = redacted(text)
    assert redacted(once) == once


@pytest.mark.parametrize(
    "piece",
    ["x", "a.", "://x:", "eyJ-", "password", "password=", "password ", 'token="', "chorus_0000",
     "bearer ", "http://", "-", "_"],
)  # fmt: skip
def test_long_texts_of_anything_take_no_longer_than_their_length(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    assert len(redacted(text)) <= 2 * len(text), "with a rule of square time it would not end"
