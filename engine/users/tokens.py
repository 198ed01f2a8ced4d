"""Tokens of those who have signed in: short-lived JSON Web Tokens (RFC 7519), signed with HS256."""

from __future__ import annotations

import secrets
from typing import Final

import jwt

from engine.access import Role
from engine.users.errors import AuthenticationError
from engine.users.secret import check_secret

__all__ = ["LIFE_MS", "Tokens"]

LIFE_MS: Final = 15 * 60_000

_ALGORITHM: Final = "HS256"
_ISSUER: Final = "chorus"
_AUDIENCE: Final = "chorus-api"
_LONGEST: Final = 512
"""Characters; ours have about 300. What is longer need not be taken apart to be refused."""


class Tokens:
    """Signs and reads tokens; knows no users.

    Args:
        secret: At least 32 random bytes.

    Raises:
        ConfigError: The secret is too short.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = check_secret(secret)

    def issue(self, user_id: str, role: Role, now_ms: int) -> str:
        """Return a token that is accepted for `LIFE_MS` from `now_ms` (milliseconds UTC) on."""
        claims = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": user_id,
            "role": role,
            "jti": secrets.token_hex(16),
            "iat": now_ms // 1_000,
            "exp": (now_ms + LIFE_MS) // 1_000,
        }
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def read(self, text: str, now_ms: int) -> str:
        """Return the id of the user a token was issued to.

        Raises:
            AuthenticationError: It is none of ours, or is over at `now_ms`.
        """
        if len(text) > _LONGEST or not text.isascii():
            raise AuthenticationError
        try:
            claims = jwt.decode(
                text,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                issuer=_ISSUER,
                options={
                    "require": ["iss", "aud", "sub", "jti", "iat", "exp"],
                    "strict_aud": True,
                    # The library would ask the machine's clock, not ours.
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
        except jwt.PyJWTError:
            raise AuthenticationError from None
        user_id, expires_s = claims["sub"], claims["exp"]
        if not isinstance(user_id, str) or not isinstance(expires_s, int):
            raise AuthenticationError
        if now_ms >= expires_s * 1_000:
            raise AuthenticationError
        return user_id
