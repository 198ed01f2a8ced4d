"""`chorus orders`, `fills`, `positions`, `signals`, `alerts`: what strategies did."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from rich.text import Text

from api.cli.remote.address import path_of
from api.cli.remote.command import Remote, asking
from api.cli.remote.naming import account_id
from api.cli.remote.output import Field, amount_of, coloured, moment_of
from api.cli.remote.strategies import LimitOption, StrategyArgument, path_of_strategy

__all__ = ["acknowledge_alert", "fills", "list_alerts", "orders", "positions", "signals"]

Item = dict[str, Any]

_NEWEST = 100
"""What lists of years show unless asked for more."""

StrategyOption = Annotated[
    str | None,
    typer.Option("--strategy", metavar="ID", help="Only those of this strategy, or this bot."),
]
AccountOption = Annotated[
    str | None, typer.Option("--account", metavar="NAME", help="Only those of this account.")
]
SymbolOption = Annotated[str | None, typer.Option("--symbol", help="E.g. BTC/USDT.")]
SideOption = Annotated[Literal["buy", "sell"] | None, typer.Option("--side", help="One of them.")]
FromOption = Annotated[
    str | None, typer.Option("--from", metavar="MOMENT", help="From then on: 2024-01-31T15:00:00Z.")
]
ToOption = Annotated[str | None, typer.Option("--to", metavar="MOMENT", help="Until before then.")]


def _side(item: Item) -> Text:
    return Text(item["side"], style="green" if item["side"] == "buy" else "red")


def _realized(item: Item) -> Text:
    return coloured(amount_of(item["realized"], signed=True), item["realized"])


def _unrealized(item: Item) -> Text:
    return coloured(amount_of(item["unrealized"], signed=True), item["unrealized"])


_ORDERS = (
    Field("created", lambda item: moment_of(item["created"])),
    Field("strategy", lambda item: item["strategyId"]),
    Field("symbol", lambda item: item["symbol"]),
    Field("side", _side),
    Field("type", lambda item: item["type"], rank=2),
    Field("role", lambda item: item["role"], rank=1),
    Field("quantity", lambda item: item["quantity"], right=True),
    Field("filled", lambda item: item["filled"], right=True, rank=3),
    Field("price", lambda item: item["price"], right=True, rank=4),
    Field("status", lambda item: item["status"]),
    Field("reason", lambda item: item["reason"], rank=5),
    Field("id", lambda item: item["id"], rank=6),
)
_FILLS = (
    Field("at", lambda item: moment_of(item["at"])),
    Field("strategy", lambda item: item["strategyId"]),
    Field("symbol", lambda item: item["symbol"]),
    Field("side", _side),
    Field("role", lambda item: item["role"], rank=1),
    Field("quantity", lambda item: item["quantity"], right=True),
    Field("price", lambda item: item["price"], right=True),
    Field("fee", lambda item: f"{item['fee']} {item['feeCurrency']}", right=True, rank=2),
    Field("realized", _realized, right=True),
    Field("order", lambda item: item["orderId"], rank=6),
)
_POSITIONS = (
    Field("strategy", lambda item: item["strategyId"]),
    Field("account", lambda item: item["accountId"], rank=4),
    Field("symbol", lambda item: item["symbol"]),
    Field("quantity", lambda item: item["quantity"], right=True),
    Field("entry price", lambda item: amount_of(item["entryPrice"]), right=True),
    Field("mark", lambda item: amount_of(item["mark"]), right=True, rank=1),
    Field("unrealized", _unrealized, right=True),
    Field("realized", _realized, right=True, rank=2),
    Field("updated", lambda item: moment_of(item["updated"]), rank=3),
)
_SIGNALS = (
    Field("at", lambda item: moment_of(item["at"])),
    Field("action", lambda item: item["action"]),
    Field("symbol", lambda item: item["symbol"]),
    Field("quantity", lambda item: item["quantity"], right=True, rank=3),
    Field("confidence", lambda item: item["confidence"], right=True, rank=4),
    Field("code", lambda item: item["code"]),
    Field("reason", lambda item: item["reason"], rank=1),
    Field("detail", lambda item: item["detail"], rank=2),
)
_LEVELS = {"warning": "yellow", "error": "red", "critical": "bold red"}
_ALERTS = (
    Field("id", lambda item: str(item["id"]), right=True),
    Field("at", lambda item: moment_of(item["at"])),
    Field("level", lambda item: Text(item["level"], style=_LEVELS.get(item["level"], ""))),
    Field("strategy", lambda item: item["strategyId"]),
    Field("title", lambda item: item["title"]),
    Field("text", lambda item: item["text"], rank=1),
    Field("acknowledged", lambda item: moment_of(item["acknowledged"]), rank=2),
)


def _account(remote: Remote, named: str | None) -> str | None:
    return None if named is None else account_id(remote.api, named)


@asking
def orders(
    remote: Remote,
    *,
    strategy: StrategyOption = None,
    account: AccountOption = None,
    symbol: SymbolOption = None,
    side: SideOption = None,
    status: Annotated[
        Literal["open", "filled", "canceled", "rejected"] | None,
        typer.Option("--status", help="One of them."),
    ] = None,
    since: FromOption = None,
    until: ToOption = None,
    limit: LimitOption = _NEWEST,
) -> None:
    """List the orders of your strategies and bots, the newest first.

    Example: chorus orders --strategy btc_dips --status open
    """
    parameters = {
        "strategy": strategy,
        "account": _account(remote, account),
        "symbol": symbol,
        "side": side,
        "status": status,
        "from": since,
        "to": until,
    }
    found = remote.api.items(path_of("orders"), limit, **parameters)
    remote.printer.items("orders", _ORDERS, found.items, found.next)


@asking
def fills(
    remote: Remote,
    *,
    strategy: StrategyOption = None,
    account: AccountOption = None,
    symbol: SymbolOption = None,
    side: SideOption = None,
    since: FromOption = None,
    until: ToOption = None,
    limit: LimitOption = _NEWEST,
) -> None:
    """List the fills of your strategies and bots, the newest first.

    Example: chorus fills --strategy btc_dips --from 2024-01-31T00:00:00Z
    """
    parameters = {
        "strategy": strategy,
        "account": _account(remote, account),
        "symbol": symbol,
        "side": side,
        "from": since,
        "to": until,
    }
    found = remote.api.items(path_of("fills"), limit, **parameters)
    remote.printer.items("fills", _FILLS, found.items, found.next)


@asking
def positions(
    remote: Remote,
    *,
    strategy: StrategyOption = None,
    account: AccountOption = None,
    symbol: SymbolOption = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that are flat by now.")] = False,
    limit: LimitOption = 0,
) -> None:
    """List the open positions of your strategies and bots, with what they are worth.

    Example: chorus positions --symbol BTC/USDT
    """
    found = remote.api.items(
        path_of("positions"),
        limit,
        strategy=strategy,
        account=_account(remote, account),
        symbol=symbol,
        open=None if every else True,
    )
    remote.printer.items("positions", _POSITIONS, found.items, found.next)


@asking
def signals(
    remote: Remote,
    strategy: StrategyArgument,
    *,
    symbol: SymbolOption = None,
    code: Annotated[
        str | None,
        typer.Option("--code", help="accepted, recorded, or why they were refused."),
    ] = None,
    since: FromOption = None,
    until: ToOption = None,
    limit: LimitOption = _NEWEST,
) -> None:
    """List what a strategy wanted, and what became of it, the newest first.

    Example: chorus signals btc_dips --code accepted
    """
    parameters = {"symbol": symbol, "code": code, "from": since, "to": until}
    found = remote.api.items(path_of_strategy(strategy, "signals"), limit, **parameters)
    remote.printer.items("signals", _SIGNALS, found.items, found.next)


@asking
def list_alerts(
    remote: Remote,
    *,
    strategy: Annotated[
        str | None, typer.Option("--strategy", metavar="ID", help="Only those about this strategy.")
    ] = None,
    level: Annotated[str | None, typer.Option("--level", help="E.g. error.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also those somebody has looked at.")
    ] = False,
    limit: LimitOption = _NEWEST,
) -> None:
    """List the alerts nobody has looked at yet, the newest first.

    Example: chorus alerts --level error
    """
    found = remote.api.items(
        path_of("alerts"), limit, strategy=strategy, level=level, open=None if every else True
    )
    remote.printer.items("alerts", _ALERTS, found.items, found.next)


@asking
def acknowledge_alert(
    remote: Remote,
    alert: Annotated[int, typer.Argument(metavar="ID", min=1, help="Of an alert.")],
) -> None:
    """Say that you have looked at an alert.

    Example: chorus alerts acknowledge 7
    """
    found = remote.api.post(path_of("alerts", str(alert), "acknowledge"))
    remote.printer.item(found, [f"alert {found['id']}: acknowledged"])
