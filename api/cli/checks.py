"""`chorus validate`: all that can be checked without running."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from api.cli.boundary import UNUSABLE
from api.cli.columns import report_console
from api.cli.preflight import (
    check_files,
    in_file_order,
    market_problems,
    nothing_to_do,
    open_catalog,
    open_run_market,
    strategy_problems,
)
from api.cli.runs import ConfigArgument, ReplayOption
from api.settings import read_settings
from engine.config import InvalidConfigError, LoadedRun, Problem, load_run_with_places
from engine.errors import ConfigError, DataError

__all__ = ["find_problems", "validate"]


def validate(
    config: ConfigArgument,
    *,
    replay: ReplayOption = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the problems as JSON for other programs.")
    ] = False,
) -> None:
    """Check a configuration without running it; names every problem, not only the first.

    A strategy without candles is a note, as in a run, unless all are without.
    """
    problems, notes, loaded = find_problems(config, replay or [])
    if json:
        answer = {
            "file": str(config),
            "valid": not problems,
            "problems": [msgspec.structs.asdict(problem) for problem in problems],
            "notes": [msgspec.structs.asdict(note) for note in notes],
        }
        typer.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
        if problems:
            raise typer.Exit(UNUSABLE)
        return
    if problems:
        raise InvalidConfigError(problems)
    for note in notes:
        report_console().print(
            f"note: {note}", soft_wrap=True, highlight=False, markup=False, style="yellow"
        )
    if loaded is not None:
        _praise(loaded)


def find_problems(
    path: Path, replay: list[str]
) -> tuple[list[Problem], list[Problem], LoadedRun | None]:
    """Return all problems of a configuration, notes, and the run itself where it could be read.

    Raises:
        ConfigError: The environment is not usable.
    """
    settings = read_settings()
    problems: list[Problem] = []
    notes: list[Problem] = []
    try:
        check_files(replay)
    except ConfigError as error:
        problems += [Problem("", 0, 0, "", line) for line in str(error).split("\n")]
    try:
        loaded = load_run_with_places(path)
    except InvalidConfigError as error:
        return [*problems, *error.problems], [], None
    except ConfigError as error:
        return [*problems, Problem("", 0, 0, "", str(error))], [], None
    try:
        catalog = open_catalog(loaded.config, settings.plugin_folders)
    except ConfigError as error:
        problems.append(loaded.problem(("plugin_folders",), str(error)))
    else:
        problems += strategy_problems(loaded, catalog)
    if not any(problem.message.startswith("--replay") for problem in problems):
        without, idle = _data_problems(loaded, replay)
        problems += without
        notes += idle
    return in_file_order(problems), in_file_order(notes), loaded


def _data_problems(loaded: LoadedRun, replay: list[str]) -> tuple[list[Problem], list[Problem]]:
    """Return what keeps the market from serving the run, and the strategies it does not serve."""
    market_config = loaded.config.market
    if not (replay or market_config.replay or market_config.synthetic):
        return [], []  # nothing is named yet: a strategy file is complete without candles
    try:
        market = open_run_market(loaded.config, replay)
    except (ConfigError, DataError) as error:
        if replay:
            return [Problem("", 0, 0, "", str(error))], []
        return [loaded.problem(("market",), str(error))], []
    found = market_problems(loaded, market)
    return (found, []) if nothing_to_do(loaded.config, market) else ([], found)


def _praise(loaded: LoadedRun) -> None:
    config = loaded.config
    types = ", ".join(sorted({strategy.type for strategy in config.strategies}))
    streams = {stream for strategy in config.strategies for stream in strategy.streams}
    report_console().print(
        f"{loaded.document.path}: ok; strategies: {len(config.strategies)} ({types}), "
        f"streams: {len(streams)}, accounts: {len(config.accounts)}",
        soft_wrap=True,
        highlight=False,
    )
