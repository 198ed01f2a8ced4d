"""The event-driven backtest as the oracle, and small candles to ask it about."""

from __future__ import annotations

import functools
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pytest

from engine.backtest import run_backtest
from engine.catalog import Catalog, default_folders, discover
from engine.config import RunConfig
from engine.market import CandleColumns, Market
from engine.market.plan import CandleSource, plan_streams
from engine.types import Side
from engine.vectorised import OpenTrade, Trade, Trades

SYMBOL = "BTC/USDT"
MINUTE = 60_000


class Expected(NamedTuple):
    """What the event-driven backtest did; `refused` is what it did not accept whole."""

    trades: list[Trade]
    open_trade: OpenTrade | None
    pnl: Decimal
    fees: Decimal
    win_rate: float | None
    max_drawdown: float
    refused: list[dict[str, Any]]


class Fill(NamedTuple):
    row: int
    sign: int
    quantity: Decimal
    price: Decimal
    fee: Decimal


@functools.cache
def _catalog() -> Catalog:
    return discover(default_folders())


def _play(run: RunConfig, candles: CandleColumns) -> Expected:
    """Play a run of one strategy and read its round trips from the ledger's fills."""
    strategy = run.strategies[0]
    source = CandleSource(strategy.symbol, strategy.timeframe, candles, "test")
    market = Market(plan_streams(run.wanted_streams, [source], venue="paper"))
    report = run_backtest(run, _catalog(), market).strategies[0]
    assert report.status in ("running", "warming"), report.cause
    assert report.errors == 0, report.trace
    fills = [
        Fill(
            int(fill["order_id"].split("|")[2]) + 1,
            1 if fill["side"] == "buy" else -1,
            Decimal(fill["quantity"]),
            Decimal(fill["price"]),
            Decimal(fill["fee"]),
        )
        for fill in report.fills
    ]
    trades, left = _round_trips(fills)
    metrics = report.metrics
    assert metrics is not None
    assert metrics["total_trades"] == len(trades)
    wanted = strategy.sizing.value
    last = len(candles) - 1  # what is decided there never fills
    refused = [
        order
        for order in report.orders
        if order["state"] not in ("filled", "working")
        or Decimal(order["quantity"]) not in (wanted, 2 * wanted)
    ]
    refused += [s for s in report.signals if s["code"] != "accepted" or s["detail"]]
    return Expected(
        trades=trades,
        open_trade=left,
        pnl=sum((trade.pnl for trade in trades), Decimal(0)),
        fees=Decimal(metrics["fees"]),
        win_rate=metrics["win_rate"],
        max_drawdown=metrics["max_drawdown"],
        refused=[record for record in refused if record["slice"] < last],
    )


def _round_trips(fills: list[Fill]) -> tuple[list[Trade], OpenTrade | None]:
    """Pair fills; one that turns the position round bears its fee half and half."""
    trades: list[Trade] = []
    opened: Fill | None = None
    for fill in fills:
        left = fill
        if opened is not None:
            closing_fee = fill.fee * opened.quantity / fill.quantity
            gain = opened.sign * (fill.price - opened.price) * opened.quantity
            side = Side.BUY if opened.sign > 0 else Side.SELL
            pnl = gain - opened.fee - closing_fee
            trades.append(Trade(side, opened.row, opened.price, fill.row, fill.price, pnl))
            left = fill._replace(
                quantity=fill.quantity - opened.quantity, fee=fill.fee - closing_fee
            )
        opened = left if left.quantity else None
    if opened is None:
        return trades, None
    side = Side.BUY if opened.sign > 0 else Side.SELL
    return trades, OpenTrade(side, opened.row, opened.price)


@pytest.fixture(scope="session")
def play() -> Callable[[RunConfig, CandleColumns], Expected]:
    """Play a run of one strategy, candle by candle."""
    return _play


@pytest.fixture(scope="session")
def as_expected() -> Callable[[Trades], Expected]:
    """Put vectorised trades into the oracle's form, nothing refused."""

    def convert(trades: Trades) -> Expected:
        return Expected(
            trades=list(trades),
            open_trade=trades.open_trade,
            pnl=trades.pnl,
            fees=trades.fees,
            win_rate=trades.win_rate,
            max_drawdown=trades.max_drawdown,
            refused=[],
        )

    return convert


@pytest.fixture(scope="session")
def run_of() -> Callable[..., RunConfig]:
    """Make a run of one strategy: ``run_of(strategy={...}, execution={...}, ...)``."""

    def make(
        strategy: dict[str, Any] | None = None,
        *,
        instrument: dict[str, Any] | None = None,
        account: dict[str, Any] | None = None,
        **run: Any,
    ) -> RunConfig:
        base = {
            "id": "s",
            "symbol": SYMBOL,
            "timeframe": "1m",
            "rules": {
                "entry": {"condition": "close > open"},
                "exit": {"condition": "close < open"},
            },
            "sizing": {"mode": "fixed_quantity", "value": 1},
        }
        return RunConfig.model_validate(
            {
                "instruments": [{"symbol": SYMBOL, **instrument}] if instrument else [],
                "accounts": [
                    {"id": "paper", "balances": {"USDT": 1_000_000}, **(account or {})},
                ],
                **run,
                "strategies": [{**base, **(strategy or {})}],
            }
        )

    return make


@pytest.fixture(scope="session")
def candles_of() -> Callable[..., CandleColumns]:
    """Make candles: ``candles_of(rows, seed, step=0.01, start=100.0, gaps=True)``."""

    def make(
        rows: int, seed: int, *, step: float = 0.01, start: float = 100.0, gaps: bool = False
    ) -> CandleColumns:
        rng = np.random.default_rng(seed)
        moves = rng.normal(0.0, 0.01 * start, rows) * (rng.random(rows) < 0.7)
        closes = np.abs(start + np.cumsum(moves)) + 0.05 * start
        opens = np.concatenate([[start], closes[:-1]])
        opens = np.where(rng.random(rows) < 0.5, opens, opens * rng.uniform(0.99, 1.01, rows))
        if step:
            closes, opens = (np.maximum(np.round(p / step), 1.0) * step for p in (closes, opens))
        skipped = rng.integers(0, 3, rows) * (rng.random(rows) < 0.2) if gaps else np.zeros(rows)
        number = np.arange(rows) + np.cumsum(skipped).astype(np.int64)
        return CandleColumns(
            timeframe_ms=MINUTE,
            open_time=number * MINUTE,
            open=opens,
            high=np.maximum(opens, closes) * 1.002,
            low=np.minimum(opens, closes) * 0.998,
            close=closes,
            volume=np.round(rng.exponential(5.0, rows)),
            gap=np.diff(number, prepend=-1) - 1,
        )

    return make
