"""The root of the command line: commands are registered here and nowhere else."""

from __future__ import annotations

import typer

from api.cli import bench, checks, listings, runs
from api.cli.boundary import ChorusGroup, ReplayCommand
from api.cli.remote.registration import add_remote_commands
from api.cli.up import up

__all__ = ["app", "main"]

app = typer.Typer(
    name="chorus",
    cls=ChorusGroup,
    help="Run many trading strategies at once, each isolated in its own actor.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", cls=ReplayCommand)(runs.run)
app.command("up", cls=ReplayCommand)(up)
app.command("backtest", cls=ReplayCommand)(runs.backtest)
app.command("validate", cls=ReplayCommand)(checks.validate)
app.command("strategies")(listings.strategies)
app.command("indicators")(listings.indicators)
app.command("bench")(bench.bench)
app.command("version")(listings.version)
add_remote_commands(app)


def main() -> None:
    """Run the command line; the `chorus` console script."""
    app(prog_name="chorus")
