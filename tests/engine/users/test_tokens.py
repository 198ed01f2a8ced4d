"""Tokens are ours, for a quarter of an hour, and of users who are still let in."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.access import CHORUS, Caller
from engine.errors import ConfigError
from engine.store import Store
from engine.users import AuthenticationError, Hasher, Users, UserView
from engine.users.tokens import LIFE_MS, Tokens
from tests.engine.users.conftest import SECRET, START_MS, Clock
from tests.examples import examples

MakeUser = Callable[..., UserView]

NOW_S = START_MS // 1_000
GOOD: dict[str, Any] = {
    "iss": "chorus",
    "aud": "chorus-api",
    "sub": "u",
    "role": "viewer",
    "jti": "0" * 32,
    "iat": NOW_S,
    "exp": NOW_S + 900,
}


def signed(algorithm: str = "HS256", key: bytes = SECRET, **changes: Any) -> str:
    claims = {k: v for k, v in {**GOOD, **changes}.items() if v is not ...}
    return jwt.encode(claims, key, algorithm=algorithm)


def test_a_token_says_who_holds_it(users: Users, a_user: MakeUser) -> None:
    ann = a_user()
    token = users.issue_token(users.authenticate("ann", "correct horse battery"))
    assert users.caller_of_token(token) == Caller(ann.id, "trader")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims.keys() == GOOD.keys()
    assert (claims["sub"], claims["role"], claims["exp"]) == (ann.id, "trader", NOW_S + 900)
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    assert len(token) < 400


def test_two_tokens_are_never_the_same(users: Users, a_user: MakeUser) -> None:
    caller = Caller(a_user().id, "trader")
    assert len({users.issue_token(caller) for _ in range(20)}) == 20


def test_a_token_is_over_after_a_quarter_of_an_hour_by_our_clock(
    users: Users, a_user: MakeUser, clock: Clock
) -> None:
    token = users.issue_token(Caller(a_user().id, "trader"))
    clock.now_ms = (NOW_S + 900) * 1_000 - 1
    users.caller_of_token(token)
    clock.now_ms += 1
    assert LIFE_MS - 1_000 < clock.now_ms - START_MS <= LIFE_MS
    with pytest.raises(AuthenticationError):
        users.caller_of_token(token)


def test_the_user_decides_not_what_the_token_says(users: Users, a_user: MakeUser) -> None:
    ann = a_user()
    token = users.issue_token(Caller(ann.id, "trader"))
    users.set_role(ann.id, "viewer", CHORUS)
    assert users.caller_of_token(token) == Caller(ann.id, "viewer")
    users.enable(ann.id, CHORUS, is_enabled=False)
    with pytest.raises(AuthenticationError):
        users.caller_of_token(token)


def test_a_token_of_nobody_is_refused(users: Users) -> None:
    with pytest.raises(AuthenticationError):
        users.caller_of_token(signed())
    with pytest.raises(ConfigError, match="issued to users only, got Chorus itself"):
        users.issue_token(CHORUS)


def test_another_secret_ends_all_tokens(
    users: Users, a_user: MakeUser, store: Store, clock: Clock, hasher: Hasher
) -> None:
    token = users.issue_token(Caller(a_user().id, "trader"))
    with pytest.raises(AuthenticationError):
        Users(store, clock, bytes(32), hasher=hasher).caller_of_token(token)


@pytest.mark.parametrize("length", [0, 1, 31])
def test_a_short_secret_is_refused(store: Store, clock: Clock, hasher: Hasher, length: int) -> None:
    with pytest.raises(ConfigError, match=f"at least 32 random bytes, got {length}"):
        Users(store, clock, bytes(length), hasher=hasher)


def unsigned() -> str:
    return jwt.encode(GOOD, None, algorithm="none")  # type: ignore[arg-type]  # as attackers do


def deep() -> str:
    header = base64.urlsafe_b64encode(b"[" * 100_000).decode()
    return f"{header}.e30.e30"


WRONG: dict[str, Callable[[], str]] = {
    "no signature": unsigned,
    "signed by another": lambda: signed(key=bytes(32)),
    "another algorithm": lambda: signed("HS512", SECRET + SECRET),
    "the same secret, another algorithm": lambda: signed("HS384", SECRET),
    "signature cut": lambda: signed()[:-1],
    "payload of another": lambda: ".".join(
        (signed().split(".")[0], signed(sub="v").split(".")[1], signed().split(".")[2])
    ),
    "another issuer": lambda: signed(iss="other"),
    "another audience": lambda: signed(aud="other"),
    "several audiences": lambda: signed(aud=["chorus-api", "other"]),
    "over": lambda: signed(exp=NOW_S),
    "expiry is text": lambda: signed(exp="x"),
    "expiry is a fraction": lambda: signed(exp=NOW_S + 0.5),
    "not yet": lambda: signed(nbf=1 << 40),
    "deep": deep,
    "long": lambda: signed(jti="0" * 500),
    "not ASCII": lambda: signed() + "\ud800",
    **{
        f"no {claim}": lambda claim=claim: signed(**{claim: ...})
        for claim in GOOD
        if claim != "role"
    },
}


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
@pytest.mark.parametrize("case", WRONG)
def test_what_we_have_not_issued_is_refused(case: str) -> None:
    tokens = Tokens(SECRET)
    assert tokens.read(signed(), START_MS) == "u"
    with pytest.raises(AuthenticationError):
        tokens.read(WRONG[case](), START_MS)


@examples(300)
@given(st.text() | st.binary().map(lambda b: base64.urlsafe_b64encode(b).decode() + ".e30.e30"))
def test_any_other_text_is_refused_in_the_same_way(text: str) -> None:
    with pytest.raises(AuthenticationError):
        Tokens(SECRET).read(text, START_MS)


@examples(300)
@given(place=st.integers(0, 10_000), letter=st.characters(codec="ascii"))
def test_a_token_with_any_letter_changed_is_refused_or_means_the_same(
    place: int, letter: str
) -> None:
    token = signed()
    place %= len(token)
    changed = token[:place] + letter + token[place + 1 :]
    try:
        assert Tokens(SECRET).read(changed, START_MS) == "u"
    except AuthenticationError:
        return
    # The last letter of a base64 text has bits that mean nothing.
    assert changed == token or place == len(token) - 1
