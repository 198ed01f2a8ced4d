"""What people call things: names where the API wants ids, NAME=VALUE where it wants JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from api.cli.remote.address import path_of
from engine.errors import ConfigError

if TYPE_CHECKING:
    from api.cli.remote.client import Api

__all__ = [
    "TRUSTED_KEYS",
    "account_id",
    "definition_id",
    "only_account_id",
    "settings_of",
    "trusted_key_id",
    "user_id",
]

TRUSTED_KEYS: Final = ("admin", "strategy", "trusted-keys")
"""Their path."""

Item = dict[str, Any]


def definition_id(api: Api, named: str) -> str:
    """Return the id of a definition that is named by its key or its id.

    Raises:
        ConfigError: There is none, or more than one.
    """
    path = path_of("admin", "strategy", "definitions")
    return _id_of(api, path, named, "definition", lambda item: item["key"])


def account_id(api: Api, named: str) -> str:
    """Return the id of an account that is named by its name or its id; errors as above."""
    return _id_of(api, path_of("accounts"), named, "account", lambda item: item["name"])


def user_id(api: Api, named: str) -> str:
    """Return the id of a user that is named by its name or its id; errors as above."""
    return _id_of(api, path_of("users"), named, "user", lambda item: item["name"].lower())


def trusted_key_id(api: Api, named: str) -> str:
    """Return the id of a trusted key that is named by its name or its id; errors as above."""
    return _id_of(api, path_of(*TRUSTED_KEYS), named, "trusted key", lambda item: item["name"])


def only_account_id(api: Api) -> str:
    """Return the id of the only account there is.

    Raises:
        ConfigError: There is none, or a choice.
    """
    found = api.items(path_of("accounts"), 2).items
    if len(found) == 1:
        return str(found[0]["id"])
    raise ConfigError(
        "--account: needed, since there is more than one; see `chorus accounts`"
        if found
        else "--account: there is no account yet; open one with `chorus accounts open`"
    )


def settings_of(pairs: Sequence[str], option: str) -> dict[str, Any]:
    """Read NAME=VALUE pairs; a value is JSON, or else text.

    Args:
        pairs: As given.
        option: How they were given, for messages.

    Raises:
        ConfigError: One of them is none, or a name comes twice.

    >>> settings_of(["period=14", "side=long", "levels=[1, 2]", 'code="7"'], "--set")
    {'period': 14, 'side': 'long', 'levels': [1, 2], 'code': '7'}
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise ConfigError(f"{option}: needs NAME=VALUE, e.g. period=14, got {pair!r}")
        if name in settings:
            raise ConfigError(f"{option}: {name} is given twice; give it once")
        try:
            settings[name] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            settings[name] = value
    return settings


def _id_of(api: Api, path: str, named: str, kind: str, name_of: Callable[[Item], str]) -> str:
    found = api.items(path).items
    if any(item["id"] == named for item in found):
        return named
    wanted = named.lower() if kind == "user" else named
    ids = [str(item["id"]) for item in found if name_of(item) == wanted]
    if len(ids) == 1:
        return ids[0]
    if ids:
        raise ConfigError(
            f"{kind} {named!r}: is the name of {len(ids)}; give the id of one: {', '.join(ids)}"
        )
    known = sorted({name_of(item) for item in found})
    several = ", ".join(known[:10]) + (", …" if len(known) > 10 else "")  # noqa: PLR2004 - enough
    raise ConfigError(
        f"{kind} {named!r}: there is none that you see; there are: {several or 'none'}"
    )
