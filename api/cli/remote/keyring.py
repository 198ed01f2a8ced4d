"""Keys: where they are found, and kept."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import typer

from api.cli.remote.address import Address
from engine.errors import ConfigError

__all__ = ["ENVIRONMENT", "Key", "Keyring", "find_key", "read_key"]

ENVIRONMENT: Final = "CHORUS_KEY"
_LONGEST: Final = 4096
_FOLDER: Final = 0o700
_FILE: Final = 0o600


class Key:
    """What somebody signs in with; only `text` shows it.

    Args:
        text: As it was given; blanks around it do not count.
        source: Where it was found, for messages.

    Raises:
        ConfigError: It cannot be a key or a token.
    """

    def __init__(self, text: str, source: str) -> None:
        self.text = text.strip()
        if not self.text:
            raise ConfigError(f"{source}: holds no key; `chorus login` asks for one")
        if not (self.text.isascii() and self.text.isprintable()) or " " in self.text:
            raise ConfigError(f"{source}: a key is one word of ASCII characters")

    @property
    def headers(self) -> dict[str, str]:
        """Return what is sent with every request."""
        # Not X-API-Key: what goes between hosts or into logs knows that this header is a secret.
        return {"Authorization": f"Bearer {self.text}"}

    def __repr__(self) -> str:
        return "Key(***)"


class Keyring:
    """Keeps the key of each service in a file of its own, which only its owner can read.

    Args:
        folder: Where; None: in the user's folder for configuration.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(typer.get_app_dir("chorus")) / "keys"

    def file_of(self, address: Address) -> Path:
        """Return where the key of a service is kept."""
        return self._folder / quote(address.url, safe="")

    def load(self, address: Address) -> Key | None:
        """Return the key of a service; None if none is kept.

        Raises:
            ConfigError: Its file cannot be read, or others may read it.
        """
        path = self.file_of(address)
        try:
            with path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                text = file.read(_LONGEST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
        if sys.platform != "win32" and mode & 0o077:
            raise ConfigError(
                f"{path}: must be readable by its owner only (mode 0600), has {mode:04o}; "
                "take the key back with `chorus keys revoke`, then `chorus login`"
            )
        return Key(_decoded(text), str(path))

    def save(self, address: Address, key: Key) -> Path:
        """Keep the key of a service; returns where.

        Raises:
            ConfigError: It cannot be written.
        """
        path = self.file_of(address)
        fresh = path.with_name(f".{secrets.token_hex(8)}")
        try:
            self._folder.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
            try:
                opened = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE)
                with os.fdopen(opened, "w", encoding="ascii") as file:
                    file.write(f"{key.text}\n")
                fresh.replace(path)
            finally:
                fresh.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error
        return path

    def forget(self, address: Address) -> bool:
        """Keep the key of a service no more; tells whether there was one.

        Raises:
            ConfigError: Its file cannot be taken away.
        """
        path = self.file_of(address)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ConfigError(f"{path}: cannot be removed: {error.strerror or error}") from error
        return True


def find_key(
    address: Address, key_file: Path | None, environment: Mapping[str, str] = os.environ
) -> Key | None:
    """Return the key for a service: of a file, of the environment, or kept by `chorus login`.

    Args:
        address: The service.
        key_file: What the command line names.
        environment: Of this process.

    Raises:
        ConfigError: What is named there is no key.
    """
    if key_file is not None:
        return read_key(key_file)
    if text_given := environment.get(ENVIRONMENT):
        return Key(text_given, ENVIRONMENT)
    return Keyring().load(address)


def read_key(path: Path) -> Key:
    """Return the key in a file that the command line names.

    Raises:
        ConfigError: It cannot be read, or holds none.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST)
    except OSError as error:
        raise ConfigError(
            f"--key-file {path}: cannot be read: {error.strerror or error}"
        ) from error
    return Key(_decoded(text), f"--key-file {path}")


def _decoded(text: bytes) -> str:
    # What is no ASCII is no key; the message must not quote it.
    return text.decode("ascii", errors="replace")
