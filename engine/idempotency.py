"""Requests that are carried out once, however often they are sent, by whichever process.

Whoever does not hear the answer sends the same request again, with the same key, and gets the
answer of the first time. A row is written before the request is carried out, and its answer after:
between the two a process may die. Then the row is *in progress* until its lease is over, and the
next repetition carries the request out again. So it is once while nobody dies, and at least once
otherwise; what is made under a name of its own (a strategy, an account, a definition, a user) is
still made once, since the second attempt finds the name taken.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import msgspec
from sqlalchemy import CursorResult, delete, update
from sqlalchemy.orm import Session

from engine.errors import ConfigError, ConflictError, ConstraintError
from engine.store import IdempotencyKey, Store

__all__ = ["Answer", "Claim", "Idempotency", "Sent"]

KEPT_MS: Final = 24 * 3_600_000
LEASE_MS: Final = 120_000
"""Longer than any request takes; whoever finds it over takes the process for dead."""

_PURGE_EVERY_MS: Final = 600_000
_ATTEMPTS: Final = 3


class Sent(msgspec.Struct, frozen=True):
    """A request.

    Attributes:
        user_id: By whom.
        key: Of its sender's choice.
        method: ``POST``.
        path: Where to.
        content: Everything else that decides what it does: query, version wanted, body.
    """

    user_id: str
    key: str
    method: str
    path: str
    content: tuple[bytes, ...]


class Claim(msgspec.Struct, frozen=True):
    """The right to carry a request out.

    Attributes:
        id: Which request.
        token: Which attempt.
    """

    id: str
    token: str


class Answer(msgspec.Struct, frozen=True):
    """What a request was answered.

    Attributes:
        status: Of HTTP.
        headers: Those that matter.
        body: None: it held what is shown once.
    """

    status: int
    headers: dict[str, str]
    body: bytes | None


class Idempotency:
    """Keeps answers for a day; the only one who writes their table.

    Args:
        store: Where they are kept.
        clock: Milliseconds UTC.
        secret: The same for all processes. What was sent is kept as a hash that is made with it:
            requests may hold passwords, which could be guessed from a plain one.
    """

    def __init__(self, store: Store, clock: Callable[[], int], secret: bytes) -> None:
        self._store = store
        self._clock = clock
        self._secret = hmac.digest(secret, b"idempotency", "sha256")
        self._purged_ms = 0

    def begin(self, sent: Sent) -> Claim | Answer:
        """Say whether a request is to be carried out, or what it was answered.

        Raises:
            ConfigError: Something else was sent with the same key.
            ConflictError: It is just being carried out, or its answer is never shown again.
            StoreError: The store cannot be read or written; nothing is to be carried out.
        """
        self._purge_at_times()
        request_id = self._hash(sent.user_id, sent.method, sent.path, sent.key)
        request_hash = self._hash(*sent.content)
        for attempt in range(_ATTEMPTS):
            try:
                with self._store.write() as session:
                    return self._begin(session, sent, request_id, request_hash)
            except ConstraintError:
                # Somebody else wrote the row between our look and our own: look again.
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError

    def finish(self, claim: Claim, answer: Answer) -> bool:
        """Keep an answer; tells whether the claim was still held."""
        fields = {"status": answer.status, "headers": answer.headers, "body": answer.body}
        change = update(IdempotencyKey).where(*_held(claim)).values(fields)
        with self._store.write() as session:
            return _rows(session.execute(change)) == 1

    def release(self, claim: Claim) -> None:
        """Forget a request that came to nothing; whoever sends it again may carry it out."""
        with self._store.write() as session:
            session.execute(delete(IdempotencyKey).where(*_held(claim)))

    def purge(self) -> int:
        """Forget what is older than a day; returns how many."""
        old = delete(IdempotencyKey).where(IdempotencyKey.created_ms <= self._clock() - KEPT_MS)
        with self._store.write() as session:
            return _rows(session.execute(old))

    # ------------------------------------------------------------------ the parts of it

    def _begin(
        self, session: Session, sent: Sent, request_id: str, request_hash: str
    ) -> Claim | Answer:
        now = self._clock()
        claim = Claim(request_id, secrets.token_hex(16))
        row = session.get(IdempotencyKey, request_id, with_for_update=True)
        if row is not None and row.created_ms <= now - KEPT_MS:
            session.delete(row)
            session.flush()
            row = None
        if row is None:
            row = IdempotencyKey(
                id=request_id,
                user_id=sent.user_id,
                request_hash=request_hash,
                headers={},
                created_ms=now,
            )
            session.add(row)
        elif not hmac.compare_digest(row.request_hash, request_hash):
            raise ConfigError(
                "Idempotency-Key: something else was sent with this key; take another for another "
                "request, and send exactly the same to hear an answer again"
            )
        elif row.status is not None:
            return _answer_of(row)
        elif now < row.lease_ms:
            raise ConflictError(
                "Idempotency-Key: the request with this key is just being carried out; send it "
                f"again in a moment, or in {(row.lease_ms - now) // 1000 + 1} s if the server was "
                "restarted meanwhile"
            )
        row.claim, row.lease_ms = claim.token, now + LEASE_MS
        return claim

    def _purge_at_times(self) -> None:
        now = self._clock()
        if now >= self._purged_ms + _PURGE_EVERY_MS:
            self._purged_ms = now
            self.purge()

    def _hash(self, *parts: str | bytes) -> str:
        made = hmac.new(self._secret, digestmod=hashlib.sha256)
        for part in parts:
            data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
            made.update(len(data).to_bytes(8, "big") + data)
        return made.hexdigest()


def _answer_of(row: IdempotencyKey) -> Answer:
    if row.body is None or row.status is None:
        raise ConflictError(
            "Idempotency-Key: the request with this key was carried out; its answer held a secret, "
            "which is shown once and not kept; if you have not got it, take back what was made and "
            "make another, with another key"
        )
    headers = cast("Mapping[str, str]", row.headers)
    return Answer(row.status, dict(headers), row.body)


def _held(claim: Claim) -> tuple[Any, ...]:
    return (
        IdempotencyKey.id == claim.id,
        IdempotencyKey.claim == claim.token,
        IdempotencyKey.status.is_(None),
    )


def _rows(result: Any) -> int:
    return cast("CursorResult[Any]", result).rowcount
