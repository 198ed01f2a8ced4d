"""The guard that reads bodies: not too large, JSON in UTF-8, and nothing a store cannot keep."""

from __future__ import annotations

from email.message import Message as Headers
from typing import Final

from fastapi.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.server.guard_errors import BodyTooLargeError, MediaTypeError
from api.server.problems import refusal
from engine.documents import read_document
from engine.errors import ChorusError

__all__ = ["Bodies"]

_LARGE: Final = 65_536
"""Bytes; a larger body is checked in a thread, so that nobody else has to wait for it."""


class Bodies:
    """Reads the whole body of a request, and leaves it in its state (``body``).

    Args:
        app: What comes behind; it reads the body again.
        most: Bytes a body may have, also one whose length is not told.
    """

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        try:
            body = await self._read(asked, receive)
            if body is None:
                return  # its sender has gone
            if body:
                await _check(asked, body)
        except ChorusError as error:
            await refusal(asked, error)(scope, receive, send)
            return
        scope.setdefault("state", {})["body"] = body
        await self._app(scope, _again(body, receive), send)

    async def _read(self, asked: HTTPConnection, receive: Receive) -> bytes | None:
        told = asked.headers.get("content-length", "")
        if told.isdecimal() and int(told) > self._most:
            raise BodyTooLargeError(self._most)
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self._most:
                raise BodyTooLargeError(self._most)
            if not message.get("more_body", False):
                return bytes(body)


async def _check(asked: HTTPConnection, body: bytes) -> None:
    kind = Headers()
    kind["Content-Type"] = asked.headers.get("content-type", "none/none")
    subtype = kind.get_content_subtype()
    is_json = subtype == "json" or subtype.endswith("+json")
    if kind.get_content_maintype() != "application" or not is_json:
        raise MediaTypeError(
            "Content-Type: a body must be application/json, got "
            f"{asked.headers.get('content-type', 'none')[:80]!r}"
        )
    charset = str(kind.get_param("charset", "utf-8")).lower()
    if charset not in {"utf-8", "utf8"}:
        raise MediaTypeError(f"Content-Type: a body must be UTF-8, got charset {charset[:80]!r}")
    coding = asked.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise MediaTypeError(f"Content-Encoding: a body must be sent as it is, got {coding[:80]!r}")
    if len(body) > _LARGE:
        await run_in_threadpool(read_document, body, "body")
    else:
        read_document(body, "body")


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what gives the body once more, then whatever else comes."""
    is_given = False

    async def give() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give
