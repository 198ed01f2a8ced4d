"""`chorus backtests`: what the service has played, and is to play."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from api.cli.remote.address import path_of
from api.cli.remote.command import Remote, asking
from api.cli.remote.output import Field, moment_of, status_of
from api.cli.remote.strategies import LimitOption
from engine.config.document import read_document

__all__ = ["cancel_backtest", "list_backtests", "run_backtest", "show_backtest"]

Item = dict[str, Any]

BacktestArgument = Annotated[str, typer.Argument(metavar="ID", help="Of a backtest.")]

_BACKTESTS = (
    Field("id", lambda item: item["id"]),
    Field("name", lambda item: item["name"]),
    Field("status", lambda item: status_of(item["status"])),
    Field("progress", lambda item: f"{item['progress']:.0%}", right=True),
    Field("created", lambda item: moment_of(item["created"]), rank=2),
    Field("ended", lambda item: moment_of(item["ended"]), rank=3),
    Field("error", lambda item: item["error"], rank=1),
)


@asking
def list_backtests(
    remote: Remote,
    *,
    status: Annotated[
        Literal["waiting", "running", "done", "failed", "canceled"] | None,
        typer.Option("--status", help="One of them."),
    ] = None,
    limit: LimitOption = 100,
) -> None:
    """List the backtests you see, the newest first.

    Example: chorus backtests --status done
    """
    found = remote.api.items(path_of("backtests"), limit, status=status)
    remote.printer.items("backtests", _BACKTESTS, found.items, found.next)


@asking
def run_backtest(
    remote: Remote,
    config: Annotated[
        Path, typer.Argument(metavar="FILE", help="A run, as `chorus backtest` takes it.")
    ],
    *,
    datasets: Annotated[
        list[str] | None,
        typer.Option("--dataset", metavar="NAME", help="What is played; can be repeated."),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="For lists.")] = "",
) -> None:
    """Let the service play a backtest; `chorus backtests show` tells how far it is.

    Example: chorus backtests run configs/macd_rsi.yaml --dataset BTC-USDT_1m.parquet
    """
    body = {"name": name, "config": read_document(config).data, "datasets": datasets or []}
    found = remote.api.post(path_of("backtests"), body)
    remote.printer.item(found, [f"{found['id']}: {found['status']}"])


@asking
def show_backtest(remote: Remote, backtest: BacktestArgument) -> None:
    """Show how far a backtest is, and its figures once it is done.

    Example: chorus backtests show 5f0c7a1b2d3e4f60
    """
    found = remote.api.get(path_of("backtests", backtest))
    shown = {name: value for name, value in found.items() if name != "config"}
    remote.printer.facts(found if remote.printer.is_json else shown)


@asking
def cancel_backtest(remote: Remote, backtest: BacktestArgument) -> None:
    """Let a backtest not be played, or no further.

    Example: chorus backtests cancel 5f0c7a1b2d3e4f60
    """
    found = remote.api.post(path_of("backtests", backtest, "cancel"))
    remote.printer.item(found, [f"{backtest}: {found['status']}"])
