"""Only the holder of a key can sign with it, and nobody sees it."""

from __future__ import annotations

import base64
import pickle
import stat
from pathlib import Path

import pytest

from engine.catalog.signing import FILE, PublicKey, Signer
from engine.errors import ConfigError

# RFC 8032, section 7.1, test 2: seed, public key, message, signature.
SEED = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
PUBLIC = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
SIGNATURE = (
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def base64_of(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()


def test_signatures_are_those_of_the_standard() -> None:
    signer = Signer(bytes.fromhex(SEED))
    assert signer.public.text == base64_of(PUBLIC)
    assert signer.sign(b"\x72") == base64_of(SIGNATURE)
    PublicKey.read(base64_of(PUBLIC)).check(b"\x72", base64_of(SIGNATURE))


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    signer = Signer.of_folder(folder)
    assert Signer.of_folder(folder).public.text == signer.public.text
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600
    assert Signer.of_folder(tmp_path / "other").public.text != signer.public.text
    (folder / FILE).chmod(0o644)
    with pytest.raises(ConfigError, match=r"signing key '.*export.key': only its owner may read"):
        Signer.of_folder(folder)


def test_the_key_is_in_no_text(tmp_path: Path) -> None:
    signer = Signer.of_folder(tmp_path)
    secret = (tmp_path / FILE).read_bytes()
    assert secret.hex() not in f"{signer!r} {vars(signer)}"
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(signer)


@pytest.mark.parametrize(
    ("message", "signature"), [(b"other", None), (b"this", "A" * 86 + "=="), (b"this", "")]
)
def test_a_signature_of_something_else_is_refused(message: bytes, signature: str | None) -> None:
    signer = Signer(b"s" * 32)
    made = signer.sign(b"this")
    signer.public.check(b"this", made)
    with pytest.raises(ConfigError, match="signature: "):
        signer.public.check(message, made if signature is None else signature)


@pytest.mark.parametrize("text", ["", "AAAA", "é", "A" * 43, "A" * 43 + "=\n", "A" * 42 + "B="])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="publicKey: must be 32 bytes in Base64"):
        PublicKey.read(text)
