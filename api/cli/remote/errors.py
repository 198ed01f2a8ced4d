"""What can go wrong between the command line and a service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from engine.errors import ChorusError, ConfigError

__all__ = [
    "AwayError",
    "MissedError",
    "Problem",
    "RefusedError",
    "SignInError",
    "UnknownAnswerError",
    "printable",
    "refusal",
]

_UNPRINTABLE: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_BEFORE: Final = "body."
"""How the API begins the path of a field that was sent."""

_GIVE_A_KEY: Final = (
    "give a key with `chorus login`, with the environment variable CHORUS_KEY, or with "
    "--key-file FILE"
)


class RefusedError(ConfigError):
    """The service refuses what was asked; asked otherwise, or by somebody else, it might not."""


class SignInError(RefusedError):
    """The service does not know who asks."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text}\n{_GIVE_A_KEY}")


class MissedError(RefusedError):
    """Events since the last one known are not kept any more."""


class AwayError(ChorusError):
    """No service answers."""


class UnknownAnswerError(ChorusError):
    """The service failed, or what answers is none."""


class FieldProblem(msgspec.Struct, frozen=True):
    """What is wrong with one field."""

    path: str = ""
    message: str = ""


class Problem(msgspec.Struct, frozen=True):
    """A problem document (RFC 9457), as the API sends it.

    Attributes:
        title: Its kind.
        status: As in HTTP.
        detail: What is wrong here.
        errors: Of which fields.
    """

    title: str
    status: int = 0
    detail: str = ""
    errors: tuple[FieldProblem, ...] = ()

    def lines(self) -> list[str]:
        """Return what is wrong: one line for each field, if it is about fields."""
        fields = [each for each in self.errors if each.path]
        if not fields:
            return self.detail.split("\n") if self.detail else [self.title]
        lines = [f"{each.path.removeprefix(_BEFORE)}: {each.message}" for each in self.errors]
        return lines if len(lines) == 1 else [f"{len(lines)} problems", *lines]


def refusal(
    status: int, body: bytes | str, where: str, headers: Mapping[str, str] | None = None
) -> ChorusError:
    """Return the error of an answer that is none of success.

    Args:
        status: Of the answer.
        body: A problem document, if it comes from a service.
        where: Who answered.
        headers: Of the answer.
    """
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return UnknownAnswerError(
            f"{where}: answered {status} without saying why, so it is no Chorus, or something "
            "stands before it; look at --url, or at CHORUS_URL"
        )
    text = printable("\n".join(problem.lines()))
    if status == HTTPStatus.UNAUTHORIZED:
        return SignInError(text)
    if status == HTTPStatus.GONE:
        return MissedError(text)
    if status == HTTPStatus.TOO_MANY_REQUESTS and headers and "retry-after" in headers:
        text += f"\ntry again in {printable(headers['retry-after'])} s"
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return RefusedError(text)
    return UnknownAnswerError(f"{where}: {printable(problem.title)}: {text}")


def printable(text: str) -> str:
    r"""Return text of others without what would move a terminal's cursor; lines stay lines.

    >>> printable("red \x1b[31m\tand\nnext")
    'red  [31m and\nnext'
    """
    return _UNPRINTABLE.sub(" ", text)
