"""The sequential run: what every other way of running has to equal."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from engine.backtest import Backtest
from engine.catalog import Catalog
from engine.config import RunConfig
from engine.instance import Instance, build
from engine.market import Market, open_market
from engine.money import instruments_by_symbol
from engine.sequencing import SliceCommand
from engine.sequencing.records import (
    Commanded,
    Joined,
    Left,
    Record,
    Registered,
    Traded,
    Withdrawn,
    registration_of,
)
from engine.trading import Ledger, OrderManager
from engine.types import Candle, Decision, MarketSlice, OrderEvent


def market_of(config: RunConfig) -> Market:
    return open_market(config.market, config.wanted_streams)


def instance_of(config: RunConfig, catalog: Catalog, name: str) -> Instance:
    strategy = next(each for each in config.strategies if each.id == name)
    return build(
        strategy,
        catalog.types[strategy.type],
        instruments=instruments_by_symbol(config.instruments),
        capital=config.capital_of(strategy),
    )


def sequential(config: RunConfig, catalog: Catalog) -> Backtest:
    backtest = Backtest(config, catalog, market_of(config))
    assert backtest.run(every=10_000, watch=lambda: True)
    return backtest


class Obedient:
    """An instance of the sequential run, told what it was told elsewhere, at the same steps.

    While it takes no part, what happens is kept for the day it joins: it lives through it then.
    """

    def __init__(self, streams: Iterable[str]) -> None:
        self.streams = frozenset(streams)
        self.instance: Instance | None = None
        self.lived: list[Candle | OrderEvent] = []
        self.due: deque[SliceCommand] = deque()
        self.joined = 0
        self.processed = -1
        self.taken = 0
        self.obeyed = 0

    def join(self, instance: Instance, joined: int, commands: Iterable[SliceCommand]) -> None:
        for step in self.lived:
            if isinstance(step, Candle):
                instance.warm(step)
            else:
                instance.on_event(step)
        self.instance, self.joined, self.due = instance, joined, deque(commands)
        self.obey()

    def leave(self) -> None:
        self.instance = None
        self.due.clear()

    def obey(self) -> None:
        while self.instance and self.due and self._is_time(self.due[0]):
            self.instance.on_command(self.due.popleft().command)
            self.obeyed += 1

    def _is_time(self, told: SliceCommand) -> bool:
        return told.slice <= self.processed and told.taken <= self.taken

    def take(self, event: OrderEvent) -> None:
        self.lived.append(event)
        self.taken += 1
        if self.instance is not None:
            self.instance.on_event(event)
            self.obey()

    def process(self, market_slice: MarketSlice) -> list[Decision]:
        candles = [candle for candle in market_slice.candles if candle.stream in self.streams]
        if not candles:
            return []
        self.lived += candles
        self.processed = market_slice.number
        if self.instance is None:
            return []
        found = []
        if market_slice.number < self.joined:
            for candle in candles:
                self.instance.warm(candle)
        else:
            answers = [self.instance.on_candle(candle) for candle in candles]
            found = [decision for decision in answers if decision is not None]
        self.obey()
        return found


class Retelling:
    """Runs what is on record about who took part and obeyed what, one slice after the other."""

    def __init__(self, config: RunConfig, catalog: Catalog, market: Market) -> None:
        self.config, self.catalog = config, catalog
        self.manager = OrderManager(config, base_streams=market.base_streams, ledger=Ledger())
        self.told = {each.id: Obedient(each.streams) for each in config.strategies}
        self.late: list[OrderEvent] = []

    def run(self, slices: Iterable[MarketSlice], records: Iterable[Record]) -> None:
        changes = deque(changes_of(records))
        self.change(changes, -1, -1)
        for market_slice in slices:
            number = market_slice.number
            self.give(self.manager.match(market_slice))
            self.change(changes, number, number - 1)
            decisions = [d for each in self.told.values() for d in each.process(market_slice)]
            # A withdrawal comes after the candles of the slice in hand.
            self.give(self.late)
            self.late = []
            self.give(self.manager.decide(market_slice, decisions))
            self.change(changes, number, number)
            self.give(self.late)
            self.late = []
        assert not changes

    def give(self, events: Iterable[OrderEvent]) -> None:
        for event in events:
            self.told[event.instance].take(event)

    def change(self, changes: deque[Change], matched: int, decided: int) -> None:
        while changes and (changes[0][0].matched, changes[0][0].decided) == (matched, decided):
            record, commands = changes.popleft()
            if isinstance(record, Registered):
                self.manager.register(registration_of(record))
            elif isinstance(record, Withdrawn):
                for name in record.ids:
                    assert not self.manager.withdraw(name, record.reason)
            elif isinstance(record, Traded):
                self.manager.set_trading(record.mode, record.account)
            elif isinstance(record, Left):
                for name in record.instances:
                    self.told[name].leave()
                    self.late += self.manager.withdraw(name, record.reason)
            else:
                for name in record.instances:
                    instance = instance_of(self.config, self.catalog, name)
                    self.told[name].join(instance, matched + 1, commands[name])


Change = tuple[Joined | Left | Registered | Withdrawn | Traded, dict[str, list[SliceCommand]]]


def changes_of(records: Iterable[Record]) -> Iterator[Change]:
    """Return who comes and goes, newcomers with all they will obey."""
    found: list[Change] = []
    present: dict[str, list[SliceCommand]] = {}
    for record in records:
        if isinstance(record, Commanded):
            present[record.command.instance].append(record.command)
        elif isinstance(record, Joined):
            commands: dict[str, list[SliceCommand]] = {name: [] for name in record.instances}
            present |= commands
            found.append((record, commands))
        elif isinstance(record, Left | Registered | Withdrawn | Traded):
            found.append((record, {}))
    yield from found
