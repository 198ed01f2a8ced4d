"""What a strategy type is to the engine: its description and the hooks the instance calls.

The engine never imports `strategies`; a plugin is recognised by its shape (see
`engine.catalog.discovery`). `strategies.Strategy` is the base class that has this shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import msgspec

from engine.catalog.compatibility import Compatibility

if TYPE_CHECKING:
    from engine.config import StrategyConfig
    from engine.instance.services import StrategyServices
    from engine.types import Candle, Fill, Tick
    from indicators import IndicatorSpec

__all__ = ["StrategyMetadata", "StrategyPlugin"]


class StrategyMetadata(msgspec.Struct, frozen=True):
    """Description of a strategy type.

    Attributes:
        type: Unique upper-case name used as `type` in a configuration, e.g. ``EMA_CROSS``.
        name: For people.
        description: One or two sentences: when it buys, when it sells.
        version: Raise it when stored state of an older version can no longer be read.
        author: Who answers questions about it.
        tags: Free words for searching.
        compatibility: What it is made for.
    """

    type: str
    name: str = ""
    description: str = ""
    version: str = "1.0"
    author: str = ""
    tags: tuple[str, ...] = ()
    compatibility: Compatibility = Compatibility()


class StrategyPlugin(Protocol):
    """The hooks an instance calls; `strategies.Strategy` documents each of them."""

    metadata: ClassVar[StrategyMetadata]
    warmup_candles: int

    @classmethod
    def get_parameters_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema (Draft 7) of the parameters."""
        ...

    @classmethod
    def indicator_specs(
        cls, config: StrategyConfig, parameters: Mapping[str, Any]
    ) -> Mapping[str, IndicatorSpec]:
        """Return the indicators of the main stream, by own name."""
        ...

    def attach(self, services: StrategyServices) -> None:
        """Take the services, before `on_init`."""
        ...

    def on_init(self, services: StrategyServices) -> None:
        """Prepare; once per start."""
        ...

    def on_history(self, candle: Candle) -> None:
        """Learn from a candle that may not be acted on."""
        ...

    def on_candle(self, candle: Candle) -> None:
        """Act on a closed candle."""
        ...

    def on_tick(self, tick: Tick) -> None:
        """Act between two closes."""
        ...

    def on_order_filled(self, fill: Fill) -> None:
        """Learn of an own fill."""
        ...

    def on_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Take changed parameters."""
        ...

    def on_stop(self) -> None:
        """Finish."""
        ...

    def get_state(self) -> dict[str, Any]:
        """Return own variables, JSON-able."""
        ...

    def set_state(self, state: dict[str, Any]) -> None:
        """Take own variables back."""
        ...
