"""Tells the engine what is deployed, until it has taken all of it over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, cast

from actors.deployment import Deployment
from engine.catalog import Catalog, LoadedType
from engine.deployments import Strategies, configured
from engine.deployments.configuration import validated
from engine.deployments.strategies import Desired
from engine.errors import ConfigError, PluginError
from engine.store import Account, Strategy

__all__ = ["Deployer"]

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 200
"""Strategies told of in one call."""


def _nobody_looks(_strategy_id: str, _why: str) -> None:
    """Nobody wants to know."""


class Deployer:
    """Brings what is on record to the engine: at the start all of it, then what changes.

    The engine takes the same twice without harm, so whatever is not known to be taken over is told
    again: after an error, and after either side has died.

    Args:
        strategies: What is on record.
        catalog: The strategy types there are now.
        deploy: Tells the engine; returns by id why some could not be taken over.
        keep: Returns a file with the present code of a type that does not change any more.
        on_news: Called when something is on record that the engine does not know, before it is
            told: another process may have put it there.
        on_refusal: Called with a strategy and why it is not taken over, once per reason.
    """

    def __init__(
        self,
        strategies: Strategies,
        catalog: Callable[[], Catalog],
        deploy: Callable[[Sequence[Deployment]], Mapping[str, str]],
        *,
        keep: Callable[[LoadedType], Path],
        on_news: Callable[[], None],
        on_refusal: Callable[[str, str], None] = _nobody_looks,
    ) -> None:
        self._strategies = strategies
        self._catalog = catalog
        self._deploy = deploy
        self._keep = keep
        self._on_news = on_news
        self._on_refusal = on_refusal
        self._told: dict[str, int] = {}
        self._refused: dict[str, str] = {}

    def refusal(self, strategy_id: str) -> str:
        """Return why the engine has not taken a strategy over; empty if it has, or will soon."""
        return self._refused.get(strategy_id, "")

    def round(self) -> None:
        """Tell the engine what it does not know yet.

        Raises:
            ChorusError: The store or the engine is away; nothing is lost.
        """
        versions = self._strategies.versions()
        behind = [name for name, version in versions.items() if self._told.get(name) != version]
        for first in range(0, len(behind), _AT_ONCE):
            self._tell(behind[first : first + _AT_ONCE])

    def _tell(self, ids: Sequence[str]) -> None:
        deployments, versions = [], {}
        for row, account in self._strategies.deployed(ids):
            try:
                deployments.append(self._deployment_of(row, account))
            except (ConfigError, PluginError) as error:
                self._refuse(row.id, str(error))
            else:
                versions[row.id] = row.version
        self._on_news()
        refused = self._deploy(deployments) if deployments else {}
        for name, version in versions.items():
            if name in refused:
                self._refuse(name, refused[name])
            else:
                self._told[name] = version
                self._refused.pop(name, None)

    def _deployment_of(self, row: Strategy, account: Account) -> Deployment:
        """Return what the engine is told of a strategy.

        Raises:
            ConfigError: Its configuration is not usable any more: another version wrote it.
            PluginError: Its type is not there any more, or cannot be kept.
        """
        config = validated(row.config)
        loaded = self._catalog().types.get(config.type)
        if loaded is None and row.desired != "stopped":
            raise PluginError(
                f"strategy type {config.type!r} is not there any more; put its file back, or stop "
                "the strategy"
            )
        return Deployment(
            config=config,
            account=configured(account),
            plugin_file="" if loaded is None else str(self._keep(loaded)),
            desired=cast("Desired", row.desired),
            generation=row.generation,
        )

    def _refuse(self, name: str, why: str) -> None:
        if self._refused.get(name) != why:
            _log.warning(
                "strategy %r: not taken over by the engine: %s",
                name,
                why,
                extra={"strategy_id": name},
            )
            self._on_refusal(name, why)
        self._refused[name] = why
