"""What names, passwords, roles and keys may look like."""

from __future__ import annotations

import re
import unicodedata
from typing import Final, get_args

from engine.access import Role
from engine.errors import ConfigError

__all__ = [
    "MAX_PASSWORD",
    "MIN_PASSWORD",
    "as_given",
    "as_name",
    "check_expiry",
    "check_label",
    "check_name",
    "check_password",
    "check_role",
]

MIN_PASSWORD: Final = 12
MAX_PASSWORD: Final = 1_024
"""Characters; whoever sends a longer one wants to keep the processor busy."""

_MAX_NAME: Final = 64
_FEWEST_DIFFERENT: Final = 5
_YEAR_10000_MS: Final = 253_402_300_800_000
"""What comes later has no date that could be shown."""

_NAME: Final = re.compile(rf"[A-Za-z0-9_.@-]{{1,{_MAX_NAME}}}")
_ROLES: Final[dict[str, Role]] = {role: role for role in get_args(Role)}


def as_name(text: str) -> str | None:
    """Return a user's name as it is stored, in lower case; None where nobody can be called so.

    >>> as_name("Ann@example.org"), as_name("Ann Lee")
    ('ann@example.org', None)
    """
    return text.lower() if _NAME.fullmatch(text) else None


def check_name(text: str) -> str:
    """Return a new user's name as it is stored.

    Raises:
        ConfigError: Nobody can be called so.
    """
    name = as_name(text)
    if name is None:
        raise ConfigError(
            f"user name: must be 1 to {_MAX_NAME} of the letters a to z, digits and _.-@, got "
            f"{text[:80]!r}"
        )
    return name


def check_role(text: str) -> Role:
    """Return a role.

    Raises:
        ConfigError: There is none of that name.
    """
    role = _ROLES.get(text)
    if role is None:
        raise ConfigError(f"role: must be one of {', '.join(_ROLES)}, got {text[:80]!r}")
    return role


def as_given(password: str) -> str | None:
    """Return a password in the one form that is hashed; None where it cannot be anybody's.

    Keyboards write the same letter in several ways: all become Unicode's form NFC, as RFC 8265
    (OpaqueString) wants it.
    """
    if len(password) > MAX_PASSWORD:
        return None
    try:
        password.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return None
    return unicodedata.normalize("NFC", password)


def check_password(password: str, name: str) -> str:
    """Return a new password in the form that is hashed. No message shows anything of it.

    Args:
        password: As its user has chosen it.
        name: The user's.

    Raises:
        ConfigError: It is too short or too long, or would be guessed at once.
    """
    given = as_given(password)
    if given is None:
        raise ConfigError(
            f"password: must be at most {MAX_PASSWORD} characters of valid Unicode, got "
            f"{len(password)}; take a shorter one without broken characters"
        )
    if len(given) < MIN_PASSWORD:
        raise ConfigError(
            f"password: must have at least {MIN_PASSWORD} characters, got {len(given)}; several "
            "words are easy to remember"
        )
    if given != given.strip():
        raise ConfigError("password: begins or ends with a space or line break; take that away")
    folded = given.casefold()
    if len(set(folded)) < _FEWEST_DIFFERENT:
        raise ConfigError(
            f"password: must have at least {_FEWEST_DIFFERENT} different characters, got "
            f"{len(set(folded))}; take one that is harder to guess"
        )
    if folded == name.casefold():
        raise ConfigError("password: must not be the user's name; take one that cannot be guessed")
    return given


def check_label(text: str) -> str:
    """Return what a key is called.

    Raises:
        ConfigError: It is empty, too long, or cannot be shown.
    """
    if not (1 <= len(text) <= _MAX_NAME and text.isprintable() and text.strip()):
        raise ConfigError(
            f"key name: must be 1 to {_MAX_NAME} printable characters that say what the key is "
            f"for, got {text[:80]!r}"
        )
    return text


def check_expiry(expires_ms: int | None, now_ms: int) -> int | None:
    """Return when a new key ends to be accepted, milliseconds UTC; None: never.

    Raises:
        ConfigError: That is over already.
    """
    if expires_ms is not None and not now_ms < expires_ms < _YEAR_10000_MS:
        raise ConfigError(
            f"expires_ms: must be milliseconds since 1970 UTC after now ({now_ms}), got "
            f"{expires_ms}; leave it out for a key that stays"
        )
    return expires_ms
