"""From what a user asks for to a run that can be played: checked before it is on record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from pydantic import ValidationError

from engine.access import Caller
from engine.catalog import Catalog
from engine.catalog.definitions import Definitions
from engine.config import RunConfig, SyntheticConfig, SyntheticSymbol
from engine.deployments.configuration import check_schema, merged, validated
from engine.documents import check_document
from engine.errors import ChorusError, ConfigError
from engine.instance import build
from engine.jobs.datasets import Dataset, Datasets
from engine.jobs.limits import BacktestLimits
from engine.market.plan import CandleSource, plan_streams
from engine.market.synthetic import synthetic_columns, synthetic_sources
from engine.money import instruments_by_symbol

__all__ = ["BacktestStrategy", "NewBacktest", "Requests"]

_MAX_NAME = 200
_BESIDE = frozenset({"id", "type"})
"""Fields of a strategy's configuration that are said beside it."""


class BacktestStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy made from a definition.

    Attributes:
        id: Its name in the run.
        definition: Id of the definition it is made from.
        config: Fields of its configuration, over the definition's defaults.
    """

    id: str
    definition: str
    config: dict[str, Any] = {}


class NewBacktest(msgspec.Struct, frozen=True, kw_only=True):
    """A backtest to be run.

    Attributes:
        name: For people; the run's own name by default.
        config: A run, as `chorus backtest` takes it, or what of it is not said otherwise.
        strategies: Further strategies, made from definitions.
        datasets: What is played, by name; without any, the run's synthetic market.
    """

    name: str = ""
    config: dict[str, Any] = {}
    strategies: list[BacktestStrategy] = []
    datasets: list[str] = []


class Requests:
    """Checks what is asked for.

    Args:
        definitions: What strategies are made from.
        catalog: The strategy types there are now.
        datasets: The candles there are.
        limits: How much one may ask for.
    """

    def __init__(
        self,
        definitions: Definitions,
        catalog: Callable[[], Catalog],
        datasets: Datasets,
        limits: BacktestLimits,
    ) -> None:
        self._definitions = definitions
        self._catalog = catalog
        self._datasets = datasets
        self._limits = limits

    def checked(self, new: NewBacktest, caller: Caller) -> tuple[str, dict[str, Any]]:
        """Return a backtest's name and what is on record of it, as JSON.

        That is ``config`` (a `RunConfig`, as it was said), ``datasets`` (names), ``definitions``
        (by strategy: id and version) and ``code`` (by strategy type: hash of its file).

        Args:
            new: What is asked for.
            caller: Who asks; its definitions may be used.

        Raises:
            NotFoundError: There is no such definition, or not for the caller.
            ConfigError: It could not run, or is more than one may ask for; a line for each.
        """
        if len(new.strategies) > self._limits.strategies:
            raise self._too_many_strategies(len(new.strategies))
        made = [self._made(number, each, caller) for number, each in enumerate(new.strategies)]
        config = _run_of(new, [strategy for strategy, _ in made])
        self._check_bounds(config)
        self._check_market(config, self._datasets.named(new.datasets))
        types = self._check_strategies(config)
        document = {
            "config": config.model_dump(mode="json", by_alias=True, exclude_unset=True),
            "datasets": new.datasets,
            "definitions": {strategy["id"]: origin for strategy, origin in made},
            "code": types,
        }
        self._check_size(document)
        return new.name or config.name, document

    def _made(
        self, number: int, each: BacktestStrategy, caller: Caller
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a strategy's configuration, and which version of which definition it is from."""
        definition = self._definitions.get(each.definition, caller)
        place = f"strategies.{number}"
        if not definition.is_enabled:
            raise ConfigError(
                f"{place}.definition: {definition.key!r} is disabled; enable it, or use another"
            )
        if misplaced := sorted(_BESIDE & each.config.keys()):
            raise ConfigError(
                f"{place}.config: {', '.join(misplaced)} is said beside it, not in it"
            )
        version = self._definitions.version(definition.id, definition.newest, caller)
        fields = merged(version.defaults, each.config) | {
            "id": each.id,
            "type": definition.strategy_type,
        }
        try:
            check_schema(version.schema, validated(fields))
        except ConfigError as error:
            raise ConfigError(_placed(place, str(error))) from error
        return fields, {"id": definition.id, "version": version.number}

    def _check_bounds(self, config: RunConfig) -> None:
        limits = self._limits
        if len(config.strategies) > limits.strategies:
            raise self._too_many_strategies(len(config.strategies))
        if len(config.name) > _MAX_NAME:
            raise ConfigError(f"name: may have {_MAX_NAME} letters, has {len(config.name)}")
        refused = {
            "config.market.replay": (config.market.replay, "name `datasets` instead"),
            "config.market.streams": (config.market.streams, "leave it out"),
            "config.pluginFolders": (config.plugin_folders, "leave it out"),
        }
        for place, (value, remedy) in refused.items():
            if value:
                raise ConfigError(f"{place}: cannot be said over the API; {remedy}")
        if not any(strategy.enabled for strategy in config.strategies):
            raise ConfigError("config.strategies: every one is disabled; enable at least one")
        streams = sum(len(each.symbols) * len(each.timeframes) for each in config.strategies)
        if streams > limits.streams:
            raise ConfigError(
                f"config.strategies: may have {limits.streams} streams (symbols x timeframes) "
                f"together, have {streams}; split the backtest"
            )

    def _too_many_strategies(self, number: int) -> ConfigError:
        return ConfigError(
            f"strategies: may be {self._limits.strategies} in one backtest, are {number}; split it"
        )

    def _check_market(self, config: RunConfig, datasets: Sequence[Dataset]) -> None:
        """Check that there are candles for all, on a market of one candle each."""
        synthetic = config.market.synthetic
        if (synthetic is None) == (not datasets):
            raise ConfigError(
                "datasets: either these or config.market.synthetic say what is played; give one "
                "of them"
            )
        with np.errstate(all="ignore"):
            sources = (
                [_sketch(each) for each in datasets]
                if synthetic is None
                else self._sketches(synthetic)
            )
            plan = plan_streams(config.wanted_streams, sources, venue=config.market.venue)
        if plan.missing:
            lines = (line for line in plan.notices if line.startswith("stream "))
            raise ConfigError(_placed("config.strategies", "\n".join(lines)))

    def _sketches(self, synthetic: SyntheticConfig) -> list[CandleSource]:
        candles = synthetic.candles * len(synthetic.symbols)
        if candles > self._limits.candles:
            raise ConfigError(
                f"config.market.synthetic.candles: all symbols together may have "
                f"{self._limits.candles:,}, have {candles:,}; ask for fewer"
            )
        sources, _ = synthetic_sources(synthetic.model_copy(update={"candles": 1}))
        return sources

    def _check_strategies(self, config: RunConfig) -> dict[str, str]:
        """Check that each can be built; returns the hash of each type's code."""
        problems = list(self._strategy_problems(config))
        if problems:
            raise ConfigError("\n".join(problems))
        used = self._catalog().used_by(config)
        return {name: loaded.code_hash for name, loaded in used.items()}

    def _strategy_problems(self, config: RunConfig) -> Iterator[str]:
        catalog = self._catalog()
        instruments = instruments_by_symbol(config.instruments)
        for number, strategy in enumerate(config.strategies):
            try:
                capital = config.capital_of(strategy)
                build(
                    strategy,
                    catalog.get(strategy.type),
                    capital=capital,
                    instruments=instruments,
                )
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a strategy type's own code
                said = error if isinstance(error, ChorusError) else f"could not be made: {error}"
                yield _placed(f"config.strategies.{number}", str(said))

    def _check_size(self, document: Mapping[str, Any]) -> None:
        """Refuse what a database does not hold, or not in reasonable room."""
        check_document(document, "config")
        try:
            text = json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
        except ValueError as error:
            raise ConfigError(f"config: cannot be stored: {error}") from None
        if len(text) > self._limits.config_bytes:
            raise ConfigError(
                f"config: may have {self._limits.config_bytes:,} bytes, has {len(text):,}"
            )


def _run_of(new: NewBacktest, made: Sequence[Mapping[str, Any]]) -> RunConfig:
    fields = dict(new.config)
    if new.name:
        fields["name"] = new.name
    own = fields.get("strategies", [])
    if made and isinstance(own, list):
        fields["strategies"] = [*own, *made]
    try:
        return RunConfig.model_validate(fields)
    except ValidationError as error:
        lines = (
            f"config.{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
        )
        raise ConfigError("\n".join(lines)) from error


def _sketch(dataset: Dataset) -> CandleSource:
    symbol = SyntheticSymbol(symbol=dataset.symbol, timeframe=dataset.timeframe)
    columns = synthetic_columns(symbol, candles=1, start="2024-01-01T00:00:00Z", seed=0)
    return CandleSource(dataset.symbol, dataset.timeframe, columns, dataset.name)


def _placed(place: str, text: str) -> str:
    """Return the lines of a message, each behind a place."""
    return "\n".join(f"{place}: {line}" for line in _lines(text))


def _lines(text: str) -> Iterable[str]:
    return text.splitlines() or [text]
