"""`chorus accounts`: where strategies trade."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from api.cli.remote.address import path_of
from api.cli.remote.command import Remote, asking
from api.cli.remote.naming import account_id
from api.cli.remote.output import Field
from api.cli.remote.sign_in import secret
from api.cli.remote.strategies import LimitOption
from engine.documents import read_document
from engine.errors import ConfigError

__all__ = [
    "disable_account",
    "enable_account",
    "forget_credentials",
    "list_accounts",
    "open_account",
    "set_credentials",
]

Item = dict[str, Any]

AccountArgument = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="Name, or id, of an account.")
]


def _money(item: Item) -> str:
    return ", ".join(f"{amount} {name}" for name, amount in item["balances"].items())


_ACCOUNTS = (
    Field("name", lambda item: item["name"]),
    Field("venue", lambda item: item["venue"]),
    Field("start balance", _money),
    Field("limits", lambda item: ", ".join(f"{k} {v}" for k, v in item["limits"].items()), rank=1),
    Field("state", lambda item: "enabled" if item["isEnabled"] else "disabled"),
    Field("credentials", lambda item: "kept" if item["hasCredentials"] else "", rank=4),
    Field("owner", lambda item: item["ownerId"], rank=3),
    Field("id", lambda item: item["id"], rank=2),
)


@asking
def list_accounts(remote: Remote, *, limit: LimitOption = 0) -> None:
    """List the accounts you see.

    Example: chorus accounts
    """
    found = remote.api.items(path_of("accounts"), limit)
    remote.printer.items("accounts", _ACCOUNTS, found.items, found.next)


@asking
def open_account(
    remote: Remote,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the new account.")],
    balances: Annotated[
        list[str], typer.Argument(metavar="CURRENCY=AMOUNT...", help="What it begins with.")
    ],
    *,
    venue: Annotated[
        str, typer.Option("--venue", metavar="VENUE", help="Where; strategies trade on paper only.")
    ] = "paper",
) -> None:
    """Open an account.

    Example: chorus accounts open paper USDT=10000
    """
    money: dict[str, str] = {}
    for pair in balances:
        currency, sign, amount = pair.partition("=")
        if not (currency and sign and amount):
            raise ConfigError(f"balances: need CURRENCY=AMOUNT, e.g. USDT=10000, got {pair!r}")
        money[currency] = amount
    body = {"name": name, "venue": venue, "balances": money}
    found = remote.api.post(path_of("accounts"), body)
    remote.printer.item(found, [f"{found['name']}: opened with {_money(found)}, id {found['id']}"])


@asking
def disable_account(remote: Remote, account: AccountArgument) -> None:
    """Let no new strategies trade with an account; those that do go on.

    Example: chorus accounts disable paper
    """
    _turn_account(remote, account, "disable")


@asking
def enable_account(remote: Remote, account: AccountArgument) -> None:
    """Let new strategies trade with an account again.

    Example: chorus accounts enable paper
    """
    _turn_account(remote, account, "enable")


def _turn_account(remote: Remote, account: str, what: str) -> None:
    found = remote.api.post(path_of("accounts", account_id(remote.api, account), what))
    remote.printer.item(found, [f"{found['name']}: {what}d"])


@asking
def set_credentials(
    remote: Remote,
    account: AccountArgument,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", help="What the venue calls them, e.g. apiKey."),
    ] = None,
) -> None:
    """Keep credentials of an account's venue, instead of those before.

    Each is asked for, or read from a line of standard input; without names all of them are read
    from there as one JSON object. They never stand on the command line, and are never shown.

    Example: chorus accounts set-credentials live apiKey apiSecret
    """
    path = path_of("accounts", account_id(remote.api, account), "credentials")
    found = remote.api.put(path, {"credentials": _asked_for(names or [])})
    remote.printer.item(found, [f"{found['name']}: credentials are kept"])


@asking
def forget_credentials(remote: Remote, account: AccountArgument) -> None:
    """Keep an account's credentials no more.

    Example: chorus accounts forget-credentials live
    """
    path = path_of("accounts", account_id(remote.api, account), "credentials")
    found = remote.api.delete(path)
    remote.printer.item(found, [f"{found['name']}: has no credentials"])


def _asked_for(names: Sequence[str]) -> Item:
    """Return credentials by name.

    Raises:
        ConfigError: None or not all were given, or one is named twice. Nothing of them is in it.
    """
    if len(set(names)) < len(names):
        raise ConfigError("NAME: one is given twice; name each once")
    if names:
        return {name: secret(name) for name in names}
    if sys.stdin.isatty():
        raise ConfigError("NAME: name what you are asked for, e.g. apiKey apiSecret")
    try:
        given = read_document(sys.stdin.buffer.read(), "standard input")
    except ConfigError:
        given = None
    if not isinstance(given, dict):
        # Nothing of what is wrong with it is said: that might quote it.
        raise ConfigError(
            'standard input: needs a JSON object of texts, {"apiKey": "...", ...}, or a line for '
            "each NAME that the command names"
        )
    return given
