"""Backtests side by side: their figures, and the settings in which they differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from engine.config import RunConfig
from engine.errors import ConfigError
from engine.store import BacktestJob

__all__ = ["Comparison", "Difference", "compare"]

_COUNTS: Final = ("candles", "signals", "orders", "fills", "errors", "elapsed_s", "ledger_sha256")
_NAMES: Final = ("id", "name")


class Difference(msgspec.Struct, frozen=True):
    """One value in each backtest.

    Attributes:
        path: What it is of, with dots.
        values: In the order of the backtests; None: it has none.
    """

    path: str
    values: list[Any]


class Comparison(msgspec.Struct, frozen=True):
    """Backtests side by side.

    Attributes:
        backtests: In the order they were asked for.
        metrics: Every figure any of them has.
        settings: Those in which they differ, defaults filled in.
    """

    backtests: list[BacktestJob]
    metrics: list[Difference]
    settings: list[Difference]


def compare(jobs: Sequence[BacktestJob]) -> Comparison:
    """Put backtests side by side.

    Strategies are told apart by their ids; where each backtest has a single one, they are compared
    whatever they are called.

    Raises:
        ConfigError: One was made by another version of Chorus, whose configurations were different.
    """
    runs = [_settings(job.config) for job in jobs]
    is_single = all(len(run["strategies"]) == 1 for run in runs)
    metrics = _beside([dict(_figures(job.summary, is_single=is_single)) for job in jobs])
    settings = _beside([dict(_flat(_named(run, is_single=is_single))) for run in runs])
    return Comparison(
        backtests=list(jobs),
        metrics=list(metrics),
        settings=[each for each in settings if any(v != each.values[0] for v in each.values)],
    )


def _settings(document: Mapping[str, Any]) -> dict[str, Any]:
    try:
        config = RunConfig.model_validate(document["config"])
    except ValidationError as error:
        raise ConfigError(
            f"backtest: its configuration is of another version of Chorus: {error}; repeat it"
        ) from error
    fields = config.model_dump(mode="json", by_alias=True, exclude={"name"})
    return {**fields, "datasets": document["datasets"], "code": document["code"]}


def _named(run: dict[str, Any], *, is_single: bool) -> dict[str, Any]:
    """Return a run whose strategies and accounts have names instead of places."""
    strategies = {
        "*" if is_single else each["id"]: {
            name: value for name, value in each.items() if not (is_single and name in _NAMES)
        }
        for each in run["strategies"]
    }
    return {
        **run,
        "strategies": strategies,
        "accounts": {each["id"]: each for each in run["accounts"]},
    }


def _figures(summary: Mapping[str, Any] | None, *, is_single: bool) -> Iterator[tuple[str, Any]]:
    if summary is None:
        return
    for name in _COUNTS:
        yield name, summary[name]
    for strategy in summary["strategies"]:
        key = "*" if is_single else strategy["id"]
        for name, value in (strategy["metrics"] or {}).items():
            yield f"strategies.{key}.{name}", value


def _beside(columns: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
    for path in _paths(columns):
        yield Difference(path, [column.get(path) for column in columns])


def _paths(columns: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    return dict.fromkeys(path for column in columns for path in column)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Return the values of a tree by their paths; lists are values as they stand.

    >>> dict(_flat({"a": {"b": 1, "c": [2]}, "d": {}}))
    {'a.b': 1, 'a.c': [2]}
    """
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _flat(part, f"{path}.{name}" if path else str(name))
    else:
        yield path, value
