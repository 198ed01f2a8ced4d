"""The order manager: the pure core that owns orders, positions, capital and the ledger.

It is driven slice by slice, `match(slice)` before and `decide(slice, decisions)` after the
instances have seen the slice's candles; nothing else moves it, so the same slices and decisions
give the same ledger, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.config.run import RunConfig
from engine.errors import TradingError
from engine.trading.arbitration import arbiter_of, ranked
from engine.trading.blotter import Blotter
from engine.trading.capital import AccountState
from engine.trading.desk import Desk
from engine.trading.drafts import Drafts
from engine.trading.enrolment import Enrolment
from engine.trading.executions import Executions
from engine.trading.following import with_followers
from engine.trading.ledger import Ledger
from engine.trading.modes import EVERYWHERE, TradingMode, TradingModes
from engine.trading.netting import NetMatcher
from engine.trading.orders import NetOrder, Order
from engine.trading.paper import PaperGateway
from engine.trading.participants import Participant
from engine.trading.positions import PositionState
from engine.trading.refusals import Refusal
from engine.trading.registration import Registration
from engine.trading.tally import Tally, tally_of
from engine.types import Action, Decision, Intent, MarketSlice, OrderEvent, Signal, Tick

__all__ = ["OrderManager"]

_UNKNOWN = ("unknown_instance", "the strategy is not registered")
_STALE = ("stale", "a later candle of the stream was decided already")


class OrderManager:
    """Risk, arbitration, sizing, paper matching and ledger of a run.

    Not thread-safe and never blocking; one owner calls it. Call order per slice: `match`, then
    `decide` (also with no decisions); `on_tick` anywhere between slices; `register` before the
    strategy's first decision. Followers trade as their strategies do (see
    `engine.trading.following`); the events returned are those of strategies only.

    Args:
        run: Accounts, execution model, arbitration policy, instruments.
        base_streams: Stream to match each symbol on, ``venue:symbol`` -> stream id.
        ledger: Takes every record.

    Raises:
        ConfigError: An instrument cannot be used.
    """

    def __init__(self, run: RunConfig, *, base_streams: Mapping[str, str], ledger: Ledger) -> None:
        self.ledger = ledger
        self._enrolment = Enrolment(run, base_streams)
        self._modes = TradingModes()
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
        self._decided: list[OrderEvent] = []

    def register(self, registration: Registration) -> None:
        """Let a strategy or a follower take part; one that was withdrawn takes part again.

        Raises:
            ConfigError: See `Enrolment.register`.
        """
        self._enrolment.register(registration)
        account = self._enrolment.participants[registration.strategy.id].account
        account.mode = self._modes.of(account.id)

    def withdraw(self, instance_id: str, reason: str) -> list[OrderEvent]:
        """Take a strategy out: its working entries are cancelled, later decisions rejected.

        Positions, protective orders and exits stay. Withdrawing twice changes nothing.

        Raises:
            TradingError: It was never registered.
        """
        participant = self._enrolment.find(instance_id, "cannot be withdrawn")
        events = self._blotter.begin()
        if participant.withdrawn is None:
            participant.withdrawn = reason
            self.ledger.write_withdrawal(
                self._blotter.number, self._blotter.time, instance_id, reason
            )
            self._executions.tell_all_voided(participant)
            # Nobody is left who could take back what followers have working of its wishes.
            for each in (participant, *self._enrolment.followers.get(instance_id, ())):
                for entry in each.entries():
                    self._executions.cancel(entry, "withdrawn")
        return self._of_strategies(events)

    def set_trading(self, mode: TradingMode, account: str = EVERYWHERE) -> None:
        """Let an account, or all, trade, only get out, or do nothing; see `engine.trading.modes`.

        May be called between any two other calls: an instance hears of its cancelled entries when
        it waits for something anyway.

        Args:
            mode: ``running``, ``reduce`` or ``halted``.
            account: Its id, opened yet or not; empty: all of them.

        Raises:
            ConfigError: There is no such mode.
        """
        if not self._modes.set(mode, account):
            return
        self.ledger.write_mode(self._blotter.number, self._blotter.time, account, mode)
        halted = set()
        for each in self._enrolment.accounts.values():
            was_halted = each.mode == "halted"
            each.mode = self._modes.of(each.id)
            if each.mode == "halted" and not was_halted:
                halted.add(each.id)
        for participant in self._enrolment.on_accounts(halted):
            for entry in participant.entries():
                self._executions.void(entry)

    def trading(self) -> dict[str, TradingMode]:
        """Return every mode other than ``running``, by account; an empty id for all of them."""
        return self._modes.all()

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
        by_stream = self._enrolment.books_by_stream
        for candle in slice_.candles:
            book = by_stream.get(candle.stream)
            if book is not None:
                if book.orders or book.nets:
                    self._gateway.on_candle(book, candle)
                book.mark = candle.close
        return self._of_strategies(events)

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
        events = self._decided = self._blotter.begin()
        enrolment = self._enrolment
        participants = enrolment.participants
        if enrolment.followers:
            decisions = with_followers(decisions, participants, enrolment.followers)
        in_turn = ranked(decisions, participants)
        self._arbiter.begin(in_turn, participants)
        for decision in in_turn:
            self._deal_with(decision)
        if self._nets:
            for net in self._nets.values():
                if net.children:
                    self._gateway.submit_net(net)
            self._nets.clear()
        return self._of_strategies(events)

    def _of_strategies(self, events: list[OrderEvent]) -> list[OrderEvent]:
        """Leave out what concerns followers: no instance of theirs is there to hear it."""
        if not self._enrolment.followers:
            return events
        participants = self._enrolment.participants
        return [
            event
            for event in events
            if (known := participants.get(event.instance)) is None or known.leader is None
        ]

    def _deal_with(self, decision: Decision) -> None:
        blotter, stream, seq = self._blotter, decision.stream, decision.seq
        participant = self._enrolment.participants.get(decision.instance)
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
            if participant.voided and not _is_hold(intent):
                # Whoever wants something waits for the answer, and can be told what came before.
                self._executions.tell_all_voided(participant)
            events = blotter.events
            before = len(events)
            if participant.withdrawn is None and participant.account.mode != "halted":
                self._desk.handle(participant, intent_id, intent, decision.time)
            else:
                self._bar(participant, intent_id, intent, decision.time)
            participant.remember(intent_id, tuple(events[before:] if before else events))
        if seq > newest:
            participant.newest[stream] = seq

    def _bar(self, participant: Participant, intent_id: str, intent: Intent, time: int) -> None:
        """Deal with an intent of one who is withdrawn, or whose account is halted."""
        if participant.withdrawn is not None:
            refusal = Refusal("withdrawn", participant.withdrawn)
        elif _is_hold(intent):
            self._desk.handle(participant, intent_id, intent, time)
            return
        else:
            refusal = Refusal("trading_halted", f"account {participant.account.id!r} is halted")
        self._desk.refuse(participant, intent_id, intent, time, refusal)

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
        book = self._enrolment.books.get(f"{tick.venue}:{tick.symbol}")
        if book is not None:
            if book.orders or book.nets:
                self._gateway.on_tick(book, tick)
            book.mark = tick.price
        return self._of_strategies(events)

    def account_states(self) -> list[AccountState]:
        """Return balance, equity, committed, drawdown... per account and currency."""
        accounts = self._enrolment.accounts.values()
        return [state for account in accounts for state in account.states()]

    def takes_part(self, instance: str) -> bool:
        """Tell whether a strategy or a follower is registered and not withdrawn."""
        known = self._enrolment.participants.get(instance)
        return known is not None and known.withdrawn is None

    @property
    def strategies(self) -> tuple[str, ...]:
        """Return the ids of all strategies and followers ever registered, in order."""
        return tuple(self._enrolment.participants)

    def positions(self, instance_id: str) -> list[PositionState]:
        """Return the sub-positions of a strategy, flat ones included.

        Raises:
            TradingError: It was never registered.
        """
        participant = self._enrolment.find(instance_id, "has no positions")
        return [position.state() for position in participant.positions.values()]

    def tally(self) -> Tally:
        """Count the orders that the newest decisions brought, by strategy."""
        return tally_of(self._decided, self._enrolment.participants)

    @property
    def lines(self) -> int:
        """Return how many lines the ledger has."""
        return self.ledger.lines

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


def _is_hold(intent: Intent) -> bool:
    return isinstance(intent, Signal) and intent.action is Action.HOLD
