"""The order manager: the pure core that owns orders, positions, capital and the ledger.

It is driven slice by slice, `match(slice)` before and `decide(slice, decisions)` after the
instances have seen the slice's candles; nothing else moves it, so the same slices and decisions
give the same ledger, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.config.run import RunConfig
from engine.config.strategy import StrategyConfig
from engine.errors import ConfigError, TradingError
from engine.money import find_instrument, instruments_by_symbol
from engine.timeframes import timeframe_ms
from engine.trading.arbitration import arbiter_of, ranked
from engine.trading.blotter import Blotter
from engine.trading.capital import Account, AccountState, Holding
from engine.trading.desk import Desk
from engine.trading.drafts import Drafts
from engine.trading.executions import Executions
from engine.trading.ledger import Ledger
from engine.trading.netting import NetMatcher
from engine.trading.orders import NetOrder, Order, SymbolBook
from engine.trading.paper import PaperGateway
from engine.trading.participants import Participant
from engine.trading.positions import Position, PositionState
from engine.trading.refusals import Refusal
from engine.types import Decision, MarketSlice, OrderEvent, Tick

__all__ = ["OrderManager"]

_UNKNOWN = ("unknown_instance", "the strategy is not registered")
_STALE = ("stale", "a later candle of the stream was decided already")


class OrderManager:
    """Risk, arbitration, sizing, paper matching and ledger of a run.

    Not thread-safe and never blocking; one owner calls it. Call order per slice: `match`, then
    `decide` (also with no decisions); `on_tick` anywhere between slices; `register` before the
    strategy's first decision.

    Args:
        run: Accounts, execution model, arbitration policy, instruments.
        base_streams: Stream to match each symbol on, ``venue:symbol`` -> stream id.
        ledger: Takes every record.

    Raises:
        ConfigError: An instrument cannot be used.
    """

    def __init__(self, run: RunConfig, *, base_streams: Mapping[str, str], ledger: Ledger) -> None:
        self.ledger = ledger
        self._run = run
        self._base_streams = dict(base_streams)
        self._instruments = instruments_by_symbol(run.instruments)
        self._accounts = {config.id: Account(config) for config in run.accounts}
        self._participants: dict[str, Participant] = {}
        self._books: dict[str, SymbolBook] = {}
        self._by_stream: dict[str, SymbolBook] = {}
        self._blotter = Blotter(ledger)
        self._executions = Executions(self._blotter, run.execution)
        self._gateway = PaperGateway(run.execution, self._executions, NetMatcher(self._executions))
        self._executions.connect(self._gateway)
        self._arbiter = arbiter_of(run.arbitration)
        self._nets: dict[str, NetOrder] = {}
        netting = run.arbitration.policy == "net"
        drafts = Drafts(
            self._blotter,
            self._executions,
            self._arbiter,
            run.execution,
            self._gather if netting else self._submit,
        )
        self._desk = Desk(self._blotter, self._executions, drafts)
        self._next_match = 0
        self._next_decide = 0

    def register(self, strategy: StrategyConfig) -> None:
        """Let a strategy take part; one that was withdrawn takes part again.

        Raises:
            ConfigError: It takes part already, or its account does not hold a quote currency.
        """
        account = self._accounts[self._run.account_of(strategy).id]
        known = self._participants.get(strategy.id)
        if known is not None and (known.withdrawn is None or known.account is not account):
            raise ConfigError(
                f"strategy {strategy.id!r}: is registered already on account "
                f"{known.account.id!r}; withdraw it first, and keep its account"
            )
        participant = known or Participant(strategy, account)
        new = {
            symbol: self._open_position(participant, strategy, symbol)
            for symbol in strategy.symbols
            if symbol not in participant.positions
        }
        participant.positions.update(new)
        participant.configure(strategy)
        participant.withdrawn = None
        self._participants[strategy.id] = participant

    def _open_position(
        self, participant: Participant, strategy: StrategyConfig, symbol: str
    ) -> Position:
        book = self._book(strategy.venue, symbol)
        account, quote = participant.account, book.instrument.quote
        wallet = account.wallets.get(quote)
        if wallet is None:
            raise ConfigError(
                f"strategy {strategy.id!r}: {symbol} is traded in {quote}, but account "
                f"{account.id!r} holds {', '.join(account.wallets)}; "
                f"add {quote} to accounts.{account.id}.balances"
            )
        holding = wallet.holdings.get(book.key)
        if holding is None:
            holding = wallet.holdings[book.key] = Holding(book)
        purse = participant.purse(quote, wallet.start)
        return Position(
            participant,
            symbol,
            book=book,
            wallet=wallet,
            purse=purse,
            holding=holding,
            leverage=strategy.leverage,
        )

    def _book(self, venue: str, symbol: str) -> SymbolBook:
        key = f"{venue}:{symbol}"
        book = self._books.get(key)
        if book is None:
            stream = self._base_streams.get(key, "")
            interval = timeframe_ms(stream.rpartition(":")[2]) if stream else 1
            instrument = find_instrument(symbol, self._instruments)
            book = self._books[key] = SymbolBook(key, symbol, stream, interval, instrument)
            if stream:
                self._by_stream[stream] = book
        return book

    def withdraw(self, instance_id: str, reason: str) -> list[OrderEvent]:
        """Take a strategy out: its working entries are cancelled, later decisions rejected.

        Positions, protective orders and exits stay. Withdrawing twice changes nothing.

        Raises:
            TradingError: It was never registered.
        """
        participant = self._participants.get(instance_id)
        if participant is None:
            raise TradingError(
                f"strategy {instance_id!r}: cannot be withdrawn, it was never registered"
            )
        events = self._blotter.begin()
        if participant.withdrawn is None:
            participant.withdrawn = reason
            self.ledger.write_withdrawal(
                self._blotter.number, self._blotter.time, instance_id, reason
            )
            for position in participant.positions.values():
                for entry in tuple(position.entries):
                    self._executions.cancel(entry, "withdrawn")
        return events

    def match(self, slice_: MarketSlice) -> list[OrderEvent]:
        """Fill working orders against the base candles of the next slice.

        Raises:
            TradingError: It is not the next slice.
        """
        number = slice_.number
        if number != self._next_match or number != self._next_decide:
            raise self._out_of_order("match", number)
        self._next_match = number + 1
        blotter = self._blotter
        blotter.number = number
        blotter.time = slice_.time
        events: list[OrderEvent] = []
        blotter.events = events
        by_stream = self._by_stream
        for candle in slice_.candles:
            book = by_stream.get(candle.stream)
            if book is not None:
                if book.orders or book.nets:
                    self._gateway.on_candle(book, candle)
                book.mark = candle.close
        return events

    def decide(self, slice_: MarketSlice, decisions: Sequence[Decision]) -> list[OrderEvent]:
        """Deal with what the instances want after the slice just matched.

        The outcome does not depend on the order of `decisions`. A repeated intent is answered
        with its recorded outcome and changes nothing.

        Raises:
            TradingError: The slice was not matched just before.
        """
        number = slice_.number
        if number != self._next_decide or number + 1 != self._next_match:
            raise self._out_of_order("decide", number)
        self._next_decide = number + 1
        if not decisions:
            return []
        events = self._blotter.begin()
        in_turn = ranked(decisions, self._participants)
        self._arbiter.begin(in_turn, self._participants)
        for decision in in_turn:
            self._deal_with(decision)
        if self._nets:
            for net in self._nets.values():
                if net.children:
                    self._gateway.submit_net(net)
            self._nets.clear()
        return events

    def _deal_with(self, decision: Decision) -> None:
        blotter, stream, seq = self._blotter, decision.stream, decision.seq
        participant = self._participants.get(decision.instance)
        if participant is None:
            for n in range(len(decision.intents)):
                blotter.rejected(decision.instance, decision.intent_id(n), "", *_UNKNOWN)
            return
        newest = participant.newest.get(stream, -1)
        prefix = f"{decision.instance}|{stream}|{seq}|"
        for n, intent in enumerate(decision.intents):
            intent_id = f"{prefix}{n}"
            outcome = participant.outcomes.get(intent_id)
            if outcome is not None:
                blotter.events.extend(outcome)
                continue
            if seq < newest:
                # Repeated, but its outcome is forgotten; recording it again would change history.
                blotter.rejected(decision.instance, intent_id, "", *_STALE)
                continue
            events = blotter.events
            before = len(events)
            if participant.withdrawn is None:
                self._desk.handle(participant, intent_id, intent, decision.time)
            else:
                refusal = Refusal("withdrawn", participant.withdrawn)
                self._desk.refuse(participant, intent_id, intent, decision.time, refusal)
            participant.remember(intent_id, tuple(events[before:] if before else events))
        if seq > newest:
            participant.newest[stream] = seq

    def _submit(self, order: Order) -> None:
        blotter = self._blotter
        blotter.accepted(order, blotter.time)
        self._gateway.submit(order)

    def _gather(self, order: Order) -> None:
        """Policy `net`: keep market orders back for one parent per account and symbol."""
        if order.price is not None:
            self._submit(order)
            return
        account, book = order.participant.account.id, order.book
        net_id = f"net|{account}|{book.key}|{self._blotter.number}"
        net = self._nets.get(net_id)
        if net is None:
            net = self._nets[net_id] = NetOrder(
                id=net_id, account=account, book=book, active=order.active, children=[]
            )
        order.parent = net
        net.children.append(order)
        self._blotter.accepted(order, self._blotter.time)

    def on_tick(self, tick: Tick) -> list[OrderEvent]:
        """Fill working orders against a trade between two slices."""
        events = self._blotter.begin()
        book = self._books.get(f"{tick.venue}:{tick.symbol}")
        if book is not None:
            if book.orders or book.nets:
                self._gateway.on_tick(book, tick)
            book.mark = tick.price
        return events

    def account_states(self) -> list[AccountState]:
        """Return balance, equity, committed, drawdown... per account and currency."""
        return [state for account in self._accounts.values() for state in account.states()]

    def takes_part(self, instance: str) -> bool:
        """Tell whether a strategy is registered and not withdrawn."""
        known = self._participants.get(instance)
        return known is not None and known.withdrawn is None

    @property
    def strategies(self) -> tuple[str, ...]:
        """Return the ids of all strategies ever registered, in order."""
        return tuple(self._participants)

    def positions(self, instance_id: str) -> list[PositionState]:
        """Return the sub-positions of a strategy, flat ones included.

        Raises:
            TradingError: It was never registered.
        """
        participant = self._participants.get(instance_id)
        if participant is None:
            raise TradingError(
                f"strategy {instance_id!r}: has no positions, it was never registered"
            )
        return [position.state() for position in participant.positions.values()]

    def _out_of_order(self, call: str, number: int) -> TradingError:
        wanted = (
            f"match({self._next_match})"
            if self._next_match == self._next_decide
            else f"decide({self._next_decide})"
        )
        return TradingError(
            f"order manager: {call}({number}) out of order, the next call must be {wanted}; "
            "match and decide every slice once, in order"
        )
