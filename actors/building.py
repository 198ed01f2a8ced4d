"""Builds the instances a host carries, starts them, and builds them again."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from actors.processes import uncollected
from actors.reliving import TURN_NS
from actors.requests import StrategySpec
from engine.catalog import LoadedType, StrategyPlugin, load_file
from engine.config import StrategyConfig
from engine.errors import start_failure
from engine.instance import Instance, Status, build
from engine.money import Instrument

__all__ = ["InstanceBuilder"]


class InstanceBuilder:
    """The instances of one host, and what each is built from.

    Not thread-safe: the loop of one actor owns it.

    Args:
        instruments: Trading rules of all symbols.
        say_who_runs: Called with whose code is called next; with None: nobody's.

    Attributes:
        instances: What was built and is still carried, by strategy id.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        say_who_runs: Callable[[str | None], None],
    ) -> None:
        self._instruments = instruments
        self._say_who_runs = say_who_runs
        self._types: dict[str, LoadedType] = {}
        self._specs: dict[str, StrategySpec] = {}
        self.instances: dict[str, Instance] = {}

    @uncollected()
    def build(self, specs: Iterable[StrategySpec]) -> tuple[list[str], dict[str, str]]:
        """Build instances; one that cannot be built does not stop the others.

        Returns:
            Ids of those that were built, and why the others could not be, by id.
        """
        built: list[str] = []
        failures: dict[str, str] = {}
        for spec in specs:
            config = StrategyConfig.model_validate_json(spec.config)
            try:
                self._say_who_runs(config.id)
                self.instances[config.id] = self._instance_of(config, spec)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - strategy code, contained
                failures[config.id] = start_failure(error)
                continue
            self._specs[config.id] = spec
            built.append(config.id)
        self._say_who_runs(None)
        return built, failures

    def _instance_of(self, config: StrategyConfig, spec: StrategySpec) -> Instance:
        loaded = self._types.get(spec.plugin_file)
        if loaded is None:
            loaded = self._types[spec.plugin_file] = load_file(spec.plugin_file)
        return build(config, loaded, instruments=self._instruments, capital=spec.capital)

    def rebuild(self, name: str) -> Instance:
        """Build an instance again that has seen nothing, in place of the one there is."""
        instance = self._instance_of(self.instances[name].config, self._specs[name])
        self.instances[name] = instance
        return instance

    def start(self, names: Iterable[str]) -> list[str]:
        """Take a turn at starting instances nothing has happened to, one after another.

        Returns:
            Who has yet to be started.
        """
        until = time.monotonic_ns() + TURN_NS
        left = deque(names)
        while left:
            name = left.popleft()
            instance = self.instances[name]
            if instance.status is Status.CREATED:
                self._say_who_runs(name)
                instance.start()
            if time.monotonic_ns() > until:
                break
        self._say_who_runs(None)
        return list(left)

    def type_of(self, name: str) -> type[StrategyPlugin]:
        """Return the class an instance's strategy is of."""
        return self._types[self._specs[name].plugin_file].cls

    def let_go(self, name: str) -> bool:
        """Forget an instance; tell whether there was one."""
        if self.instances.pop(name, None) is None:
            return False
        del self._specs[name]
        return True
