"""Signatures of an installation over what it exports (Ed25519, RFC 8032)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from engine.errors import ConfigError
from engine.secret_file import LENGTH, read_or_make

__all__ = ["FILE", "PublicKey", "Signer"]

FILE: Final = "export.key"
_SIGNATURE: Final = 64
"""Bytes of one."""


class PublicKey:
    """Whose signatures may be checked by anybody.

    Attributes:
        text: Its 32 bytes in Base64.
        fingerprint: SHA-256 of these bytes, lower-case hex; to be compared by people.
    """

    def __init__(self, raw: bytes) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(raw)
        self.text = base64.b64encode(raw).decode()
        self.fingerprint = hashlib.sha256(raw).hexdigest()

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the key a text stands for.

        Raises:
            ConfigError: It is none.
        """
        return cls(_decoded(text, LENGTH, "publicKey"))

    def check(self, message: bytes, signature: str) -> None:
        """Check that the holder of the private key has signed a message.

        Args:
            message: What was signed.
            signature: 64 bytes in Base64.

        Raises:
            ConfigError: It has not, or not this.
        """
        try:
            self._key.verify(_decoded(signature, _SIGNATURE, "signature"), message)
        except InvalidSignature:
            raise ConfigError(
                f"signature: was not made by key {self.fingerprint[:16]} over this content; export "
                "the definition again"
            ) from None


class Signer:
    """Signs with the key of an installation. The key itself is never given out.

    Args:
        seed: 32 random bytes; see `of_folder`.

    Attributes:
        public: With which others check the signatures.
    """

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed[:LENGTH])
        self.public = PublicKey(self._key.public_key().public_bytes_raw())

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """Return the signer of a folder; the first who asks makes its key.

        Whoever takes the file away gets another identity: what was exported before has to be
        trusted like that of others.

        Args:
            folder: Where the file lies; made (mode 0700) if it is not there.

        Raises:
            ConfigError: It cannot be made or read, others may read it, or it is too short.
        """
        consequence = "earlier exports are those of a key to be trusted"
        return cls(read_or_make(folder / FILE, name="signing key", consequence=consequence))

    def sign(self, message: bytes) -> str:
        """Return the signature of a message, in Base64."""
        return base64.b64encode(self._key.sign(message)).decode()

    def __repr__(self) -> str:
        return f"Signer({self.public.fingerprint[:16]})"


def _decoded(text: str, length: int, name: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    # Written again, since several texts stand for the same bytes.
    if len(raw) != length or base64.b64encode(raw).decode() != text:
        raise ConfigError(f"{name}: must be {length} bytes in Base64, got {text!r:.100}")
    return raw
