"""The durable form of desired state and history: JSON with format version and checksum."""

from __future__ import annotations

import zlib
from typing import TypeVar

import msgspec

from engine.errors import ChorusError
from engine.supervision.desired import Desired
from engine.supervision.history import History

__all__ = ["FORMAT", "decode", "encode"]

FORMAT = 1

_KINDS: dict[type, str] = {Desired: "desired state", History: "supervision history"}

_State = TypeVar("_State", Desired, History)


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    kind: str
    format: int
    crc32: int
    body: msgspec.Raw


class _Head(msgspec.Struct):
    kind: str
    format: int


def encode(state: Desired | History) -> bytes:
    """Return the bytes to store, readable as text."""
    body = msgspec.json.encode(state)
    return msgspec.json.encode(
        _Envelope(_KINDS[type(state)], FORMAT, zlib.crc32(body), msgspec.Raw(body))
    )


def decode(data: bytes, kind: type[_State]) -> _State:
    """Read back what `encode` returned.

    Args:
        data: The stored bytes.
        kind: `Desired` or `History`.

    Raises:
        ChorusError: The bytes are damaged, hold something else or come from a newer program.
    """
    name = _KINDS[kind]
    try:
        head = msgspec.json.decode(data, type=_Head)
        if head.format > FORMAT:
            raise ChorusError(
                f"{name}: stored with format {head.format}, this program reads up to {FORMAT}; "
                "update the program"
            )
        if head.kind != name:
            raise ChorusError(f"{name}: the stored bytes hold a {head.kind!r}; give the right file")
        envelope = msgspec.json.decode(data, type=_Envelope)
        if zlib.crc32(envelope.body) == envelope.crc32 and envelope.format == FORMAT:
            return msgspec.json.decode(envelope.body, type=kind)
        problem = "the checksum does not match"
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ChorusError(_damaged(name, data, str(error))) from error
    raise ChorusError(_damaged(name, data, problem))


def _damaged(name: str, data: bytes, problem: str) -> str:
    return f"{name}: {len(data)} stored bytes are damaged: {problem}; restore them from a backup"
