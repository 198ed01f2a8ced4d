"""The running state of one strategy: a pure state machine driven by candles and order events.

It does no I/O and reads no clock, so a backtest, an actor and a test drive the same object and get
the same decisions. `on_candle` runs once per candle: what it touches is bound once, and everything
rare (an update, a forced exit, a missed fill) hides behind one flag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from engine.errors import CandleError, ChorusError, LifecycleError
from engine.instance.commands import Command, Pause, Resume, Stop, Update
from engine.instance.faults import MAX_CONSECUTIVE
from engine.instance.feed import Feed
from engine.instance.history import CandleHistory, Stretch, past_of
from engine.instance.lifecycle import Status, Trigger, after
from engine.instance.parameters import check_update
from engine.instance.snapshot import Snapshot, decode, encode
from engine.instance.state import InstanceState
from engine.types import (
    Action,
    CancelRequest,
    Candle,
    Decision,
    Fill,
    Intent,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderRejected,
    OrderRole,
    OrderType,
    Signal,
    Tick,
)
from indicators import IndicatorError

__all__ = ["Instance"]


class Instance(InstanceState):
    """One strategy at work. Made by `engine.instance.build`.

    Not thread-safe; whoever drives it calls one method at a time, in the order of the logical
    clock: order events of a slice's matching, the slice's candles, order events of its decisions.
    """

    __slots__ = ()

    # ------------------------------------------------------------------ candles

    def on_candle(self, candle: Candle) -> Decision | None:
        """Process one closed candle of one of the streams. Pure, never blocks by itself.

        Returns:
            What the strategy wants; None when that is nothing, which is most of the time. Without
            intents: it has raised.

        Raises:
            CandleError: Candles are missing before it, or the stream is not the strategy's own.
        """
        feed = self._feeds.get(candle.stream)
        if feed is None or candle.seq != feed.next_seq:
            feed = self._admit(feed, candle)
            if feed is None:
                return None
        self._take(feed, candle)
        if self._mirror.follows:
            self._mirror.follow(feed.symbol, candle)
        if feed.is_main:
            if self._exposed:
                self._mark(candle)
            elif self._is_live:
                self._performance.rest(candle.close_time)
        if self._is_running:
            return self._act(candle)
        return self._follow(candle, feed)

    def _take(self, feed: Feed, candle: Candle) -> None:
        """Bring buffer, prices and indicators up to date."""
        feed.next_seq = candle.seq + 1
        feed.append(candle)
        self._market.last = candle
        feed.position.last_price = candle.close
        update = self._update_indicators
        if update is not None and feed.is_main:
            try:
                update(candle)
            except IndicatorError as error:
                self._contain("indicators", error)
                self.fail(f"indicators refused candle {candle.seq}: {error}")

    def warm(self, candle: Candle) -> None:
        """Process a candle of history: as `on_candle`, but the instance does not go live yet.

        Raises:
            LifecycleError: The instance is live already.
            CandleError: As `on_candle`.
        """
        if self.status not in (Status.CREATED, Status.WARMING):
            raise LifecycleError(f"instance {self.id!r}: history is over, it is {self.status}")
        self._is_holding = True
        try:
            self.on_candle(candle)
        finally:
            self._is_holding = False

    def _admit(self, feed: Feed | None, candle: Candle) -> Feed | None:
        """Judge a candle that is not the next one of a stream; None: ignore it."""
        if feed is None:
            raise CandleError(
                f"instance {self.id!r}: candle of stream {candle.stream!r}, "
                f"it listens to {', '.join(self._feeds)}"
            )
        if not feed.admit(candle, instance=self.id):
            return None
        if self.status is Status.CREATED:
            self.start()
        return feed

    def _mark(self, candle: Candle) -> None:
        """Value open positions at a close of the main stream, and check the limits on them."""
        equity = self._cash
        exposed = False
        for position in self._present:
            quantity = position.quantity
            if quantity:
                exposed = True
                position.candles_held += 1
                equity += quantity * (position.last_price - position.average_price)
        self._exposed = exposed
        if self._is_live:
            self._performance.mark(candle.close_time, equity, exposed=exposed)
        if self._guard.watches and self._is_running:
            breach = self._guard.breach(equity)
            if breach:
                self._activity.violated("max_drawdown")
                self._is_liquidating = True
                self.fail(breach)
                return
            for symbol in self._guard.overdue(self._present):
                if not self._is_busy(symbol):
                    self._forced[symbol] = f"time limit of {self._guard.time_limit} candles"
                    self._attention = True

    def _is_busy(self, symbol: str) -> bool:
        return self._mirror.is_undecided or self._mirror.has_market_order(symbol)

    def _act(self, candle: Candle) -> Decision | None:
        if self._attention:
            self._attend()
            if not self._is_running:
                return self._decide(candle.stream, candle.seq, candle.close_time)
        try:
            self._on_strategy_candle(candle)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - strategy code, contained
            self._contain("on_candle", error)
            return self._failed_at(candle)
        else:
            if self._faults.consecutive:
                self._faults.consecutive = 0
        if self._intents or self._forced:
            return self._decide(candle.stream, candle.seq, candle.close_time)
        return None

    def _failed_at(self, candle: Candle) -> Decision:
        """Answer a candle whose hook has raised: what has to be done anyway, or nothing."""
        decision = None
        if self._intents or self._forced:
            decision = self._decide(candle.stream, candle.seq, candle.close_time)
        return decision or Decision(self.id, candle.stream, candle.seq, candle.close_time, ())

    def _attend(self) -> None:
        """Do what is due before the strategy sees its next candle."""
        if self._pending is not None:
            self._parameters = self._services.parameters = self._pending
            self._pending = None
            self._call("on_parameters", self._strategy.on_parameters, self._parameters)
        if self._missed_fills and self._is_running:
            missed, self._missed_fills = self._missed_fills, []
            for fill in missed:
                self._call("on_order_filled", self._strategy.on_order_filled, fill)
        self._attention = bool(self._forced or self._missed_fills)

    def _follow(self, candle: Candle, feed: Feed) -> Decision | None:
        """Process a candle while not running: learn from it, go live, or get out."""
        status = self.status
        if status is Status.WARMING:
            if feed.is_main and self._is_ready():
                if not self._warmup_left and not self._is_holding:
                    if not self._is_live:
                        self._is_live = True
                        self._performance.rest(candle.close_time)
                    self._move(Trigger.READY)
                    return self._act(candle)
                self._warmup_left = max(0, self._warmup_left - 1)
            self._learn(candle)
        elif status is Status.PAUSED:
            self._learn(candle)
        elif self._is_liquidating and feed.is_main:
            return self._liquidate(candle)
        return None

    def _is_ready(self) -> bool:
        return self._update_indicators is None or self._indicators.ready

    def _learn(self, candle: Candle) -> None:
        if self._attention:
            self._attend()
        if self._call("on_history", self._strategy.on_history, candle):
            self._faults.consecutive = 0

    def _decide(self, stream: str, seq: int, time: int) -> Decision | None:
        """Turn what was asked for into a decision."""
        intents: list[Intent] = self._intents[:]
        self._intents.clear()
        if self._forced:
            forced, self._forced = self._forced, {}
            self._attention = False
            intents = [
                intent
                for intent in intents
                if isinstance(intent, CancelRequest) or intent.symbol not in forced
            ]
            intents += [Signal(Action.CLOSE, symbol, 1.0, why) for symbol, why in forced.items()]
        if self._guard.cooldown_left(self._main.next_seq - 1):
            allowed = self._guard.without_entries(intents, self._positions)
            self._order.dropped += len(intents) - len(allowed)
            intents = allowed
        return self._send(stream, seq, time, intents)

    def _send(self, stream: str, seq: int, time: int, intents: list[Intent]) -> Decision | None:
        if not intents:
            return None
        decision = Decision(self.id, stream, seq, time, tuple(intents))
        self._mirror.sent(decision)
        self._activity.sent(decision)
        return decision

    def _liquidate(self, candle: Candle) -> Decision | None:
        """Get out after a breached limit: close what is open, cancel what would open more."""
        if self._mirror.is_undecided:
            return None
        intents: list[Intent] = [
            CancelRequest(order.order_id, self.cause)
            for order in self._mirror.working.values()
            if order.role is OrderRole.ENTRY and order.type is not OrderType.MARKET
        ]
        intents += [
            Signal(Action.CLOSE, position.symbol, 1.0, self.cause)
            for position in self._present
            if not position.is_flat and not self._mirror.has_market_order(position.symbol)
        ]
        return self._send(candle.stream, candle.seq, candle.close_time, intents)

    def on_tick(self, tick: Tick) -> Decision | None:
        """Process a trade between two closes; ticks of other symbols are ignored.

        Returns:
            As `on_candle`; its `stream` is ``venue:symbol:tick`` and its `seq` counts the ticks.
        """
        if not self._is_running or tick.symbol not in self._positions:
            return None
        seq = self._ticks
        self._ticks = seq + 1
        if self._attention:
            self._attend()
        self._call("on_tick", self._strategy.on_tick, tick)
        if self._intents:
            return self._decide(f"{tick.venue}:{tick.symbol}:tick", seq, tick.time)
        return None

    def must_hear(self, candle: Candle, *, late: bool) -> bool:
        """Tell whether an order event may belong before a candle, so that it has to wait.

        Asked for every candle of a slice before the first of them is processed. Never False where
        a fill is possible; True too often costs a wait, nothing else.

        Args:
            candle: Next candle of one of the streams.
            late: It closed before its slice's time (an aggregated candle closed by a gap).
        """
        feed = self._feeds.get(candle.stream)
        return feed is not None and self._mirror.may_fill(feed.symbol, candle, late=late)

    @property
    def expects_event(self) -> bool:
        """Return whether `must_hear` will be true of the next candle, whatever its prices."""
        return self._mirror.expects_event

    # ------------------------------------------------------------------ order events

    def on_event(self, event: OrderEvent) -> None:
        """Apply an order event of this instance.

        Raises:
            ChorusError: The event belongs to another instance.
        """
        if event.instance != self.id:
            raise ChorusError(f"instance {self.id!r}: got an event of {event.instance!r}")
        # No `isinstance` here: saying no takes it five times as long as this comparison.
        if type(event) is OrderAccepted:
            self._mirror.accepted(event)
        elif isinstance(event, Fill):
            self._on_fill(event)
        elif isinstance(event, OrderRejected):
            self._mirror.rejected(event)
            self._activity.rejected(event)
        elif isinstance(event, OrderCanceled):
            self._mirror.canceled(event)

    def _on_fill(self, fill: Fill) -> None:
        self._mirror.filled(fill)
        ended = self._positions[fill.symbol].apply(fill)
        self._cash = self._settled()
        self._exposed = True
        if ended is not None:
            self._performance.close_trade(ended)
            self._guard.exited(self._main.next_seq)
        if self._is_running:
            self._call("on_order_filled", self._strategy.on_order_filled, fill)
        elif self.status is Status.PAUSED:
            self._missed_fills.append(fill)
            self._attention = True

    # ------------------------------------------------------------------ lifecycle

    def start(self) -> None:
        """Begin warming up; done by the first candle if nobody called it.

        Raises:
            LifecycleError: It was started before.
        """
        self._move(Trigger.START)
        self._prepare()

    def _prepare(self) -> None:
        strategy = self._strategy
        strategy.attach(self._services)
        if not self._call("on_init", strategy.on_init, self._services):
            self.fail(f"on_init raised {self._faults.recent()[-1].error}")
        self._warmup_left = strategy.warmup_candles
        for feed in self._feeds.values():
            feed.learns_from = feed.next_seq

    def _move(self, trigger: Trigger) -> None:
        self.status = after(self.status, trigger, instance=self.id)
        self._is_running = self._order.is_open = self.status is Status.RUNNING

    def on_command(self, command: Command) -> None:
        """Obey an operator, between two candles.

        Raises:
            LifecycleError: Not possible in the present status.
            ConfigError: An update that is not valid; nothing has changed.
        """
        if isinstance(command, Update):
            self._update(command.parameters)
        elif isinstance(command, Pause):
            self._move(Trigger.PAUSE)
            self._intents.clear()
        elif isinstance(command, Resume):
            self._move(Trigger.RESUME)
        elif isinstance(command, Stop):
            self._move(Trigger.STOP)
            self._intents.clear()
            self._is_liquidating = False
            self._call("on_stop", self._strategy.on_stop)
        else:
            self._restart()

    def _restart(self) -> None:
        self._move(Trigger.RESTART)
        self.cause = ""
        self._faults.consecutive = 0
        self._is_liquidating = False
        self._guard.reset(self.equity())
        self._strategy = type(self._strategy)()
        self._on_strategy_candle = self._strategy.on_candle
        self._prepare()

    def fail(self, cause: str) -> None:
        """End in `error`, from any status: called from inside, and by a host for a timeout."""
        self._move(Trigger.FAIL)
        self.cause = cause
        self._intents.clear()
        self._forced.clear()
        self._missed_fills.clear()

    def _update(self, changes: Mapping[str, Any]) -> None:
        present = self._parameters if self._pending is None else self._pending
        self._pending = check_update(type(self._strategy), self._config, present, changes)
        self._parameters_version += 1
        self._attention = True

    def _call(self, hook: str, function: Callable[..., None], *arguments: Any) -> bool:
        """Call a hook other than `on_candle`; return whether it went well."""
        try:
            function(*arguments)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - strategy code, contained
            self._contain(hook, error)
            return False
        return True

    def _contain(self, hook: str, error: BaseException) -> None:
        last = self._market.last
        stream, seq = ("", -1) if last is None else (last.stream, last.seq)
        fault = self._faults.add(hook, stream, seq, error)
        self._intents.clear()
        if self._faults.consecutive >= MAX_CONSECUTIVE and self.status is not Status.ERROR:
            forced = dict(self._forced)
            self.fail(f"{MAX_CONSECUTIVE} exceptions in a row, the last in {hook}: {fault.error}")
            self._forced = forced

    # ------------------------------------------------------------------ persistence

    def snapshot(self) -> bytes:
        """Return everything that does not follow from candles alone; between two candles only.

        Raises:
            ChorusError: The strategy's state cannot be stored, or its `get_state` raises.
        """
        return encode(self._dump())

    def restore(self, data: bytes, history: Iterable[Candle] | Mapping[str, CandleHistory]) -> None:
        """Become the instance a snapshot was taken of; only for one that has seen nothing yet.

        Indicators and buffers are opened on whole arrays; only candles the strategy type wants to
        see again (`history_candles`) are gone through one by one.

        Args:
            data: What `snapshot` returned.
            history: The candles `Snapshot.needs` names: exactly these, of all streams, in their
                original order; or by stream as columns, which may hold more and are best shared
                by all instances. Several streams as columns are for types that see none again.

        Raises:
            ChorusError: The snapshot is damaged, of another strategy, code or version; history is
                not what it needs; the strategy refuses its stored state.
        """
        snapshot = decode(data)
        if self.status is not Status.CREATED:
            raise LifecycleError(f"instance {self.id!r}: cannot be restored while {self.status}")
        self._check_origin(snapshot)
        if snapshot.status != Status.CREATED:
            self._parameters = self._services.parameters = snapshot.parameters
            self.start()
            recent = getattr(self._strategy, "history_candles", None)  # not of every type
            past = past_of(history, snapshot.needs(), recent=recent, instance=self.id)
            for stretch in past.stretches:
                self._open(stretch, snapshot)
            for candle in past.replayed:
                self._replay(candle, snapshot)
        self._load(snapshot)

    def _open(self, stretch: Stretch, snapshot: Snapshot) -> None:
        """Take in at once what `_take` would have taken in candle by candle."""
        history, start, stop = stretch
        if start == stop:
            return
        feed = self._feeds[history.stream]
        feed.anchor, feed.next_seq = start, stop
        feed.buffer.fill(history.rows(start, stop))
        if feed.is_main and self._update_indicators is not None:
            prices, anchor = history.prices(start, stop)
            self._indicators.open(prices, anchor=anchor)
        if feed.stream == snapshot.last_stream:
            (self._market.last,) = history.candles(stop - 1, stop)

    def _replay(self, candle: Candle, snapshot: Snapshot) -> None:
        """Learn again from a candle the stored instance has processed."""
        feed = self._feeds.get(candle.stream)
        if feed is None or candle.seq != feed.next_seq:
            feed = self._admit(feed, candle)
            if feed is None:
                return
        stored = snapshot.feeds[feed.stream]
        if candle.seq >= stored.next_seq:
            raise ChorusError(
                f"instance {self.id!r}: history of {feed.stream!r} goes beyond the snapshot: "
                f"candle {candle.seq}, it ends before {stored.next_seq}"
            )
        self._take(feed, candle)
        if candle.seq >= stored.learns_from:
            self._call("on_history", self._strategy.on_history, candle)
