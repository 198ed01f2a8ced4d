"""`chorus trading`, `bots`: whether strategies trade, and who follows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from rich.text import Text

from api.cli.remote.address import path_of
from api.cli.remote.command import Remote, asking
from api.cli.remote.naming import account_id, only_account_id
from api.cli.remote.output import Field, amount_of, coloured
from api.cli.remote.strategies import LimitOption, StrategyArgument

__all__ = [
    "follow",
    "halt",
    "list_bots",
    "pause_bot",
    "reduce",
    "remove_bot",
    "resume_bot",
    "resume_trading",
    "risk",
]

Item = dict[str, Any]

AccountOption = Annotated[
    str | None,
    typer.Option("--account", metavar="NAME", help="This account; none: all, for admins."),
]
ReasonOption = Annotated[str, typer.Option("--reason", help="For the audit log.")]
BotArgument = Annotated[str, typer.Argument(metavar="ID", help="Of a bot.")]

_MODES = {"running": "green", "reduce": "yellow", "halted": "bold red"}


def _mode(item: Item) -> Text:
    return Text(item["mode"], style=_MODES.get(item["mode"], ""))


_RISKS = (
    Field("account", lambda item: item["name"]),
    Field("mode", _mode),
    Field("currency", lambda item: item.get("currency")),
    Field("equity", lambda item: amount_of(item.get("equity")), right=True),
    Field("balance", lambda item: amount_of(item.get("balance")), right=True, rank=1),
    Field("committed", lambda item: amount_of(item.get("committed")), right=True, rank=2),
    Field("free", lambda item: amount_of(item.get("free")), right=True, rank=3),
    Field(
        "unrealized",
        lambda item: coloured(
            amount_of(item.get("unrealized"), signed=True), item.get("unrealized")
        ),
        right=True,
    ),
    Field("drawdown", lambda item: item["drawdown"], right=True),
)
_BOTS = (
    Field("id", lambda item: item["id"]),
    Field("strategy", lambda item: item["strategyId"]),
    Field("status", lambda item: item["status"]),
    Field("strategy is", lambda item: item["strategyStatus"], rank=1),
    Field("account", lambda item: item["accountId"], rank=2),
    Field("capital", lambda item: item["capital"], right=True),
    Field("leverage", lambda item: item["leverage"], right=True, rank=3),
)


@asking
def risk(remote: Remote) -> None:
    """Show whether accounts may trade, and what they risk at present.

    Example: chorus trading
    """
    found = remote.api.get(path_of("risk"))
    if remote.printer.is_json:
        remote.printer.item(found, [])
        return
    rows = [
        {**account, **currency, "drawdown": f"{currency['drawdown']:.2%}" if currency else ""}
        for account in found["accounts"]
        for currency in account["currencies"] or [{}]
    ]
    remote.printer.items("accounts", _RISKS, rows)


@asking
def halt(remote: Remote, *, account: AccountOption = None, reason: ReasonOption = "") -> None:
    """Stop trading at once; protective orders stay. It holds over restarts.

    Example: chorus trading halt --reason "wrong prices"
    """
    _turn_trading(remote, "halt", account, reason)


@asking
def reduce(remote: Remote, *, account: AccountOption = None, reason: ReasonOption = "") -> None:
    """Let positions only be reduced, not opened or made larger.

    Example: chorus trading reduce --account paper
    """
    _turn_trading(remote, "reduce", account, reason)


@asking
def resume_trading(
    remote: Remote, *, account: AccountOption = None, reason: ReasonOption = ""
) -> None:
    """Trade again after `halt` or `reduce`.

    Example: chorus trading resume
    """
    _turn_trading(remote, "resume", account, reason)


def _turn_trading(remote: Remote, what: str, account: str | None, reason: str) -> None:
    whose = None if account is None else account_id(remote.api, account)
    found = remote.api.post(path_of("trading", what), {"account": whose, "reason": reason})
    remote.printer.item(found, [f"{account or 'all accounts'}: {found['mode']}"])


@asking
def list_bots(
    remote: Remote,
    *,
    strategy: Annotated[
        str | None, typer.Option("--strategy", metavar="ID", help="Only those that follow it.")
    ] = None,
    status: Annotated[
        Literal["active", "paused"] | None, typer.Option("--status", help="One of them.")
    ] = None,
    limit: LimitOption = 0,
) -> None:
    """List the bots you see: accounts that follow a strategy.

    Example: chorus bots --status active
    """
    found = remote.api.items(path_of("bots"), limit, strategy=strategy, status=status)
    remote.printer.items("bots", _BOTS, found.items, found.next)


@asking
def follow(
    remote: Remote,
    strategy: StrategyArgument,
    *,
    capital: Annotated[
        str, typer.Option("--capital", metavar="AMOUNT", help="What it may use, quote currency.")
    ],
    account: Annotated[
        str | None,
        typer.Option("--account", metavar="NAME", help="With this one; not needed with only one."),
    ] = None,
    leverage: Annotated[str, typer.Option("--leverage", help="At most, from 1 to 125.")] = "1",
) -> None:
    """Follow a strategy with an account.

    Example: chorus bots follow btc_dips --capital 250
    """
    api = remote.api
    body = {
        "strategy": strategy,
        "account": only_account_id(api) if account is None else account_id(api, account),
        "capital": capital,
        "leverage": leverage,
    }
    found = api.post(path_of("bots"), body)
    remote.printer.item(found, [f"{found['id']}: follows {strategy} with {found['capital']}"])


@asking
def pause_bot(remote: Remote, bot: BotArgument) -> None:
    """Let a bot follow no new entries for a while.

    Example: chorus bots pause 5f0c7a1b2d3e4f60
    """
    found = remote.api.put(path_of("bots", bot, "pause"))
    remote.printer.item(found, [f"{bot}: {found['status']}"])


@asking
def resume_bot(remote: Remote, bot: BotArgument) -> None:
    """Let a bot follow again.

    Example: chorus bots resume 5f0c7a1b2d3e4f60
    """
    found = remote.api.put(path_of("bots", bot, "resume"))
    remote.printer.item(found, [f"{bot}: {found['status']}"])


@asking
def remove_bot(remote: Remote, bot: BotArgument) -> None:
    """Follow no more; what the bot traded stays on record.

    Example: chorus bots remove 5f0c7a1b2d3e4f60
    """
    found = remote.api.delete(path_of("bots", bot))
    remote.printer.item(found, [f"{bot}: removed"])
