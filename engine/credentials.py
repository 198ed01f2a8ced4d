"""Credentials of venues, encrypted at rest (AES-256-GCM, NIST SP 800-38D).

What is stored: a byte for this layout, 8 bytes that say with which key, 12 random bytes, and what
was encrypted, with its tag of 16 bytes. The id of the account is authenticated along, so that
credentials copied to another account, by whoever can write the database, open nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn, Self

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.errors import ConfigError
from engine.secret_file import LENGTH, read_or_make

__all__ = ["FILE", "MAX_LENGTH", "MAX_NUMBER", "NAME", "Vault", "check_credentials"]

FILE: Final = "credentials.key"

MAX_NUMBER: Final = 20
"""Of credentials of one account."""

MAX_LENGTH: Final = 8_192
"""Characters of one; a private key of RSA has 3,300."""

NAME: Final = r"^[A-Za-z][A-Za-z0-9_]{0,63}$"
"""What one is called, as `apiKey`."""

_LAYOUT: Final = b"\x01"
_ID: Final = 8
_NONCE: Final = 12
_HEADER: Final = len(_LAYOUT) + _ID


class Vault:
    """Encrypts and decrypts credentials. Neither they nor its keys are in any text it makes.

    Args:
        key: 32 random bytes; see `of_folder`.
        earlier: Keys before it, with which it still decrypts.

    Raises:
        ConfigError: A key has another length.
    """

    def __init__(self, key: bytes, earlier: Sequence[bytes] = ()) -> None:
        if any(len(each) != LENGTH for each in (key, *earlier)):
            raise ConfigError(f"credentials key: must have exactly {LENGTH} bytes")
        self._id = _id_of(key)
        self._ciphers = {_id_of(each): AESGCM(each) for each in (*earlier, key)}

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """Return the vault of a folder; the first who asks makes its key.

        The file holds one key after the other, 32 bytes each, the newest last.

        Args:
            folder: Where the file lies; made (mode 0700) if it is not there.

        Raises:
            ConfigError: It cannot be made or read, others may read it, or it holds no whole keys.
        """
        path = folder / FILE
        consequence = "credentials of venues have to be given anew"
        content = read_or_make(path, name="credentials key", consequence=consequence)
        if len(content) % LENGTH:
            raise ConfigError(
                f"credentials key {str(path)!r}: must hold whole keys of {LENGTH} bytes, has "
                f"{len(content)} bytes; put it back as it was"
            )
        *earlier, key = (content[at : at + LENGTH] for at in range(0, len(content), LENGTH))
        return cls(key, earlier)

    def seal(self, account_id: str, credentials: Mapping[str, str]) -> bytes:
        """Return credentials encrypted, for this account alone."""
        header, nonce = _LAYOUT + self._id, os.urandom(_NONCE)
        text = msgspec.json.encode(dict(credentials))
        bound = header + account_id.encode()
        return header + nonce + self._ciphers[self._id].encrypt(nonce, text, bound)

    def open(self, account_id: str, sealed: bytes) -> dict[str, str]:
        """Return the credentials that were encrypted for an account.

        Raises:
            ConfigError: They were encrypted with a key that is not at hand, for another account,
                or were changed since.
        """
        header, nonce = sealed[:_HEADER], sealed[_HEADER : _HEADER + _NONCE]
        if header[:1] != _LAYOUT or len(nonce) != _NONCE:
            _refuse(account_id, "are damaged, or of a newer version of Chorus")
        cipher = self._ciphers.get(header[1:])
        if cipher is None:
            _refuse(
                account_id,
                f"were encrypted with key {header[1:].hex()}, which is not in {FILE!r} of the data "
                "folder: it is missing or another one",
            )
        bound = header + account_id.encode()
        try:
            text = cipher.decrypt(nonce, sealed[_HEADER + _NONCE :], bound)
        except InvalidTag:
            _refuse(account_id, "were changed since they were encrypted, or are another account's")
        return msgspec.json.decode(text, type=dict[str, str])

    def is_current(self, sealed: bytes) -> bool:
        """Tell whether something was encrypted with the newest key."""
        return sealed[:_HEADER] == _LAYOUT + self._id

    def __repr__(self) -> str:
        return f"Vault({self._id.hex()})"


def check_credentials(credentials: Mapping[str, str]) -> None:
    """Check that credentials can be kept; the message shows nothing of them.

    Raises:
        ConfigError: They cannot.
    """
    is_fitting = 0 < len(credentials) <= MAX_NUMBER and all(
        re.fullmatch(NAME, name) and _is_text(value) for name, value in credentials.items()
    )
    if not is_fitting:
        raise ConfigError(
            f"credentials: need 1 to {MAX_NUMBER} texts of 1 to {MAX_LENGTH} characters, each "
            "under a name of up to 64 letters, digits and '_', a letter first, e.g. apiKey; what "
            "was given is not shown"
        )


def _is_text(value: str) -> bool:
    # Half a surrogate pair is no character, and cannot be written.
    return 0 < len(value) <= MAX_LENGTH and not re.search("[\ud800-\udfff]", value)


def _id_of(key: bytes) -> bytes:
    """Return what tells keys apart, and says nothing about them."""
    return hmac.digest(key, b"chorus credentials: which key", hashlib.sha256)[:_ID]


def _refuse(account_id: str, why: str) -> NoReturn:
    # Not chained: the cause has nothing to say.
    raise ConfigError(
        f"credentials of account {account_id!r}: {why}; put {FILE!r} or the database back as it "
        "was, or give the credentials anew"
    ) from None
