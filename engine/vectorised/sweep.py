"""One strategy with many sets of parameters over the same candles."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import polars as pl
from pydantic import ValidationError

from engine.config import RunConfig, StrategyConfig
from engine.errors import ConfigError
from engine.market import CandleColumns
from engine.rules import RuleProgram
from engine.vectorised.backtest import Playback, program_of
from engine.vectorised.funds import ShortOfFundsError
from engine.vectorised.trades import Trades

__all__ = ["Overrides", "sweep"]

Overrides = Mapping[str, Any]
"""Path of a setting -> its value, e.g. ``{"indicators.macd.fastPeriod": 8}``."""

Progress = Callable[[int, int], None]


def sweep(
    strategy: StrategyConfig,
    sets: Mapping[str, Sequence[Any]] | Iterable[Overrides],
    candles: CandleColumns,
    *,
    run: RunConfig | None = None,
    on_progress: Progress | None = None,
) -> pl.DataFrame:
    """Play candles through a strategy once per set of overrides.

    All sets are checked and compiled before the first is played. Indicators that several sets
    share are computed once.

    Args:
        strategy: As for `vectorised_backtest`.
        sets: A grid, path -> values, of which every combination is played (the last path varies
            fastest); or one mapping per set. Paths lead into the configuration by dots:
            ``indicators.rsi.period``, ``parameters.limit``, ``rules.exit.condition``.
        candles: As for `vectorised_backtest`.
        run: As for `vectorised_backtest`.
        on_progress: Called after every set with how many are done and how many there are.

    Returns:
        One row per set, in order: a column per path (null where a set leaves it), and

        ============  =========  ===========================================================
        trades        Int64      round trips
        pnl           Float64    their profit net of fees, quote currency
        fees          Float64    all fees
        win_rate      Float64    share of round trips won, null without any
        max_drawdown  Float64    marked to market at every close, fraction of the peak
        is_open       Boolean    whether a position is left at the end
        refused       String     why there is no result: an entry for which capital was short;
                                 the columns above are null then, and null otherwise
        ============  =========  ===========================================================

    Raises:
        ConfigError: A set is wrong or not covered; the message says which.
        DataError: As `vectorised_backtest`.
        MoneyError: As `vectorised_backtest`.
    """
    chosen = combinations(sets) if isinstance(sets, Mapping) else list(sets)
    playback = Playback(candles, run or RunConfig(strategies=(strategy,)))
    compiled = _compiled(strategy, chosen, playback)
    rows: list[dict[str, Any]] = []
    for number, (config, program) in enumerate(compiled, start=1):
        rows.append(_row(playback, config, program))
        if on_progress is not None:
            on_progress(number, len(compiled))
    paths = dict.fromkeys(path for overrides in chosen for path in overrides)
    return pl.DataFrame(
        [
            pl.Series(path, [overrides.get(path) for overrides in chosen], strict=False)
            for path in paths
        ]
        + [
            pl.Series(name, [row.get(name) for row in rows], dtype=dtype)
            for name, dtype in _COLUMNS.items()
        ]
    )


_COLUMNS: dict[str, type[pl.DataType]] = {
    "trades": pl.Int64,
    "pnl": pl.Float64,
    "fees": pl.Float64,
    "win_rate": pl.Float64,
    "max_drawdown": pl.Float64,
    "is_open": pl.Boolean,
    "refused": pl.String,
}


def combinations(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every combination of a grid's values, the last path varying fastest.

    >>> combinations({"indicators.rsi.period": [7, 14], "priority": [1]})
    [{'indicators.rsi.period': 7, 'priority': 1}, {'indicators.rsi.period': 14, 'priority': 1}]
    """
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _compiled(
    strategy: StrategyConfig, sets: Sequence[Overrides], playback: Playback
) -> list[tuple[StrategyConfig, RuleProgram]]:
    base = strategy.model_dump()
    found = []
    for number, overrides in enumerate(sets):
        try:
            config = StrategyConfig.model_validate(_with(base, overrides))
            found.append((config, program_of(config, playback.run, playback.candles)))
        except (ConfigError, ValidationError) as error:
            raise ConfigError(f"sweep: set {number}, {dict(overrides)}: {_said(error)}") from error
    return found


def _said(error: ConfigError | ValidationError) -> str:
    if isinstance(error, ConfigError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _row(playback: Playback, config: StrategyConfig, program: RuleProgram) -> dict[str, Any]:
    try:
        trades: Trades = playback.trades(config, program)
    except ShortOfFundsError as error:
        return {"refused": str(error)}
    return {
        "trades": len(trades),
        "pnl": float(trades.pnl),
        "fees": float(trades.fees),
        "win_rate": trades.win_rate,
        "max_drawdown": trades.max_drawdown,
        "is_open": trades.open_trade is not None,
    }


def _with(base: Mapping[str, Any], overrides: Overrides) -> dict[str, Any]:
    """Return a configuration with some values replaced; the base stays as it is."""
    changed = dict(base)
    for path, value in overrides.items():
        *folders, last = path.split(".")
        here = changed
        for folder in folders:
            name = _spelled(folder, here)
            inner = here.get(name)
            if not isinstance(inner, Mapping | None):
                raise ConfigError(f"path {path!r}: {folder!r} holds no settings")
            here[name] = dict(inner or {})
            here = here[name]
        here[_spelled(last, here)] = value
    return changed


def _spelled(name: str, known: Mapping[str, Any]) -> str:
    """Return a name as the configuration spells it: ``fastPeriod`` for ``fast_period``."""
    if name in known:
        return name
    same = [key for key in known if _bare(key) == _bare(name)]
    return same[0] if len(same) == 1 else name


def _bare(name: str) -> str:
    return name.replace("_", "").lower()
