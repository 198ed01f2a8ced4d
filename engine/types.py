"""Immutable messages that every part of the engine shares.

Candles and indicators are float64; money in orders, fills and positions is `decimal.Decimal`
(`engine.money` is the one place that converts). Times are integer milliseconds UTC.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

__all__ = [
    "Action",
    "CancelRequest",
    "Candle",
    "Decision",
    "Fill",
    "Intent",
    "MarketSlice",
    "OrderAccepted",
    "OrderCanceled",
    "OrderEvent",
    "OrderRejected",
    "OrderRequest",
    "OrderRole",
    "OrderType",
    "Side",
    "Signal",
    "StreamId",
    "Tick",
]


class Side(StrEnum):
    """Direction of an order or a fill."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """Return +1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        """Return the other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class Action(StrEnum):
    """What a strategy wants its position to become.

    BUY: long. From short, the short is closed and a long opened by one order.
    SELL: short. From long, likewise. (A long-only strategy uses CLOSE.)
    CLOSE: flat. HOLD: unchanged; recorded, never an order.
    """

    BUY = "BUY"
    SELL = "SELL"
    CLOSE = "CLOSE"
    HOLD = "HOLD"


class OrderType(StrEnum):
    """How an order waits for its price."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    TAKE_PROFIT = "take_profit"
    TRAILING_STOP = "trailing_stop"


class OrderRole(StrEnum):
    """Why an order exists; a fill carries the role of its order."""

    ENTRY = "entry"
    EXIT = "exit"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    TRAILING_STOP = "trailing_stop"


class StreamId(msgspec.Struct, frozen=True, order=True):
    """Identity of a candle stream; its text form is ``venue:symbol:timeframe``.

    A symbol may itself hold a colon, a venue and a timeframe may not.

    >>> StreamId.parse("binance:BTC/USDT:1m")
    StreamId(venue='binance', symbol='BTC/USDT', timeframe='1m')
    >>> str(StreamId("paper", "ETH/BTC", "5m"))
    'paper:ETH/BTC:5m'
    """

    venue: str
    symbol: str
    timeframe: str

    def __str__(self) -> str:
        return f"{self.venue}:{self.symbol}:{self.timeframe}"

    @classmethod
    def parse(cls, text: str) -> StreamId:
        """Read the text form back.

        Raises:
            ValueError: The text does not have three non-empty parts.
        """
        venue, _, rest = text.partition(":")
        symbol, _, timeframe = rest.rpartition(":")
        if not (venue and symbol and timeframe):
            raise ValueError(f"stream {text!r}: need venue:symbol:timeframe")
        return cls(venue, symbol, timeframe)


class Candle(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A closed OHLCV bar ``[open_time, close_time)`` of one stream.

    Attributes:
        stream: Text form of the `StreamId`.
        seq: Gap-free number within the stream, from 0. Missing candles have no `seq`.
        open_time: Start, ms UTC, on a boundary of the timeframe.
        close_time: ``open_time`` + timeframe, ms UTC (exclusive).
        open: First price, quote currency per unit of base.
        high: Highest price.
        low: Lowest price.
        close: Last price.
        volume: Traded amount, base currency.
        gap: Missing intervals: just before this candle (a candle from a feed), or parts that
            are missing inside it (an aggregated candle). 0 where nothing is missing.
    """

    stream: str
    seq: int
    open_time: int
    close_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    gap: int = 0


class Tick(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One trade, or a revision of the open candle, between two closes."""

    venue: str
    symbol: str
    time: int
    price: float
    volume: float


class MarketSlice(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """All candles that became known together: one step of the engine's logical clock.

    Attributes:
        number: Gap-free from 0 over the whole run; the order everything happens in.
        time: Close time of the newest candle in it, ms UTC; never goes back.
        candles: Ordered by (close_time, timeframe, stream). An aggregated candle closed late by
            a gap has a `close_time` before `time`.
    """

    number: int
    time: int
    candles: tuple[Candle, ...]


class Signal(msgspec.Struct, frozen=True, tag="signal", tag_field="kind"):
    """What a strategy wants, before risk, arbitration and sizing.

    Attributes:
        action: See `Action`.
        symbol: Instrument; must be one of the strategy's own.
        confidence: 0 to 1; arbitration prefers the higher one.
        reason: For people: why.
        quantity: Base currency; None lets the strategy's sizing decide.
        limit_price: None enters at the market; otherwise a limit order at this price.
        stop_loss: Protective stop, fraction of the entry price (0.02 is 2 %); None: from `risk`.
        take_profit: Target, fraction of the entry price; None: from `risk`.
        trailing_stop: Fraction below the best price since entry; None: from `risk`.
    """

    action: Action
    symbol: str
    confidence: float = 1.0
    reason: str = ""
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trailing_stop: Decimal | None = None


class OrderRequest(msgspec.Struct, frozen=True, tag="order", tag_field="kind"):
    """A plain order a strategy asks for, for styles that keep several orders at once."""

    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    reduce_only: bool = False
    reason: str = ""
    confidence: float = 1.0


class CancelRequest(msgspec.Struct, frozen=True, tag="cancel", tag_field="kind"):
    """Cancel one of the strategy's own working orders by id."""

    order_id: str
    reason: str = ""


Intent = Signal | OrderRequest | CancelRequest


class Decision(msgspec.Struct, frozen=True):
    """An instance's answer to one candle (or tick) when it wants something.

    A candle that wants nothing has no `Decision`; that it was processed is acknowledged by the
    transport. One without intents says that the strategy raised. The id of intent number *n* is
    ``{instance}|{stream}|{seq}|{n}``: deterministic, so a repeated decision is recognised.
    """

    instance: str
    stream: str
    seq: int
    time: int
    intents: tuple[Intent, ...]

    def intent_id(self, n: int) -> str:
        """Return the deterministic id of intent `n`."""
        return f"{self.instance}|{self.stream}|{self.seq}|{n}"


class OrderAccepted(msgspec.Struct, frozen=True, tag="accepted", tag_field="kind"):
    """An order now works at the gateway.

    `intent_id` is the intent it came from; a protective order carries the one of its entry.
    `price` is the limit or trigger price; for a trailing stop the trigger at acceptance.
    `trail` is the trailing fraction, None for other types.
    """

    instance: str
    order_id: str
    intent_id: str
    symbol: str
    side: Side
    type: OrderType
    role: OrderRole
    quantity: Decimal
    price: Decimal | None
    trail: Decimal | None
    time: int


class OrderRejected(msgspec.Struct, frozen=True, tag="rejected", tag_field="kind"):
    """An intent became no order. `code` is stable for machines, `detail` is for people."""

    instance: str
    intent_id: str
    symbol: str
    code: str
    detail: str
    time: int


class OrderCanceled(msgspec.Struct, frozen=True, tag="canceled", tag_field="kind"):
    """A working order ended without (further) fills."""

    instance: str
    order_id: str
    symbol: str
    reason: str
    time: int


class Fill(msgspec.Struct, frozen=True, tag="fill", tag_field="kind"):
    """An execution, whole or partial. `leaves` is what still works of the order (base)."""

    instance: str
    fill_id: str
    order_id: str
    symbol: str
    side: Side
    role: OrderRole
    quantity: Decimal
    price: Decimal
    fee: Decimal
    leaves: Decimal
    time: int


OrderEvent = OrderAccepted | OrderRejected | OrderCanceled | Fill
