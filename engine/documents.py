"""JSON of others: read strictly, and only what both databases can keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from engine.errors import ConfigError

__all__ = ["MAX_DEPTH", "check_document", "read_document"]

MAX_DEPTH: Final = 32
"""Lists and objects within each other; a configuration has about eight."""


def read_document(text: bytes, subject: str) -> Any:
    """Return what a JSON text says.

    Args:
        text: JSON (RFC 8259) in UTF-8; no NaN, no half surrogates, which others let through.
        subject: What it is, for messages.

    Raises:
        ConfigError: It is no such text, or `check_document` refuses what it says.
    """
    try:
        document = msgspec.json.decode(text)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{subject}: must be UTF-8, but is not at byte {error.start}") from None
    except RecursionError:
        raise _too_deep(subject) from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigError(f"{subject}: must be JSON: {error}") from None
    check_document(document, subject)
    return document


def check_document(document: Any, subject: str) -> None:
    """Check what was read from JSON.

    Args:
        document: Lists, objects and what they hold.
        subject: What it is, for messages.

    Raises:
        ConfigError: It is nested too deeply, or a text in it holds NUL, which PostgreSQL cannot
            keep.
    """
    level, depth = [document], 0
    while level:
        if any(isinstance(each, str) and "\0" in each for each in level):
            raise ConfigError(f"{subject}: a text in it holds the character NUL; take it out")
        depth += any(isinstance(each, dict | list) for each in level)
        if depth > MAX_DEPTH:
            raise _too_deep(subject)
        level = [part for each in level for part in _parts_of(each)]


def _parts_of(document: Any) -> Iterator[Any]:
    if isinstance(document, dict):
        yield from document
        yield from document.values()
    elif isinstance(document, list):
        yield from document


def _too_deep(subject: str) -> ConfigError:
    return ConfigError(
        f"{subject}: must not have more than {MAX_DEPTH} lists and objects within each other"
    )
