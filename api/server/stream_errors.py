"""Why a stream ends or never begins."""

from __future__ import annotations

from engine.errors import ChorusError
from engine.events import EventsLostError, SlowSubscriberError

__all__ = [
    "ClientMessageError",
    "ClientMessageTooLargeError",
    "ForeignOriginError",
    "ServerStopsError",
    "StuckClientError",
    "TooManyStreamsError",
    "resume_id",
]


class ClientMessageError(ChorusError):
    """What a client sent is no message of the protocol; the connection goes on."""


class ClientMessageTooLargeError(ChorusError):
    """A client sent more than a message may have."""

    def __init__(self, size: int, most: int) -> None:
        super().__init__(
            f"message: may have {most:,} bytes, got {size:,}; subscribe in several messages"
        )


class ForeignOriginError(ChorusError):
    """A page of another origin tried to open a WebSocket."""

    def __init__(self, origin: str) -> None:
        super().__init__(
            f"origin {origin[:200]!r}: only pages of this server may open a WebSocket; "
            f"ask whoever runs it to allow the origin"
        )


class TooManyStreamsError(ChorusError):
    """There are as many streams already as there may be."""

    def __init__(self, whose: str, most: int) -> None:
        super().__init__(
            f"event stream: {whose} may have {most} at once, and has; close one, "
            f"or follow more topics with each"
        )


class ServerStopsError(ChorusError):
    """The server stops."""

    def __init__(self) -> None:
        super().__init__("event stream: the server stops; connect again in some seconds")


class StuckClientError(ChorusError):
    """A client took nothing at all for too long."""

    def __init__(self, waited_s: float) -> None:
        super().__init__(
            f"event stream: ended, nothing was taken for {waited_s:g} s; connect again, and read "
            f"while you work"
        )


def resume_id(error: ChorusError) -> str:
    """Return the id to go on from where the error itself tells it; empty where it does not."""
    match error:
        case EventsLostError():
            return error.oldest
        case SlowSubscriberError():
            return error.resume_after
    return ""
