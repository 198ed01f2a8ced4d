"""Why a request does not get as far as its route."""

from __future__ import annotations

from engine.errors import ChorusError

__all__ = ["BodyTooLargeError", "MediaTypeError", "RequestError", "TooManyError"]


class RequestError(ChorusError):
    """Something of a request cannot be: its host, or a character of its address."""


class BodyTooLargeError(ChorusError):
    """A body has more bytes than it may."""

    def __init__(self, most: int) -> None:
        super().__init__(f"body: must have at most {most:,} bytes; send less at once")


class MediaTypeError(ChorusError):
    """A body is not JSON in UTF-8, or says that it is not."""


class TooManyError(ChorusError):
    """Somebody asks, or tries to sign in, more often than it may.

    Attributes:
        retry_after_s: When to try again, seconds from now.
    """

    def __init__(self, what: str, retry_after_s: int) -> None:
        super().__init__(f"{what}; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s
