"""`chorus ps` and whatever is done with one strategy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.text import Text

from api.cli.live import amount, quote, signal_text
from api.cli.remote.address import path_of
from api.cli.remote.command import Remote, asking
from api.cli.remote.naming import account_id, definition_id, only_account_id, settings_of
from api.cli.remote.output import Field, coloured, status_of
from engine.config.document import read_document
from engine.errors import ConfigError

__all__ = [
    "LimitOption",
    "StrategyArgument",
    "change",
    "path_of_strategy",
    "pause",
    "ps",
    "remove",
    "restart",
    "resume",
    "show",
    "start",
    "stop",
]

StrategyArgument = Annotated[str, typer.Argument(metavar="ID", help="Of a strategy.")]
LimitOption = Annotated[
    int, typer.Option("--limit", min=0, metavar="N", help="Items at most; 0: all of them.")
]
Item = dict[str, Any]


def path_of_strategy(strategy: str, *parts: str) -> str:
    """Return a path of a strategy."""
    return path_of("strategies", strategy, *parts)


def _state(name: str) -> Any:
    return lambda item: item["state"].get(name)


def _stream(item: Item) -> str:
    config = item["config"]
    return f"{config.get('symbol', '')} {config.get('timeframe', '')}"


def _position(item: Item) -> str:
    held = item["state"].get("position")
    return amount(held, 4) if held else "flat"


def _pnl(item: Item) -> Text:
    value = item["state"].get("pnl", 0.0)
    currency = quote(item["config"].get("symbol", ""))
    return coloured(f"{amount(value, signed=True)} {currency}", value)


def _return(item: Item) -> Text:
    value = item["state"].get("returnPct", 0.0)
    return coloured(f"{value:+.2f} %", value)


def _last(item: Item) -> Text | str:
    state = item["state"]
    if state.get("cause"):
        return Text(state["cause"], style="red")
    return signal_text(state.get("lastSignal", ""))


_FIELDS = (
    Field("strategy", lambda item: item["id"]),
    Field("type", lambda item: item["config"].get("type", ""), rank=5),
    Field("stream", _stream, rank=3),
    Field("wanted", lambda item: item["desired"], rank=8),
    Field("status", lambda item: status_of(item["state"]["status"])),
    Field("position", _position, right=True, rank=1),
    Field("P&L", _pnl, right=True),
    Field("return", _return, right=True, rank=4),
    Field("trades", lambda item: f"{item['state'].get('trades', 0):,}", right=True, rank=6),
    Field("last signal", _last, rank=2),
    Field("lag", lambda item: f"{item['state'].get('lag', 0):,}", right=True, rank=7),
)


@asking
def ps(
    remote: Remote,
    *,
    desired: Annotated[
        Literal["running", "paused", "stopped"] | None,
        typer.Option("--wanted", help="Only those of which their owner wants this."),
    ] = None,
    sort: Annotated[
        str, typer.Option("--sort", help="By created, updated or id; `-` before it reverses.")
    ] = "created",
    limit: LimitOption = 0,
) -> None:
    """List the strategies you see, with how they are.

    Example: chorus ps --wanted running
    """
    found = remote.api.items(path_of("strategies"), limit, desired=desired, sort=sort)
    remote.printer.items("strategies", _FIELDS, found.items, found.next)


@asking
def show(remote: Remote, strategy: StrategyArgument) -> None:
    """Show all there is to know about a strategy: configuration, state and performance.

    Example: chorus show btc_dips
    """
    found = remote.api.get(path_of_strategy(strategy))
    found["performance"] = remote.api.get(path_of_strategy(strategy, "performance"))
    remote.printer.facts(found)


@asking
def start(
    remote: Remote,
    strategy: StrategyArgument,
    *,
    definition: Annotated[
        str | None,
        typer.Option(
            "--definition", metavar="KEY", help="Make it from this definition: its key, or its id."
        ),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option(
            "--account", metavar="NAME", help="Trades with this account; not needed with only one."
        ),
    ] = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="E.g. BTC/USDT.")] = None,
    timeframe: Annotated[str | None, typer.Option("--timeframe", help="E.g. 15m.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter; can be repeated."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Fields of its configuration, YAML or JSON."),
    ] = None,
) -> None:
    """Start a strategy that is stopped, or make a new one from a definition.

    Example: chorus start btc_dips --definition ema_cross --symbol BTC/USDT --timeframe 15m
    """
    api = remote.api
    if definition is None:
        given = {
            "--account": account,
            "--symbol": symbol,
            "--timeframe": timeframe,
            "--set": settings,
            "--config": config,
        }
        if unused := [name for name, value in given.items() if value]:
            raise ConfigError(
                f"{', '.join(unused)}: only for a new strategy; add --definition KEY, or change "
                f"parameters of one that is there with `chorus set {strategy} NAME=VALUE`"
            )
        _told(remote, api.post(path_of_strategy(strategy, "activate")))
        return
    fields: Item = {} if config is None else _read(config)
    fields |= {
        name: value
        for name, value in (("symbol", symbol), ("timeframe", timeframe))
        if value is not None
    }
    if settings:
        fields["parameters"] = {**fields.get("parameters", {}), **settings_of(settings, "--set")}
    body = {
        "id": strategy,
        "definition": definition_id(api, definition),
        "account": only_account_id(api) if account is None else account_id(api, account),
        "config": fields,
    }
    _told(remote, api.post(path_of_strategy("start"), body))


@asking
def stop(remote: Remote, strategy: StrategyArgument) -> None:
    """Stop a strategy; its position and protective orders stay.

    Example: chorus stop btc_dips
    """
    _told(remote, remote.api.post(path_of_strategy(strategy, "deactivate")))


@asking
def pause(remote: Remote, strategy: StrategyArgument) -> None:
    """Let a strategy only watch the market; `chorus resume` lets it act again.

    Example: chorus pause btc_dips
    """
    _told(remote, remote.api.put(path_of_strategy(strategy, "pause")))


@asking
def resume(remote: Remote, strategy: StrategyArgument) -> None:
    """Let a paused strategy act again.

    Example: chorus resume btc_dips
    """
    _told(remote, remote.api.put(path_of_strategy(strategy, "resume")))


@asking
def restart(remote: Remote, strategy: StrategyArgument) -> None:
    """Start a strategy afresh with its definition's newest version; its position carries over.

    Example: chorus restart btc_dips
    """
    _told(remote, remote.api.post(path_of_strategy(strategy, "restart")))


@asking
def change(
    remote: Remote,
    strategy: StrategyArgument,
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=VALUE...", help="Parameters; values are JSON."),
    ] = None,
    *,
    visibility: Annotated[
        Literal["private", "public"] | None,
        typer.Option("--visibility", help="public: others may follow it."),
    ] = None,
) -> None:
    """Change parameters of a strategy while it runs, from the next candle on, or who may follow it.

    Example: chorus set btc_dips allow_short=true
    """
    if not settings and visibility is None:
        raise ConfigError("NAME=VALUE: nothing is to be changed; give a parameter, or --visibility")
    if settings:  # first, because it may be refused
        body = {"parameters": settings_of(settings, "NAME=VALUE")}
        found = remote.api.put(path_of_strategy(strategy, "settings"), body)
    if visibility is not None:
        found = remote.api.patch(path_of_strategy(strategy), {"visibility": visibility})
    _told(remote, found, *([] if visibility is None else [f"{strategy}: is {visibility}"]))


@asking
def remove(
    remote: Remote,
    strategy: StrategyArgument,
    *,
    force: Annotated[bool, typer.Option("--force", help="Also if others follow it.")] = False,
) -> None:
    """Stop a strategy and take it away; what it traded stays on record.

    Example: chorus remove btc_dips
    """
    found = remote.api.delete(path_of_strategy(strategy), force=True if force else None)
    remote.printer.item(found, [f"{strategy}: removed"])


def _told(remote: Remote, found: Item, *lines: str) -> None:
    """Print what became of a strategy: what is wanted is on record, the engine follows."""
    state = found["state"]
    cause = f": {state['cause']}" if state.get("cause") else ""
    line = f"{found['id']}: is to be {found['desired']}, is {state['status']}{cause}"
    remote.printer.item(found, [line, *lines])


def _read(path: Path) -> Item:
    data = read_document(path).data
    if not isinstance(data, dict):
        raise ConfigError(
            f"--config {path}: needs fields of a configuration, e.g. symbol: BTC/USDT"
        )
    return data
