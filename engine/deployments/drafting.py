"""What a strategy is to be, before it is on record: put together, and checked that it could run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from engine.access import CHORUS
from engine.catalog import Catalog
from engine.catalog.definitions import Definitions
from engine.config import StrategyConfig
from engine.deployments.configuration import (
    balance_of,
    check_schema,
    merged,
    validated,
    written,
)
from engine.deployments.served import Served
from engine.errors import ChorusError, ConfigError, start_failure
from engine.instance import build
from engine.instance.parameters import check_parameters, check_update
from engine.store import Account, DefinitionVersion, Strategy

__all__ = ["Draft", "Drafting", "of_its_own"]

_OF_THE_DEPLOYMENT: Final = frozenset({"id", "type", "account", "enabled"})
"""Fields of a configuration that are said beside it."""

_RESERVED: Final = frozenset({"active", "files", "public", "start", "types"})
"""Ids that would be taken for something else in an address."""


class Draft(NamedTuple):
    """What is put on record of a strategy; see its table.

    Attributes:
        id: Its name.
        given: What its owner said.
        config: With what its definition says.
        number: Version of the definition; None: there is none.
    """

    id: str
    given: dict[str, Any]
    config: dict[str, Any]
    number: int | None

    def row(self, owner_id: str, account_id: str, desired: str, at_ms: int) -> Strategy:
        """Return a new strategy."""
        return Strategy(
            id=self.id,
            owner_id=owner_id,
            definition_number=self.number,
            account_id=account_id,
            given=self.given,
            config=self.config,
            desired=desired,
            created_ms=at_ms,
            updated_ms=at_ms,
        )

    def renew(self, strategy: Strategy) -> dict[str, Any]:
        """Have a strategy begin anew like this; returns what is different."""
        before = strategy.config
        strategy.given, strategy.config = self.given, self.config
        strategy.definition_number = self.number
        strategy.generation += 1
        change: dict[str, Any] = {"definition_number": self.number}
        if self.config != before:
            change["config"] = [before, self.config]
        return change

    def update(self, strategy: Strategy, names: Iterable[str]) -> dict[str, Any]:
        """Have a strategy run on with other parameters; returns what some were and are."""
        before, after = strategy.config.get("parameters", {}), self.config["parameters"]
        strategy.given, strategy.config = self.given, self.config
        return {"parameters": {name: [before.get(name), after[name]] for name in names}}


class Drafting:
    """Puts configurations together and checks them; writes nothing.

    It runs the code of strategy types, which may take its time: nobody calls it while others wait
    to write.

    Args:
        definitions: What strategies are made from.
        catalog: The strategy types there are now.
        served: What the engine has to offer now.
    """

    def __init__(
        self,
        definitions: Definitions,
        *,
        catalog: Callable[[], Catalog],
        served: Callable[[], Served],
    ) -> None:
        self._definitions = definitions
        self._catalog = catalog
        self._served = served

    def new(
        self,
        strategy_id: str,
        given: Mapping[str, Any],
        account: Account,
        *,
        kind: str,
        version: DefinitionVersion | None,
    ) -> Draft:
        """Return a strategy that could run now.

        Args:
            strategy_id: Its name.
            given: What its owner said.
            account: Where it is to trade.
            kind: Its strategy type.
            version: Of the definition it is made from; None: it is made from its type.

        Raises:
            ConfigError: It could not run; one line per field.
        """
        misplaced = sorted(_OF_THE_DEPLOYMENT & given.keys())
        if misplaced:
            raise ConfigError(f"config: {', '.join(misplaced)} is said beside it, not in it")
        if strategy_id in _RESERVED:
            raise ConfigError(
                f"id: {strategy_id!r} means something else in addresses; choose another"
            )
        fields = dict(given) if version is None else merged(version.defaults, given)
        beside = {"id": strategy_id, "type": kind, "account": account.id}
        config = validated({**fields, **beside})
        loaded = self._catalog().get(config.type)
        check_parameters(loaded.cls, config.parameters, strategy=config.id)
        check_schema({} if version is None else version.schema, config)
        self._require_runnable(config, account)
        number = None if version is None else version.number
        return Draft(config.id, dict(given), written(config), number)

    def anew(self, seen: Strategy, changes: Mapping[str, Any], account: Account) -> Draft:
        """Return what a strategy begins anew with: its definition's newest version, and changes.

        Raises:
            ConfigError: It could not run like that; one line per field.
        """
        newest = None
        if seen.definition_id is not None:
            definition = self._definitions.get(seen.definition_id, CHORUS)
            newest = self._definitions.version(definition.id, definition.newest, CHORUS)
        given = merged(seen.given, changes)
        return self.new(seen.id, given, account, kind=str(seen.config["type"]), version=newest)

    def updated(self, seen: Strategy, changes: Mapping[str, Any]) -> Draft:
        """Return a strategy with other parameters, which it may run on with.

        Raises:
            ConfigError: One is unknown, may not change while it is live, or is out of its bounds.
        """
        before = validated(seen.config)
        plugin = self._catalog().get(before.type).cls
        with _answering_for_types("parameters"):
            present = check_parameters(plugin, before.parameters, strategy=seen.id)
            parameters = check_update(plugin, before, present, changes)
        config = before.model_copy(update={"parameters": parameters})
        number = seen.definition_number
        if seen.definition_id is not None and number is not None:
            version = self._definitions.version(seen.definition_id, number, CHORUS)
            check_schema(version.schema, config)
        given = merged(seen.given, {"parameters": dict(changes)})
        return Draft(seen.id, given, written(config), number)

    def _require_runnable(self, config: StrategyConfig, account: Account) -> None:
        """Check that the engine could run it now.

        Raises:
            ConfigError: It could not; one line per field.
        """
        served = self._served()
        problems = [
            f"streams: {stream} is not in the feed; it has {', '.join(sorted(served.streams)[:10])}"
            for stream in config.streams
            if stream not in served.streams
        ]
        if problems:
            raise ConfigError("\n".join(problems))
        capital = balance_of(config, account.balances)
        loaded = self._catalog().get(config.type)
        with _answering_for_types("config"):
            build(config, loaded, capital=capital, instruments=served.instruments)


@contextlib.contextmanager
def _answering_for_types(field: str) -> Iterator[None]:
    """Turn what a type's code raises, which is no defect of ours, into a refusal.

    Raises:
        ConfigError: It raised something.
    """
    try:
        yield
    except ChorusError:
        raise
    except (Exception, SystemExit) as error:  # a type's code may raise anything
        raise ConfigError(f"{field}: {start_failure(error)}") from error


def of_its_own(config: StrategyConfig) -> dict[str, Any]:
    """Return what a run's configuration says of a strategy, without what is said beside it."""
    fields = written(config)
    return {name: value for name, value in fields.items() if name not in _OF_THE_DEPLOYMENT}
