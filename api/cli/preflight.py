"""Everything that can be said about a run before it starts."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal

import msgspec

from api.cli.boundary import short
from api.logs import configure_logging
from api.settings import read_settings
from engine.catalog import Catalog, LoadedType, default_folders, discover
from engine.config import (
    InvalidConfigError,
    LoadedRun,
    Problem,
    RulesConfig,
    RunConfig,
    StrategyConfig,
    load_run_with_places,
)
from engine.errors import ChorusError, ConfigError, DataError, RuleError
from engine.instance.parameters import check_parameters
from engine.market import Market, open_market, parse_file_spec
from engine.money import parse_symbol
from engine.rules import compile_rules
from indicators import IndicatorError, IndicatorSpec

__all__ = [
    "Prepared",
    "market_problems",
    "nothing_to_do",
    "open_catalog",
    "prepare",
    "strategy_problems",
]


class Prepared(msgspec.Struct, frozen=True):
    """A run that is known to be able to start.

    Attributes:
        config: The run.
        catalog: Strategy types.
        market: Opened, nothing read from it yet.
        replay: Files of the command line; empty where the configuration decides.
    """

    config: RunConfig
    catalog: Catalog
    market: Market
    replay: tuple[str, ...]

    def at_speed(self, speed: Literal["max"] | float) -> Prepared:
        """Return the same run at another replay speed."""
        market = self.config.market.model_copy(update={"speed": speed})
        config = self.config.model_copy(update={"market": market})
        return msgspec.structs.replace(self, config=config)


def prepare(path: Path, replay: Sequence[str], report: Path | None) -> Prepared:
    """Load a run and check it as far as is possible without running it.

    Args:
        path: The configuration.
        replay: Candle files of the command line.
        report: Where the report is to go; checked now, not after an hour of replay.

    Raises:
        InvalidConfigError: One or more problems with the configuration, all named.
        ConfigError: An argument or the environment is not usable.
        DataError: A candle file is not usable.
    """
    settings = read_settings()
    configure_logging(settings.log_level, settings.log_format)
    if report is not None:
        check_report(report)
    check_files(replay)
    loaded = load_run_with_places(path)
    catalog = open_catalog(loaded.config, settings.plugin_folders)
    problems = list(strategy_problems(loaded, catalog))
    if problems:
        raise InvalidConfigError(in_file_order(problems))
    market = open_run_market(loaded.config, replay)
    if nothing_to_do(loaded.config, market):
        raise InvalidConfigError(in_file_order(market_problems(loaded, market)))
    return Prepared(loaded.config, catalog, market, tuple(replay))


def open_catalog(config: RunConfig | None, folders: Sequence[Path] = ()) -> Catalog:
    """Discover the strategy types a run may use.

    Raises:
        ConfigError: A plugin folder does not exist.
    """
    of_run = [] if config is None else [Path(folder) for folder in config.plugin_folders]
    return discover(default_folders([*folders, *of_run]))


def open_run_market(config: RunConfig, replay: Sequence[str]) -> Market:
    """Open the market of a run: the named files, else what the configuration says.

    Raises:
        ConfigError: There is nothing to play.
        DataError: A file is not usable.
    """
    if not (replay or config.market.replay or config.market.synthetic):
        raise ConfigError(
            f"run {config.name!r}: there are no candles to play; name files with --replay FILE, "
            "or set `market.replay` or `market.synthetic`"
        )
    streams = dict.fromkeys(s for each in config.strategies if each.enabled for s in each.streams)
    return open_market(config.market, list(streams), list(replay))


def check_files(replay: Sequence[str]) -> None:
    """Refuse replay arguments that are no candle files, before anything slow happens.

    Raises:
        ConfigError: One or more of them; all are named.
    """
    lines = [f"--replay {short(name)}: {fault}" for name in replay if (fault := _file_fault(name))]
    if lines:
        raise ConfigError("\n".join(lines))


def _file_fault(name: str) -> str:
    try:
        return _fault_of_file(name)
    except OSError as error:  # e.g. a name longer than the file system takes
        return f"no usable name of a file: {error.strerror}"


def _fault_of_file(name: str) -> str:
    if Path(name).is_dir():
        return f"is a folder; name its files, e.g. {name.rstrip('/')}/*.parquet"
    if "=" not in name and not Path(name).exists():
        return "no such file"
    try:
        file = parse_file_spec(name).path
    except DataError as error:
        return str(error).removeprefix(f"{name}: ")
    if not file.exists():
        return "no such file"
    return "" if os.access(file, os.R_OK) else "no permission to read it"


def check_report(report: Path) -> None:
    """Refuse a report that could not be written in the end.

    Raises:
        ConfigError: The folder does not exist or does not let us write.
    """
    try:
        is_folder = report.is_dir()
    except OSError as error:  # e.g. a name longer than the file system takes
        raise ConfigError(
            f"--report {short(str(report))}: no usable name of a file: {error.strerror}"
        ) from error
    if is_folder:
        raise ConfigError(f"--report {report}: is a folder; name a file, e.g. {report}/report.json")
    if not report.parent.is_dir():
        raise ConfigError(f"--report {report}: the folder {report.parent} does not exist")
    if not os.access(report if report.exists() else report.parent, os.W_OK):
        raise ConfigError(f"--report {report}: no permission to write there")


def strategy_problems(loaded: LoadedRun, catalog: Catalog) -> Iterator[Problem]:
    """Check each strategy on its own: type, parameters, rules, indicators, currency."""
    if not any(strategy.enabled for strategy in loaded.config.strategies):
        yield loaded.problem(
            ("strategies",), "every strategy has `enabled: false`; enable at least one"
        )
    for n, strategy in enumerate(loaded.config.strategies):
        place = ("strategies", n)
        yield from _type_problems(loaded, catalog, strategy, place)
        yield from _currency_problems(loaded, strategy, place)


def _type_problems(
    loaded: LoadedRun, catalog: Catalog, strategy: StrategyConfig, place: tuple[str, int]
) -> Iterator[Problem]:
    try:
        loaded_type = catalog.get(strategy.type)
    except ConfigError as error:
        yield loaded.problem((*place, "type"), str(error))
        for broken in catalog.broken:
            yield Problem(str(broken.file), broken.line, 1, "strategy file", broken.error)
        return
    problems: list[Problem] = []
    parameters = strategy.parameters
    try:
        parameters = check_parameters(loaded_type.cls, strategy.parameters, strategy=strategy.id)
    except ConfigError as error:
        problems += [_parameter_problem(loaded, place, line) for line in str(error).split("\n")]
    if strategy.rules is not None:
        known = bool(problems)
        problems += [
            problem
            for problem in _rule_problems(loaded, strategy, strategy.rules, place)
            if not (known and "parameters." in problem.message)
        ]
    if not problems:
        fault = _indicator_fault(loaded_type, strategy, parameters)
        problems += [loaded.problem(place, fault)] if fault else []
    yield from problems


def _indicator_fault(
    loaded_type: LoadedType, strategy: StrategyConfig, parameters: Mapping[str, Any]
) -> str:
    """Return what is wrong with the indicators a strategy type asks for; empty for nothing."""
    file = str(loaded_type.file)
    try:
        with redirect_stdout(sys.stderr):  # what it prints is no result of ours
            specs: Any = loaded_type.cls.indicator_specs(strategy, parameters)
    except (ChorusError, IndicatorError) as error:
        return str(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code raises anything; reported
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == file]
        at = f"{file}:{lines[-1]}" if lines else file
        said = f"{type(error).__name__}: {error}".removesuffix(": ")
        return f"strategy {strategy.id!r}: {at}: indicator_specs raised {said}"
    if not isinstance(specs, Mapping):
        found = repr(specs)
    elif wrong := [
        (name, item)
        for name, item in specs.items()
        if not (isinstance(name, str) and isinstance(item, IndicatorSpec))
    ]:
        found = f"{wrong[0][0]!r}: {wrong[0][1]!r}"
    else:
        return ""
    return (
        f"strategy {strategy.id!r}: {file}: indicator_specs must return a mapping of names to "
        f"indicators (indicators.spec), returned {found:.80}"
    )


def _parameter_problem(loaded: LoadedRun, place: tuple[str, int], line: str) -> Problem:
    """Give a line such as ``strategy 'a' (GRID): parameters.step: ...`` its place."""
    field = line.partition("): ")[2].partition(":")[0]
    return loaded.problem((*place, *field.split(".")), line)


_OWN_NAME = re.compile(r"^strategy '[^']*': indicators\.([^\s:.]+)")
"""How errors of the `indicators` section begin; they come up with every rule."""


def _rule_problems(
    loaded: LoadedRun, strategy: StrategyConfig, rules: RulesConfig, place: tuple[str, int]
) -> Iterator[Problem]:
    """Compile every rule by itself, so that one mistake does not hide the next."""
    seen: set[str] = set()
    for name in RulesConfig.model_fields:
        rule = getattr(rules, name)
        if rule is None:
            continue
        fields: dict[str, Any] = {**dict.fromkeys(RulesConfig.model_fields), name: rule}
        alone = RulesConfig.model_construct(None, **fields)
        try:
            compile_rules(strategy.id, strategy.indicators, alone, strategy.parameters)
        except (RuleError, IndicatorError) as error:
            message = str(error)
            if message not in seen:
                seen.add(message)
                indicator = _OWN_NAME.search(message)
                if indicator is None:
                    yield loaded.problem((*place, "rules", name, "condition"), message)
                else:
                    yield loaded.problem((*place, "indicators", indicator[1]), message)


def _currency_problems(
    loaded: LoadedRun, strategy: StrategyConfig, place: tuple[str, int]
) -> Iterator[Problem]:
    account = loaded.config.account_of(strategy)
    for symbol in strategy.symbols:
        try:
            _, quote = parse_symbol(symbol)
        except ConfigError as error:
            yield loaded.problem((*place, "symbol"), str(error))
            continue
        if quote not in account.balances:
            held = ", ".join(account.balances)
            yield loaded.problem(
                (*place, "symbol"),
                f"strategy {strategy.id!r}: {symbol} is paid in {quote}, but account "
                f"{account.id!r} holds only {held}; add a {quote} balance to it",
            )


def in_file_order(problems: Iterable[Problem]) -> list[Problem]:
    """Sort problems the way one reads the file."""
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


def without_data(config: RunConfig, market: Market) -> list[StrategyConfig]:
    """Return the active strategies of which a stream is not served."""
    missing = set(market.missing)
    return [
        strategy
        for strategy in config.strategies
        if strategy.enabled and not missing.isdisjoint(strategy.streams)
    ]


def nothing_to_do(config: RunConfig, market: Market) -> bool:
    """Return whether no strategy has all its candles; a run takes the lack of some for a note."""
    return len(without_data(config, market)) == sum(each.enabled for each in config.strategies)


def market_problems(loaded: LoadedRun, market: Market) -> list[Problem]:
    """Name every strategy whose candles the market does not have."""
    served = ", ".join(market.base_streams.values()) or "none"
    numbers = {strategy.id: n for n, strategy in enumerate(loaded.config.strategies)}
    problems = []
    for strategy in without_data(loaded.config, market):
        missing = ", ".join(s for s in strategy.streams if s in market.missing)
        problems.append(
            loaded.problem(
                ("strategies", numbers[strategy.id], "symbol"),
                f"strategy {strategy.id!r}: no candles for {missing}; the market serves {served}",
            )
        )
    return problems
