"""Takes secrets out of what is logged."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["HIDDEN", "is_telling", "redacted"]

HIDDEN: Final = "***"

_NAMES: Final = (
    r"(?:(?:password|passwd|secret|token|api[_-]?key|private[_-]?key|authorization|credential)s?"
    r"|pwd|cookie)"
)
_TELLING: Final = re.compile(rf".*{_NAMES}", re.IGNORECASE | re.DOTALL)

# Anybody may have something logged, so each rule takes time in proportion to the text: what may
# begin anywhere is bounded in length.
_RULES: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        # A key of ours: chorus_<public part>_<secret>. Which key it was may be said.
        (r"(chorus_[0-9a-f]{4,64})_[0-9a-f]{4,}", rf"\1_{HIDDEN}"),
        # A token: three parts of base64, the first of which says {"...
        (r"\beyJ[\w-]{1,500}\.[\w-]{1,2000}(?:\.[\w-]*)?", HIDDEN),
        # scheme://user:password@host; a password may hold anything but what ends it.
        (r"(\b[a-z][a-z0-9+.-]{0,30}://[^\s/:@]{0,100}):[^\s]{0,500}@", rf"\1:{HIDDEN}@"),
        # Authorization: Bearer x, and the same without a name before it.
        (r"\b(bearer|basic)\s{1,8}[\w.~+/=-]{6,}", rf"\1 {HIDDEN}"),
        # name=value, name: value, "name": "value"; whatever the name begins with.
        (
            (
                rf"""({_NAMES}["']?\s{{0,8}}[=:]\s{{0,8}})(?:(?:bearer|basic)\s{{1,8}})?"""
                r"""("[^"]{0,500}"|'[^']{0,500}'|[^\s,;&}\]]+)"""
            ),
            rf"\1{HIDDEN}",
        ),
    )
)


def redacted(text: str) -> str:
    """Return a text without passwords, keys and tokens, as far as they can be recognised.

    >>> redacted("cannot reach postgresql://chorus:hunter2@db/chorus")
    'cannot reach postgresql://chorus:***@db/chorus'
    >>> redacted("key chorus_ab12_fe9890 was given")
    'key chorus_ab12_*** was given'
    """
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def is_telling(name: str) -> bool:
    """Tell whether what has this name is a secret.

    >>> is_telling("db_password"), is_telling("X-API-Key"), is_telling("passwords_at_once")
    (True, True, False)
    """
    return _TELLING.fullmatch(name) is not None
