"""Registers the commands that speak to a running service."""

from __future__ import annotations

from collections.abc import Callable

import typer

from api.cli.remote import (
    accounts,
    backtests,
    definitions,
    history,
    people,
    sign_in,
    strategies,
    streams,
    top,
    trading,
    trusted_keys,
)
from api.cli.remote.command import ListingGroup

__all__ = ["REMOTE_COMMANDS", "add_remote_commands"]

Commands = dict[str, Callable[..., None]]

_PANEL = "A running service"

_COMMANDS: Commands = {
    "ps": strategies.ps,
    "show": strategies.show,
    "start": strategies.start,
    "stop": strategies.stop,
    "pause": strategies.pause,
    "resume": strategies.resume,
    "restart": strategies.restart,
    "set": strategies.change,
    "remove": strategies.remove,
    "top": top.top,
    "logs": streams.logs,
    "watch": streams.watch,
    "orders": history.orders,
    "fills": history.fills,
    "positions": history.positions,
    "signals": history.signals,
    "sync": definitions.sync,
    "login": sign_in.login,
    "logout": sign_in.logout,
}

_GROUPS: dict[str, tuple[str, Commands]] = {
    "definitions": (
        "What strategies are made from; without a command it lists them.",
        {
            "list": definitions.list_definitions,
            "show": definitions.show_definition,
            "enable": definitions.enable_definition,
            "disable": definitions.disable_definition,
            "export": definitions.export_definition,
            "import": definitions.import_definition,
            "signing-key": trusted_keys.show_signing_key,
            "trusted-keys": trusted_keys.list_trusted_keys,
            "trust": trusted_keys.trust,
            "distrust": trusted_keys.distrust,
        },
    ),
    "accounts": (
        "Where strategies trade; without a command it lists them.",
        {
            "list": accounts.list_accounts,
            "open": accounts.open_account,
            "enable": accounts.enable_account,
            "disable": accounts.disable_account,
            "set-credentials": accounts.set_credentials,
            "forget-credentials": accounts.forget_credentials,
        },
    ),
    "bots": (
        "Accounts that follow a strategy; without a command it lists them.",
        {
            "list": trading.list_bots,
            "follow": trading.follow,
            "pause": trading.pause_bot,
            "resume": trading.resume_bot,
            "remove": trading.remove_bot,
        },
    ),
    "trading": (
        "The kill switch; without a command it shows what accounts risk.",
        {
            "list": trading.risk,
            "halt": trading.halt,
            "reduce": trading.reduce,
            "resume": trading.resume_trading,
        },
    ),
    "backtests": (
        "Backtests the service plays; without a command it lists them.",
        {
            "list": backtests.list_backtests,
            "show": backtests.show_backtest,
            "run": backtests.run_backtest,
            "cancel": backtests.cancel_backtest,
        },
    ),
    "alerts": (
        "What somebody should look at; without a command it lists them.",
        {"list": history.list_alerts, "acknowledge": history.acknowledge_alert},
    ),
    "users": (
        "Who may ask; without a command it lists them.",
        {
            "list": people.list_users,
            "add": people.add_user,
            "role": people.change_role,
            "disable": people.disable_user,
            "enable": people.enable_user,
            "password": people.set_password,
        },
    ),
    "keys": (
        "What programs sign in with; without a command it lists them.",
        {"list": people.list_keys, "create": people.create_key, "revoke": people.revoke_key},
    ),
}


REMOTE_COMMANDS = frozenset({*_COMMANDS, *_GROUPS})


def add_remote_commands(app: typer.Typer) -> None:
    """Register all commands that speak to a running service."""
    for name, function in _COMMANDS.items():
        app.command(name, rich_help_panel=_PANEL)(function)
    for name, (text, commands) in _GROUPS.items():
        group = typer.Typer(name=name, cls=ListingGroup, help=text, rich_help_panel=_PANEL)
        for each, function in commands.items():
            group.command(each)(function)
        app.add_typer(group)
