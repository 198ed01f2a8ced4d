"""One spelling of a JSON value, so that equal contents have equal hashes (RFC 8785).

A narrower set of values than JSON has: only what every reader, SQLite and PostgreSQL give back as
it was. PostgreSQL's documents keep no NUL, no half of a surrogate pair, and spell 1e2 as 100;
readers in other languages keep no integer beyond 2^53.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from engine.errors import ConfigError

__all__ = ["MAX_BYTES", "MAX_DEPTH", "canonical", "sha256_of"]

MAX_BYTES: Final = 256 * 1024
"""Of one value in canonical form; a definition with hundreds of parameters has some 50,000."""

MAX_DEPTH: Final = 32
_LARGEST: Final = 2**53 - 1
_LEAST_PLAIN: Final = 1e-6
"""From here on a number is written without an exponent (ECMAScript, Number::toString)."""


def canonical(value: Any, *, name: str) -> bytes:
    """Return the canonical form of a JSON value, UTF-8.

    Args:
        value: Mappings, lists, texts, numbers, booleans and None.
        name: What it is, for messages: ``defaults``.

    Raises:
        ConfigError: A part of it is no JSON, or not kept by everybody; the message names it. Or it
            is larger than `MAX_BYTES`, or nested deeper than `MAX_DEPTH`.

    >>> canonical({"b": [1.0, 1e-7], "a": "é"}, name="x").decode()
    '{"a":"é","b":[1,1e-7]}'
    """
    parts: list[bytes] = []
    size = 0
    for text in _written(value, name, 0):
        part = text.encode()
        size += len(part)
        if size > MAX_BYTES:
            raise ConfigError(f"{name}: is larger than {MAX_BYTES:,} bytes; make it shorter")
        parts.append(part)
    return b"".join(parts)


def sha256_of(value: Any, *, name: str) -> str:
    """Return the SHA-256 of the canonical form, lower-case hex.

    Raises:
        ConfigError: As `canonical`.
    """
    return hashlib.sha256(canonical(value, name=name)).hexdigest()


def _written(value: Any, place: str, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise ConfigError(f"{place[:200]}: is nested deeper than {MAX_DEPTH} levels; make it flat")
    match value:
        case None:
            yield "null"
        case bool():
            yield "true" if value else "false"
        case int() | float():
            yield _number(value, place)
        case str():
            yield _text(value, place)
        case Mapping():
            yield from _object(value, place, depth)
        case list() | tuple():
            yield "["
            for number, each in enumerate(value):
                yield "," if number else ""
                yield from _written(each, f"{place}.{number}", depth + 1)
            yield "]"
        case _:
            raise ConfigError(
                f"{place[:200]}: {type(value).__name__} is no value of JSON; write text"
            )


def _object(value: Mapping[Any, Any], place: str, depth: int) -> Iterator[str]:
    for key in value:
        if not isinstance(key, str):
            raise ConfigError(f"{place[:200]}: a name must be text, got {key!r:.40}; quote it")
        _check_text(key, place)
    yield "{"
    # By UTF-16, which is not the order of code points beyond the basic plane.
    for number, key in enumerate(sorted(value, key=lambda each: each.encode("utf-16-be"))):
        yield ("," if number else "") + _quoted(key) + ":"
        yield from _written(value[key], f"{place}.{key}", depth + 1)
    yield "}"


def _text(value: str, place: str) -> str:
    _check_text(value, place)
    return _quoted(value)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _check_text(value: str, place: str) -> None:
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ConfigError(
            f"{place[:200]}: holds a NUL character or half of a "
            "surrogate pair, which no database keeps; take it out"
        )


def _number(value: float, place: str) -> str:
    """Return a number as ECMAScript writes it (RFC 8785, section 3.2.2.3)."""
    if not math.isfinite(value) or abs(value) > _LARGEST:
        raise ConfigError(
            f"{place[:200]}: a number must be finite and from -(2^53 - 1) to 2^53 - 1, got "
            f"{value!r:.40}; write a larger one as text"
        )
    if value == int(value):
        return str(int(value))
    text = repr(value)
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return text
    if abs(value) >= _LEAST_PLAIN:
        digits = mantissa.removeprefix("-").replace(".", "")
        sign = "-" if value < 0 else ""
        return f"{sign}0.{'0' * (-int(exponent) - 1)}{digits}"
    return f"{mantissa}e{int(exponent)}"
