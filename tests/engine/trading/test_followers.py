"""Followers: whatever is asked, they mirror their strategies and leave them alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from itertools import permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import AccountConfig, RiskConfig, RunConfig
from engine.trading import Ledger, OrderManager, Registration, TradingMode
from engine.types import (
    Action,
    CancelRequest,
    Candle,
    Decision,
    Intent,
    MarketSlice,
    OrderRequest,
    OrderType,
    Side,
    Signal,
)
from tests.examples import examples

MINUTE = 60_000
SYMBOLS = ("BTC/USDT", "ETH/USDT")
LEADERS = ("La", "Lb", "Lc")
POLICIES = ("independent", "net", "priority", "first")
MODES: tuple[TradingMode, ...] = ("running", "reduce", "halted")
OTHERS = AccountConfig(id="AccF", balances={"USDT": Decimal(3000)})


class Lines(list[bytes]):
    """A sink that keeps what it gets."""


def a_run(policy: str) -> RunConfig:
    risks: list[dict[str, Any]] = [
        {"stop_loss": "0.01", "take_profit": "0.02", "max_position_size": "0.6"},
        {"trailing_stop": "0.01", "max_trades_per_day": 40, "max_signals_per_minute": 3},
        {"max_daily_loss": "0.05", "max_order_notional": 1500},
    ]
    sizings: list[dict[str, Any]] = [
        {},
        {"mode": "fixed_quantity", "value": 4},
        {"mode": "fixed_notional", "value": 700},
    ]
    return RunConfig.model_validate(
        {
            "execution": {"taker_fee_bps": 5, "slippage_bps": 1, "volume_share": "0.5"},
            "arbitration": {"policy": policy},
            "instruments": [
                {"symbol": symbol, "tick_size": "0.01", "lot_size": "0.001"} for symbol in SYMBOLS
            ],
            "accounts": [{"id": "AccL", "balances": {"USDT": 3000}, "max_open_positions": 4}],
            "strategies": [
                {
                    "id": name,
                    "type": "SCRIPTED",
                    "symbols": SYMBOLS,
                    "timeframe": "1m",
                    "risk": risks[n],
                    "sizing": sizings[n],
                    "priority": n % 2,
                    "leverage": 1 + n,
                    "capital": (None, 2000, 1000)[n],
                }
                for n, name in enumerate(LEADERS)
            ],
        }
    )


class Play:
    """Random candles and wishes, the same for every way of playing them.

    Args:
        policy: Of arbitration.
        seed: Of everything.
        modes: Whether trading is halted and resumed at times.
    """

    def __init__(self, policy: str, seed: int, *, modes: bool = False) -> None:
        self.run = a_run(policy)
        self.random = Random(seed)
        self.steps = []
        prices = dict.fromkeys(SYMBOLS, 100.0)
        asked: list[str] = []
        for number in range(60):
            candles = tuple(self.candle(symbol, number, prices) for symbol in SYMBOLS)
            time = (number + 1) * MINUTE
            decisions = [
                Decision(name, "paper:BTC/USDT:1m", number, time, self.wishes(name, number, asked))
                for name in LEADERS
                if self.random.random() < 0.4
            ]
            is_news = modes and self.random.random() < 0.15
            mode = self.random.choice(MODES) if is_news else None
            self.steps.append((MarketSlice(number, time, candles), decisions, mode))

    def candle(self, symbol: str, number: int, prices: dict[str, float]) -> Candle:
        opened = prices[symbol]
        closed = prices[symbol] = round(opened * (1 + self.random.gauss(0, 0.006)), 2)
        low, high = min(opened, closed) * 0.997, max(opened, closed) * 1.003
        stream, at = f"paper:{symbol}:1m", number * MINUTE
        return Candle(stream, number, at, at + MINUTE, opened, high, low, closed, 30.0)

    def wishes(self, name: str, number: int, asked: list[str]) -> tuple[Intent, ...]:
        count = self.random.choice((1, 1, 1, 2, 3))
        wishes = tuple(self.wish(name, asked) for _ in range(count))
        asked += [f"{name}|paper:BTC/USDT:1m|{number}|{n}" for n in range(count)]
        return wishes

    def wish(self, name: str, asked: Sequence[str]) -> Intent:
        choice, symbol = self.random.random(), self.random.choice(SYMBOLS)
        quantity = Decimal(self.random.randint(1, 9000)) / 1000
        price = Decimal(self.random.randint(9500, 10500)) / 100
        own = [order for order in asked if order.startswith(name)]
        if choice < 0.15 and own:
            suffix = self.random.choice(("", "", ":sl", ":tp", ":ts"))
            return CancelRequest(self.random.choice(own[-5:]) + suffix)
        if choice < 0.4:
            kind = self.random.choice((OrderType.MARKET, OrderType.LIMIT, OrderType.STOP))
            return OrderRequest(
                symbol,
                self.random.choice((Side.BUY, Side.SELL)),
                kind,
                quantity,
                None if kind is OrderType.MARKET else price,
                reduce_only=self.random.random() < 0.3,
            )
        return Signal(
            self.random.choice(tuple(Action)),
            symbol,
            round(self.random.random(), 2),
            quantity=quantity if self.random.random() < 0.3 else None,
            limit_price=price if self.random.random() < 0.3 else None,
            stop_loss=Decimal("0.02") if self.random.random() < 0.2 else None,
        )

    def play(self, followers: Sequence[Registration] = ()) -> tuple[OrderManager, list[bytes]]:
        """Return the order manager after it, and its ledger's lines."""
        lines = Lines()
        streams = {f"paper:{symbol}": f"paper:{symbol}:1m" for symbol in SYMBOLS}
        manager = OrderManager(self.run, base_streams=streams, ledger=Ledger(sink=lines))
        for strategy in self.run.strategies:
            manager.register(Registration(strategy))
        for follower in followers:
            manager.register(follower)
        heard = []
        for market_slice, decisions, mode in self.steps:
            heard += manager.match(market_slice)
            if mode is not None:
                manager.set_trading(mode)
            heard += manager.decide(market_slice, decisions)
        assert all(event.instance in LEADERS for event in heard)
        return manager, lines


