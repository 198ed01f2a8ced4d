"""`chorus login` and `chorus logout`: which key is sent."""

from __future__ import annotations

import sys

import typer

from api.cli.remote.address import DEFAULT_URL, Address, path_of
from api.cli.remote.command import JsonOption, KeyFileOption, UrlOption
from api.cli.remote.keyring import Key, Keyring, read_key
from api.cli.remote.output import Printer
from engine.errors import ConfigError

__all__ = ["login", "logout", "secret"]


def login(
    *, url: UrlOption = DEFAULT_URL, key_file: KeyFileOption = None, json: JsonOption = False
) -> None:
    """Keep a key for a service, in your folder for configuration, readable by you only.

    The key is asked for, or read from standard input, or from --key-file; it never stands on the
    command line.

    Example: chorus login --url http://127.0.0.1:8642
    """
    from api.cli.remote.client import Api  # noqa: PLC0415 - as in `asking`

    address, printer = Address.of(url), Printer(is_json=json)
    if not address.is_private:
        printer.notice(f"{address.url}: without https, whoever is on the way can read the key")
    key = Key(secret("key"), "the key") if key_file is None else read_key(key_file)
    with Api(address, key) as api:
        me = api.get(path_of("me"))
    path = Keyring().save(address, key)
    printer.item(me, [f"signed in at {address.url} as {me['role']}; the key is kept in {path}"])


def logout(*, url: UrlOption = DEFAULT_URL, json: JsonOption = False) -> None:
    """Keep the key for a service no more; it stays valid until it is revoked.

    Example: chorus logout
    """
    address = Address.of(url)
    was_kept = Keyring().forget(address)
    line = "the key is removed" if was_kept else "no key was kept"
    Printer(is_json=json).item({"removed": was_kept}, [f"{address.url}: {line}"])


def secret(what: str, *, is_new: bool = False, may_be_empty: bool = False) -> str:
    """Ask for something nobody shall see: hidden on a terminal, else a line of standard input.

    Args:
        what: Is asked for.
        is_new: A typing error would shut its owner out, so a terminal asks twice.
        may_be_empty: Nothing is an answer, too.

    Raises:
        ConfigError: Nothing was given.
    """
    if sys.stdin.isatty():
        default = "" if may_be_empty else None
        text = typer.prompt(
            what,
            hide_input=True,
            confirmation_prompt=is_new,
            default=default,
            show_default=False,
            err=True,
        )
    else:
        text = sys.stdin.readline().rstrip("\r\n")
    if not text and not may_be_empty:
        raise ConfigError(
            f"{what}: nothing was given; type it where it is asked for, or pipe it in"
        )
    return str(text)
