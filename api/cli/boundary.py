"""Where errors end: every exception becomes one readable block and an exit code.

0: done. 1: the engine failed or something unexpected happened. 2: the user's input (arguments,
configuration, data, plugins, environment) is not usable. 130: interrupted. Results go to standard
output, errors to standard error, so both can be piped.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from engine.config import InvalidConfigError
from engine.errors import ChorusError, ConfigError, DataError, PluginError, StoppedError

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "UNUSABLE",
    "ChorusGroup",
    "ReplayCommand",
    "error_block",
    "short",
    "spread_replay",
    "verdict",
]

FAILED = 1
UNUSABLE = 2
INTERRUPTED = 130

_LONGEST_NAME = 250
"""Of a file in a message; a path that can be opened is hardly ever longer."""


class ChorusGroup(TyperGroup):
    """The root command; the one place that catches everything a command raises."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command, turning errors into messages and exit codes."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, TyperException):
            # How typer itself ends a command or reports wrong options.
            raise
        except KeyboardInterrupt as error:
            reports = ctx.invoked_subcommand in {"run", "backtest"}
            end = "; no report was written" if reports else ""
            typer.echo(f"interrupted{end}", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from error
        except Exception as error:  # the boundary: whatever is left is shown as a defect of ours
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                # The reader of a pipe went away (`chorus indicators | head`): typer ends quietly.
                raise
            text, code = verdict(error)
            typer.echo(text, file=sys.stderr)
            raise typer.Exit(code) from error


class ReplayCommand(TyperCommand):
    """A command whose `--replay` takes all files a shell glob expands to.

    ``--replay a.parquet b.parquet`` is read as ``--replay a.parquet --replay b.parquet``. The list
    ends at the next option or at a configuration file (``.yaml``, ``.yml``, ``.json``), so that
    the configuration may also stand last.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments after spreading the lists of files."""
        return super().parse_args(ctx, spread_replay(args))


def spread_replay(args: list[str]) -> list[str]:
    """Repeat ``--replay`` before every file of its list.

    >>> spread_replay(["run", "--replay", "a.csv", "b.csv", "c.yaml", "--quiet"])
    ['run', '--replay', 'a.csv', '--replay', 'b.csv', 'c.yaml', '--quiet']
    """
    spread: list[str] = []
    in_list = False
    for n, arg in enumerate(args):
        if arg == "--":
            return [*spread, *args[n:]]
        if arg == "--replay":
            in_list = True
        elif arg.startswith("-") or arg.lower().endswith((".yaml", ".yml", ".json")):
            in_list = False
        elif in_list and args[n - 1] != "--replay":
            spread.append("--replay")
        spread.append(arg)
    return spread


def verdict(error: Exception) -> tuple[str, int]:
    """Return the text for people and the exit code of an error."""
    # Imported here because TA-Lib takes a moment that `chorus version` need not wait for.
    from indicators import IndicatorError  # noqa: PLC0415 - see above

    if isinstance(error, ConfigError | DataError | PluginError | IndicatorError):
        return error_block(error), UNUSABLE
    if isinstance(error, StoppedError):
        return str(error), INTERRUPTED
    if isinstance(error, ChorusError):
        return error_block(error), FAILED
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        name = short(str(error.filename))
        return f"error: {name}: {error.strerror}; use a shorter one", UNUSABLE
    # The variable is read plainly: broken settings may be what failed.
    if os.environ.get("CHORUS_DEBUG", "") not in {"", "0", "false"}:
        return "".join(traceback.format_exception(error)).rstrip(), FAILED
    return (
        f"error: unexpected {type(error).__name__}: {error}\n"
        "  this is a defect of Chorus, not of your files; "
        "run again with CHORUS_DEBUG=1 for the traceback"
    ), FAILED


def short(name: str) -> str:
    """Return a file's name for a message, without the middle of one nobody would read."""
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:40]}…{name[-20:]} ({len(name)} characters)"


def error_block(error: Exception) -> str:
    """Return what is wrong, where, and what to do, as one indented block."""
    lines = str(error).split("\n")
    if isinstance(error, InvalidConfigError) and len(error.problems) > 1:
        lines = [f"{len(error.problems)} problems", *lines]
    return "\n".join([f"error: {lines[0]}", *(f"  {line}" for line in lines[1:])])
