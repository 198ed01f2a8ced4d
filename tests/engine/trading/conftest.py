"""A stage for order-manager scenarios: feed candles and wishes, look at events and money."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from engine.config import AccountConfig, RunConfig, StrategyConfig
from engine.trading import (
    AccountState,
    Ledger,
    LedgerSink,
    OrderManager,
    PositionState,
    Registration,
)
from engine.types import (
    Candle,
    Decision,
    Fill,
    Intent,
    MarketSlice,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderRejected,
    Tick,
)

MINUTE = 60_000
SYMBOL = "BTC/USDT"

Ohlcv = Sequence[float]
Wishes = Mapping[str, Intent | Sequence[Intent]]


class Scene:
    """An order manager with some strategies, driven by hand one candle at a time.

    Candle `k` opens at minute k. Strategies are given as dicts of `StrategyConfig` fields and
    trade BTC/USDT with a fixed quantity of 1 unless they say otherwise.
    """

    def __init__(
        self,
        *strategies: dict[str, Any],
        execution: dict[str, Any] | None = None,
        policy: str = "independent",
        account: dict[str, Any] | None = None,
        balance: str = "1000000",
        instrument: dict[str, Any] | None = None,
        symbols: Sequence[str] = (SYMBOL,),
        sink: LedgerSink | None = None,
    ) -> None:
        steps = {"symbol": SYMBOL, "tick_size": "0.01", "lot_size": "0.001", **(instrument or {})}
        self.run = RunConfig.model_validate(
            {
                "execution": execution or {},
                "arbitration": {"policy": policy},
                "instruments": [steps],
                "accounts": [
                    AccountConfig.model_validate(
                        {"id": "paper", "balances": {"USDT": balance}, **(account or {})}
                    )
                ],
                "strategies": [_strategy(each) for each in strategies or ({"id": "a"},)],
            }
        )
        self.symbols = tuple(symbols)
        streams = {f"paper:{symbol}": f"paper:{symbol}:1m" for symbol in self.symbols}
        self.manager = OrderManager(self.run, base_streams=streams, ledger=Ledger(sink=sink))
        for config in self.run.strategies:
            self.manager.register(Registration(config))
        self.number = 0
        self.events: list[OrderEvent] = []

    @property
    def time(self) -> int:
        """Return the time the newest slice closed."""
        return self.number * MINUTE

    def slice_of(self, candles: Mapping[str, Ohlcv]) -> MarketSlice:
        """Return the next slice, one candle per symbol named."""
        number = self.number
        opened = number * MINUTE
        return MarketSlice(
            number,
            opened + MINUTE,
            tuple(
                Candle(
                    f"paper:{symbol}:1m",
                    number,
                    opened,
                    opened + MINUTE,
                    *(float(value) for value in (*prices, 1000)[:5]),
                )
                for symbol, prices in candles.items()
            ),
        )

    def step(
        self, candle: Ohlcv | Mapping[str, Ohlcv] | None, wishes: Wishes | None = None
    ) -> list[OrderEvent]:
        """Play one slice: match it, then decide the wishes; return all its events."""
        if candle is None:
            candle = {}
        if not isinstance(candle, Mapping):
            candle = {self.symbols[0]: candle}
        slice_ = self.slice_of(candle)
        self.number += 1
        events = list(self.manager.match(slice_))
        events += self.manager.decide(slice_, self.decisions(wishes or {}))
        self.events += events
        return events

    def decisions(self, wishes: Wishes, *, seq: int | None = None) -> list[Decision]:
        """Return the decisions for some wishes at the newest slice."""
        return [
            Decision(
                instance,
                f"paper:{self.symbols[0]}:1m",
                self.number - 1 if seq is None else seq,
                self.time,
                tuple(intents) if isinstance(intents, Sequence) else (intents,),
            )
            for instance, intents in wishes.items()
        ]

    def tick(self, offset_ms: int, price: float, volume: float = 1000.0) -> list[OrderEvent]:
        """Play a trade `offset_ms` after the newest slice."""
        events = self.manager.on_tick(
            Tick("paper", self.symbols[0], self.time + offset_ms, price, volume)
        )
        self.events += events
        return events

    def fills(self, instance: str = "a") -> list[Fill]:
        """Return all fills of an instance so far."""
        return [e for e in self.events if isinstance(e, Fill) and e.instance == instance]

    def short_fills(self, instance: str = "a") -> list[tuple[str, str, str, str]]:
        """Return all fills of an instance as (role, side, quantity, price) texts."""
        return [
            (fill.role.value, fill.side.value, _text(fill.quantity), _text(fill.price))
            for fill in self.fills(instance)
        ]

    def rejections(self, instance: str = "a") -> list[str]:
        """Return the codes of all rejections of an instance so far."""
        return [
            e.code for e in self.events if isinstance(e, OrderRejected) and e.instance == instance
        ]

    def cancels(self, instance: str = "a") -> list[tuple[str, str]]:
        """Return (what follows the last bar in the order id, reason) of all cancels so far."""
        return [
            (e.order_id.rpartition("|")[2], e.reason)
            for e in self.events
            if isinstance(e, OrderCanceled) and e.instance == instance
        ]

    def accepted(self, instance: str = "a") -> list[OrderAccepted]:
        """Return all acceptances of an instance so far."""
        return [e for e in self.events if isinstance(e, OrderAccepted) and e.instance == instance]

    def position(self, instance: str = "a", symbol: str = SYMBOL) -> PositionState:
        """Return a sub-position."""
        (found,) = [p for p in self.manager.positions(instance) if p.symbol == symbol]
        return found

    def wallet(self, currency: str = "USDT") -> AccountState:
        """Return the account's state in a currency."""
        (found,) = [s for s in self.manager.account_states() if s.currency == currency]
        return found


def _strategy(fields: dict[str, Any]) -> StrategyConfig:
    return StrategyConfig.model_validate(
        {
            "type": "SCRIPTED",
            "timeframe": "1m",
            "sizing": {"mode": "fixed_quantity", "value": 1},
            **({} if "symbols" in fields else {"symbol": SYMBOL}),
            **fields,
        }
    )


def _text(value: Decimal) -> str:
    return f"{value.normalize():f}"


@pytest.fixture(scope="session")
def scene() -> Callable[..., Scene]:
    """Return the stage builder; session-wide so that hypothesis may use it."""
    return Scene
