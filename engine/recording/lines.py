"""The lines of a ledger, read: the inverse of `engine.trading.records`."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from engine.recording.errors import RecordingError
from engine.types import Action, OrderRole, OrderType, Side

__all__ = [
    "CancelLine",
    "CanceledLine",
    "FillLine",
    "IntentLine",
    "Line",
    "NetLine",
    "OrderLine",
    "RequestLine",
    "SignalLine",
    "TradingLine",
    "WithdrawnLine",
    "parse_line",
]

_SHOWN: Final = 120


class _Line(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag_field="record"
):
    """What all lines begin with: number of the slice, and its time in milliseconds UTC."""

    slice: int
    time: int


class SignalLine(_Line, frozen=True, tag="signal"):
    """A signal and its outcome; fields as of `Signal` and `SignalRecord`.

    `confidence` is None where the strategy gave no number.
    """

    instance: str
    intent_id: str
    action: Action
    symbol: str
    confidence: float | None
    reason: str
    quantity: Decimal | None
    limit_price: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    trailing_stop: Decimal | None
    code: str
    detail: str
    order_id: str


class RequestLine(_Line, frozen=True, tag="request"):
    """A plain order that was asked for, and the outcome; fields as of `OrderRequest`."""

    instance: str
    intent_id: str
    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None
    reduce_only: bool
    confidence: float | None
    reason: str
    code: str
    detail: str
    order_id: str


class CancelLine(_Line, frozen=True, tag="cancel"):
    """A wish to cancel `order_id`, and the outcome."""

    instance: str
    intent_id: str
    order_id: str
    reason: str
    code: str
    detail: str


class OrderLine(_Line, frozen=True, tag="order"):
    """An order that works, or works on new terms; fields as of `OrderAccepted`.

    `net` is the order it was netted into, or empty.
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
    net: str


class FillLine(_Line, frozen=True, tag="fill"):
    """An execution; fields as of `Fill`. `realised` is the profit it brought, before its fee."""

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
    realised: Decimal


class CanceledLine(_Line, frozen=True, tag="canceled"):
    """An order that ended without (further) fills."""

    instance: str
    order_id: str
    symbol: str
    reason: str


class NetLine(_Line, frozen=True, tag="net"):
    """An execution of a net order; fields as of `NetRecord`."""

    account: str
    order_id: str
    symbol: str
    quantity: Decimal
    crossed: Decimal
    price: Decimal
    fee: Decimal


class WithdrawnLine(_Line, frozen=True, tag="withdrawn"):
    """An instance that was taken out."""

    instance: str
    reason: str


class TradingLine(_Line, frozen=True, tag="trading"):
    """What an account, or all (empty), may do from now on; see `engine.trading.modes`."""

    account: str
    mode: str


IntentLine = SignalLine | RequestLine | CancelLine
Line = IntentLine | OrderLine | FillLine | CanceledLine | NetLine | WithdrawnLine | TradingLine

_decoder: Final[msgspec.json.Decoder[Line]] = msgspec.json.Decoder(Line)


def parse_line(line: bytes) -> Line:
    """Read one line, with its newline or without.

    Raises:
        RecordingError: It is damaged, or of a kind that is not known.
    """
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        shown = line[:_SHOWN].decode(errors="backslashreplace")
        raise RecordingError(
            f"ledger: a line cannot be read ({error}): {shown!r}; it was damaged, or written by "
            "another version of Chorus"
        ) from error
