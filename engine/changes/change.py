"""One change: what is different by now, never how. Whoever wants to know reads the store."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from engine.errors import DataError

__all__ = ["EVERYTHING", "MAX_CHANGE_BYTES", "Change", "Kind", "read_change"]

Kind = Literal[
    "strategy", "subscription", "account", "trading", "setting", "definition", "everything"
]

EVERYTHING: Final = "everything"
"""Anything may have changed: some changes may not have been heard."""

MAX_CHANGE_BYTES: Final = 4096
"""Longest text that is read; one of ours has about 150 bytes."""

_Words = Annotated[str, Meta(max_length=256)]
_Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Something is different by now, and on record.

    Attributes:
        kind: Of what: a `Kind`, or one that only a later version knows.
        id: Which; empty of ``everything``, and of ``trading`` where it is of all accounts.
        version: That it has now; None: it has none.
        origin: Which process has told it: random letters and digits.
        at_ms: When it was told, milliseconds UTC.
    """

    kind: _Words
    id: _Words = ""
    version: _Count | None = None
    origin: _Words
    at_ms: _Count

    def text(self) -> bytes:
        """Return it as JSON, as `read_change` reads it."""
        return msgspec.json.encode(self)


def read_change(text: bytes) -> Change:
    """Return what somebody says has changed. Fields that only a later version knows are left out.

    Raises:
        DataError: It is none.
    """
    if len(text) > MAX_CHANGE_BYTES:
        raise DataError(f"change: at most {MAX_CHANGE_BYTES} bytes are read, got {len(text)}")
    try:
        return msgspec.json.decode(text, type=Change)
    except (ValueError, RecursionError) as error:
        raise DataError(f"change: {error}") from error
