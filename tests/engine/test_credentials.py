"""Only who has the key reads credentials, and only those of the account they were given for."""

from __future__ import annotations

import pickle
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.credentials import FILE, MAX_LENGTH, MAX_NUMBER, Vault, check_credentials
from engine.errors import ConfigError
from tests.examples import examples

KEY, OTHER = b"k" * 32, b"o" * 32
SECRET = {"apiKey": "hunter2", "apiSecret": "swordfish"}

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,63}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
credentials = st.dictionaries(names, texts, min_size=1, max_size=MAX_NUMBER)


@given(key=st.binary(min_size=32, max_size=32), account=st.text("ab1-"), secret=credentials)
@examples(100)
def test_what_is_encrypted_is_decrypted_and_never_twice_the_same(
    key: bytes, account: str, secret: dict[str, str]
) -> None:
    check_credentials(secret)
    vault = Vault(key)
    sealed = vault.seal(account, secret)
    assert Vault(key).open(account, sealed) == secret
    assert vault.seal(account, secret) != sealed
    assert all(value.encode() not in sealed for value in secret.values() if len(value) > 3)


@given(at=st.integers(0), bit=st.integers(0, 7))
@examples(100)
def test_no_bit_of_it_can_be_changed(at: int, bit: int) -> None:
    sealed = bytearray(Vault(KEY).seal("a", SECRET))
    sealed[at % len(sealed)] ^= 1 << bit
    with pytest.raises(ConfigError, match="credentials of account 'a': "):
        Vault(KEY).open("a", bytes(sealed))


@given(length=st.integers(0))
@examples(50)
def test_no_part_of_it_is_enough(length: int) -> None:
    sealed = Vault(KEY).seal("a", SECRET)
    with pytest.raises(ConfigError, match="credentials of account 'a': "):
        Vault(KEY).open("a", sealed[: length % len(sealed)])


def test_it_is_of_no_use_for_another_account() -> None:
    with pytest.raises(ConfigError, match=r"'b': were changed since .* or are another account's"):
        Vault(KEY).open("b", Vault(KEY).seal("a", SECRET))


def test_another_key_is_told_from_a_wrong_one() -> None:
    sealed = Vault(KEY).seal("a", SECRET)
    with pytest.raises(ConfigError, match=r"encrypted with key [0-9a-f]{16}, .* another one; put"):
        Vault(OTHER).open("a", sealed)
    # The same name for another key, as whoever can write the database may say.
    forged = Vault(OTHER).seal("a", SECRET)[:9] + sealed[9:]
    with pytest.raises(ConfigError, match="were changed since"):
        Vault(OTHER).open("a", forged)


def test_earlier_keys_decrypt_and_the_newest_encrypts() -> None:
    old, both = Vault(KEY), Vault(OTHER, [KEY])
    sealed = old.seal("a", SECRET)
    assert both.open("a", sealed) == SECRET
    assert (old.is_current(sealed), both.is_current(sealed)) == (True, False)
    renewed = both.seal("a", SECRET)
    assert both.is_current(renewed)
    assert Vault(OTHER).open("a", renewed) == SECRET


def test_a_later_layout_is_refused() -> None:
    with pytest.raises(ConfigError, match="a newer version of Chorus"):
        Vault(KEY).open("a", b"\x02" + Vault(KEY).seal("a", SECRET)[1:])


def test_the_key_is_made_once_for_its_owner_only_and_others_are_appended(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    sealed = Vault.of_folder(folder).seal("a", SECRET)
    file = folder / FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with file.open("ab") as keys:
        keys.write(OTHER)
    appended = Vault.of_folder(folder)
    assert appended.open("a", sealed) == SECRET
    assert Vault(OTHER).open("a", appended.seal("a", SECRET)) == SECRET
    file.unlink()
    with pytest.raises(ConfigError, match=f"'{FILE}' of the data folder: it is missing"):
        Vault.of_folder(folder).open("a", sealed)


def test_a_file_of_half_a_key_is_refused(tmp_path: Path) -> None:
    Vault.of_folder(tmp_path)
    with (tmp_path / FILE).open("ab") as keys:
        keys.write(b"x")
    with pytest.raises(ConfigError, match="whole keys of 32 bytes, has 33 bytes"):
        Vault.of_folder(tmp_path)
    with pytest.raises(ConfigError, match="exactly 32 bytes"):
        Vault(KEY[1:])


def test_the_key_is_in_no_text(tmp_path: Path) -> None:
    vault = Vault.of_folder(tmp_path)
    key = (tmp_path / FILE).read_bytes()
    text = f"{vault!r} {vars(vault)}"
    assert key.hex() not in text
    assert repr(key) not in text
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(vault)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"hunter2 ": "x"},
        {"hunter2\n": "x"},
        {"": "hunter2"},
        {"a" * 65: "hunter2"},
        {"apiKey": ""},
        {"apiKey": "hunter2" + "x" * MAX_LENGTH},
        {"apiKey": "hunter2\ud800"},
        {f"hunter2_{n}": "hunter2" for n in range(MAX_NUMBER + 1)},
    ],
)
def test_what_cannot_be_kept_is_refused_without_a_word_of_it(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"^credentials: need 1 to 20 texts") as caught:
        check_credentials(wrong)
    assert "hunter2" not in str(caught.value)