def follower(run: RunConfig, n: int, name: str = "", **changes: Any) -> Registration:
    """Return a follower of strategy `n` that has the same means, or other ones."""
    leader = run.strategies[n]
    means = {"capital": leader.capital, "leverage": leader.leverage, "risk": leader.risk, **changes}
    account = means.pop("account", OTHERS.model_copy(update={"max_open_positions": 4}))
    return Registration.of_follower(name or f"F{leader.id[1]}", leader, account, **means)


def about(lines: Sequence[bytes], names: Sequence[str]) -> list[bytes]:
    """Return the lines of some instances or of an account."""
    return [line for line in lines if json.loads(line)[3] in names]


seeds = st.integers(0, 2**32)
policies = pytest.mark.parametrize("policy", POLICIES)


def test_the_plays_are_rich_enough_to_mean_something() -> None:
    kinds, outcomes = set(), set()
    for policy in POLICIES:
        for seed in range(10):
            _, lines = Play(policy, seed, modes=seed % 2 == 0).play()
            records = [json.loads(line) for line in lines]
            kinds |= {record[0] for record in records}
            outcomes |= {r[-3] for r in records if r[0] in ("signal", "request")}
            kinds |= {f"{record[0]} {record[9]}" for record in records if record[0] == "order"}
            kinds |= {"halted" for r in records if r[0] == "canceled" and r[-1] == "halted"}
            kinds |= {"taken back" for r in records if r[0] == "cancel" and r[-2] == "accepted"}
    assert {"net", "trading", "fill", "halted", "taken back", "order stop_loss"} <= kinds
    assert {"order exit", "order trailing_stop", "order take_profit"} <= kinds
    assert {"trading_halted", "reduce_only", "outranked", "symbol_taken", "capital"} <= outcomes


@policies
@examples(30)
@given(seed=seeds)
def test_followers_with_the_same_means_do_exactly_what_their_strategies_do(
    policy: str, seed: int
) -> None:
    play = Play(policy, seed, modes=True)
    _, lines = play.play([follower(play.run, n) for n in range(3)])
    theirs = about(lines, ("Fa", "Fb", "Fc", "AccF"))
    renamed = [line.replace(b"AccF", b"AccL") for line in theirs]
    for name in b"abc":
        renamed = [line.replace(b"F%c" % name, b"L%c" % name) for line in renamed]
    assert renamed == about(lines, (*LEADERS, "AccL"))


@policies
@examples(20)
@given(seed=seeds, count=st.integers(1, 5))
def test_followers_change_nothing_for_their_strategies(policy: str, seed: int, count: int) -> None:
    play = Play(policy, seed, modes=True)
    alone, lines = play.play()
    random = Random(seed)
    followers = [
        follower(
            play.run,
            random.randrange(3),
            f"F{n}",
            capital=Decimal(random.randint(10, 3000)),
            leverage=Decimal(random.randint(1, 5)),
            risk=RiskConfig(stop_loss=Decimal("0.02"), max_position_size=Decimal("0.5")),
        )
        for n in range(count)
    ]
    manager, found = play.play(followers)
    assert about(found, (*LEADERS, "AccL")) == about(lines, (*LEADERS, "AccL"))
    for name in LEADERS:
        assert manager.ledger.sha256_of(name) == alone.ledger.sha256_of(name)


@policies
def test_the_order_in_which_followers_are_registered_does_not_matter(policy: str) -> None:
    play = Play(policy, 7, modes=True)
    followers = [
        follower(play.run, 0, "Fx", capital=Decimal(900)),
        follower(play.run, 0, "Fy", capital=Decimal(2500)),
        follower(play.run, 1, "Fz", capital=Decimal(1500)),
    ]
    hashes = {play.play(order)[0].ledger.sha256() for order in permutations(followers)}
    assert len(hashes) == 1
    assert play.play(followers)[1] != play.play()[1]
