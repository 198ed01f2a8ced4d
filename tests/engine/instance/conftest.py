"""Scripted strategies: what a strategy does at which candle, written in the test."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from engine.config import StrategyConfig
from engine.instance import Instance, build
from engine.instance.testing import as_loaded
from strategies import Candle, Fill, Strategy, StrategyMetadata, StrategyServices

Script = dict[int, Callable[[StrategyServices], object]]


class Scripted(Strategy):
    """Runs `script[seq]` at candle `seq` and writes down every hook it is called in."""

    metadata = StrategyMetadata(type="SCRIPTED")
    script: ClassVar[Script] = {}
    state_fields = ("heard",)

    def on_init(self, services: StrategyServices) -> None:
        self.heard: list[str] = ["init"]

    def on_history(self, candle: Candle) -> None:
        self.heard.append(f"history {candle.seq}")

    def on_candle(self, candle: Candle) -> None:
        self.heard.append(f"candle {candle.seq}")
        action = self.script.get(candle.seq)
        if action is not None:
            action(self.services)

    def on_order_filled(self, fill: Fill) -> None:
        self.heard.append(f"fill {fill.side}")

    def on_parameters(self, parameters: Any) -> None:
        self.heard.append(f"parameters {dict(parameters)}")

    def on_stop(self) -> None:
        self.heard.append("stop")


@pytest.fixture(scope="session")
def scripted() -> type[Scripted]:
    return Scripted


@pytest.fixture(scope="session")
def make() -> Callable[..., Instance]:
    """Return a factory: an instance of a class (or of a script) with configuration overrides."""

    def make_instance(
        what: type[Strategy] | Script | None = None,
        *,
        capital: Decimal = Decimal(1000),
        code_hash: str = "",
        **overrides: Any,
    ) -> Instance:
        cls = what if isinstance(what, type) else type("S", (Scripted,), {"script": what or {}})
        config = StrategyConfig.model_validate(
            {
                "id": "one",
                "type": cls.metadata.type,
                "symbol": "BTC/USDT",
                "timeframe": "1m",
                **overrides,
            }
        )
        return build(config, as_loaded(cls, code_hash=code_hash), capital=capital)

    return make_instance


@pytest.fixture(scope="session")
def heard() -> Callable[[Instance], list[str]]:
    """Return what a scripted strategy was called with."""
    return lambda instance: instance._strategy.heard  # type: ignore[attr-defined]
