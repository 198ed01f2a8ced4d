"""What clients and server say to each other, as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from api.server.listing import iso
from api.server.problems import status_of
from api.server.stream_errors import ClientMessageError, ClientMessageTooLargeError
from engine.errors import ChorusError
from engine.events import Event

__all__ = [
    "ClientMessage",
    "EventTexts",
    "Hello",
    "Ping",
    "Subscribe",
    "Unsubscribe",
    "problem_text",
    "read_message",
    "text_of",
]

_LONGEST_NAME: Final = 200
_KEPT: Final = 1024
_LARGE: Final = 8 * 1024
_PIECE: Final = 64 * 1024
"""Characters: events kept as text, and how large at most; a message has no more when it is full."""


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """What a client may send; `type` tells which."""


class Hello(_Message, frozen=True, tag="hello"):
    """Who is there: the first message of a client that sent no header.

    Later it brings a new token before the old one is over.
    """

    token: str


class Subscribe(_Message, frozen=True, tag="subscribe"):
    """Follow these topics, too.

    Attributes:
        topics: Exact ones; ``*`` stands for all.
        strategies: From now on, of events about strategies, only those about these; None: about
            all; left out: as before.
        after: Id of the last event the client knows; only while it follows nothing.
    """

    topics: list[str]
    strategies: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    after: str | None = None


class Unsubscribe(_Message, frozen=True, tag="unsubscribe"):
    """Follow these topics no more; one that is not followed changes nothing."""

    topics: list[str]


class Ping(_Message, frozen=True, tag="ping"):
    """Is the server there?"""


ClientMessage = Hello | Subscribe | Unsubscribe | Ping

_decoder: Final[msgspec.json.Decoder[ClientMessage]] = msgspec.json.Decoder(ClientMessage)
_encoder: Final = msgspec.json.Encoder()


def read_message(text: str, most_bytes: int) -> ClientMessage:
    """Return what a client sent.

    Args:
        text: As received.
        most_bytes: It may have.

    Raises:
        ClientMessageTooLargeError: It has more.
        ClientMessageError: It is none of the protocol.
    """
    size = len(text) if text.isascii() else len(text.encode(errors="replace"))
    if size > most_bytes:
        raise ClientMessageTooLargeError(size, most_bytes)
    try:
        message = _decoder.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ClientMessageError(f"message: is not one of this protocol: {error}") from None
    if isinstance(message, Subscribe | Unsubscribe):
        named = message.topics if isinstance(message, Unsubscribe) else _names_in(message)
        if long := next((name for name in named if len(name) > _LONGEST_NAME), None):
            raise ClientMessageError(
                f"message: topics and strategies have at most {_LONGEST_NAME} characters, "
                f"got {len(long)}"
            )
    return message


def _names_in(message: Subscribe) -> list[str]:
    return [*message.topics, *(message.strategies or ())]


class _Event(msgspec.Struct, frozen=True):
    """An event as it is shown."""

    id: str
    topic: str
    strategy: str | None
    at: str
    data: dict[str, Any]


class EventTexts:
    """Events as JSON, made once for all clients. Used by one thread."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, event: Event) -> str:
        """Return an event as it is sent: id, topic, strategy, when it was published, data."""
        if (known := self._known.get(event.id)) is not None:
            return known
        shown = _Event(
            event.id, event.topic, event.strategy_id or None, iso(event.at_ms), event.data
        )
        text = _encoder.encode(shown).decode()
        if len(text) <= _LARGE:
            if len(self._known) >= _KEPT:
                del self._known[next(iter(self._known))]
            self._known[event.id] = text
        return text

    def pieces(self, events: Sequence[Event]) -> Iterator[tuple[str, Event]]:
        """Return messages that hold all these events, each with the last of its events.

        Several share a message, since each message takes longer to send than the events in it.
        """
        texts: list[str] = []
        size = 0
        for event in events:
            texts.append(self.of(event))
            size += len(texts[-1])
            if size > _PIECE or event is events[-1]:
                yield f'{{"type":"events","events":[{",".join(texts)}]}}', event
                texts, size = [], 0


def text_of(kind: str, **fields: Any) -> str:
    """Return any other message of the server."""
    return _encoder.encode({"type": kind, **fields}).decode()


def problem_text(kind: str, error: ChorusError, **fields: Any) -> str:
    """Return a message that says what is wrong, with the fields of a problem document."""
    status, title = status_of(error)
    return text_of(kind, title=title, status=int(status), detail=str(error), **fields)
