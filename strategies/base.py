"""The base class of every strategy type.

A plugin is one file with one subclass of `Strategy`. It does no I/O, reads no clock and draws
random numbers only from `services.random`: that is what makes a backtest, a live run and a restart
after a crash give the same decisions.

An exception in any hook is contained: it is counted and its trace kept, what the hook asked for so
far is dropped, and the third candle in a row that raises puts the instance into `error`. No hook
may block; in an actor, one that runs longer than five seconds ends the instance.
"""

# ruff: noqa: B027 - a hook that does nothing unless it is overridden is what most plugins want

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from engine.catalog.plugin import StrategyMetadata
from engine.config import StrategyConfig
from engine.errors import StrategyError
from engine.instance.services import StrategyServices
from engine.types import Candle, Fill, Tick
from indicators import IndicatorSpec

__all__ = ["Strategy", "StrategyMetadata"]


class Strategy(ABC):
    """A strategy type; one object of it per start of an instance.

    Class attributes a plugin sets:
        metadata: Type name, version and description; required.
        state_fields: Names of attributes that must survive a restart. Their values must be
            JSON-able (numbers, text, booleans, None, lists, dicts with text keys).
        warmup_candles: Candles to see through `on_history` after all indicators are ready and
            before the first `on_candle`. `on_init` may set it for the object.
        history_candles: How many of the last candles `on_history` has to see again when the
            instance is restored: 0 where `state_fields` hold all that was learned, n where it
            follows from the last n candles, None (the default) for all of them, which takes
            microseconds per candle. Types without an `on_history` of their own have 0. It is not
            inherited; `on_init` may set it for the object.

    Attributes:
        services: What the strategy may use; there before `on_init` runs.
    """

    chorus_strategy: ClassVar[bool] = True
    metadata: ClassVar[StrategyMetadata]
    state_fields: ClassVar[tuple[str, ...]] = ()
    warmup_candles: int = 0
    history_candles: int | None = None
    services: StrategyServices

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Let no subclass inherit what its base said of another `on_history`."""
        super().__init_subclass__(**keywords)
        if "history_candles" not in vars(cls):
            cls.history_candles = 0 if cls.on_history is Strategy.on_history else None

    @classmethod
    def get_parameters_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema (Draft 7) of the parameters.

        Called by discovery and whenever parameters are checked. A property's `default` is filled
        in; `x-updatable: true` lets it change while the instance is live. Parameters that are not
        in `properties` are refused unless `additionalProperties` allows them.
        """
        return {"type": "object", "properties": {}}

    @classmethod
    def indicator_specs(
        cls, config: StrategyConfig, parameters: Mapping[str, Any]
    ) -> Mapping[str, IndicatorSpec]:
        """Return the indicators the strategy reads on its main stream, by own name.

        Called once when an instance is built, with the checked parameters, and again by every
        update of parameters (which may not change the result).
        """
        del config, parameters
        return {}

    def attach(self, services: StrategyServices) -> None:
        """Take the services; called by the instance before `on_init`. Not for overriding."""
        self.services = services

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Return the checked parameters with defaults filled in. Read-only."""
        return self.services.parameters

    def on_init(self, services: StrategyServices) -> None:
        """Prepare: look up indicator slots, create own variables.

        Called by the instance once per start or restart, before any candle. Orders asked for here
        are dropped.
        """

    def on_history(self, candle: Candle) -> None:
        """Learn from a candle that may not be acted on.

        Called by the instance instead of `on_candle`, indicators already updated, for each candle
        while warming up, while paused, and again when the instance is restored after a crash
        (before `set_state`), for the last `history_candles`. Orders asked for here are dropped.
        """

    @abstractmethod
    def on_candle(self, candle: Candle) -> None:
        """Act on a closed candle: read `services`, ask for orders.

        Called by the instance once for each candle of each of the strategy's streams while it is
        running; indicators, buffer and position are up to date. What is asked for becomes the
        `Decision` of this candle; it is filled at the next candle at the earliest.
        """

    def on_tick(self, tick: Tick) -> None:
        """Act on a trade between two closes; many times per second in a live run.

        Called by the instance while it is running, only if a plugin overrides it.
        """

    def on_order_filled(self, fill: Fill) -> None:
        """Learn of an own fill, protective orders included.

        Called by the instance as soon as it hears of the fill, position already updated, before
        the next candle. What is asked for here leaves with the next candle's decision. Fills
        during a pause are delivered when it ends.
        """

    def on_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Take changed parameters; called by the instance before the candle they first apply to.

        `self.parameters` already holds them. They are checked against the schema.
        """

    def on_stop(self) -> None:
        """Finish; orders asked for are dropped.

        Called by the instance once, when an operator stops it; not at the end of a feed, nor when
        it ends in `error`.
        """

    def get_state(self) -> dict[str, Any]:
        """Return the variables that must survive a restart, JSON-able.

        Called by the instance for each snapshot, between two candles. What follows from candles
        alone can be rebuilt in `on_history` instead.
        """
        return {name: getattr(self, name) for name in self.state_fields}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what `get_state` returned; called once after a restore.

        Raises:
            StrategyError: The state holds other fields than `state_fields`.
        """
        if set(state) != set(self.state_fields):
            raise StrategyError(
                f"strategy type {self.metadata.type!r}: stored state holds "
                f"{sorted(state)}, this version has {sorted(self.state_fields)}; "
                "raise metadata.version when the fields change"
            )
        for name, value in state.items():
            setattr(self, name, value)
