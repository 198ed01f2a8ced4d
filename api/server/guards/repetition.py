"""The guard that carries a request with an ``Idempotency-Key`` out once."""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from typing import Final

from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.server.problems import refusal
from engine.access import Caller
from engine.errors import ChorusError, ConfigError, StoreError
from engine.idempotency import Answer, Claim, Idempotency, Sent

__all__ = ["KEY_PATTERN", "MAX_KEY", "Repetition"]

_log = logging.getLogger(__name__)

MAX_KEY: Final = 255
KEY_PATTERN: Final = "^[!-~]([ -~]*[!-~])?$"
"""Visible ASCII, blanks within; servers take those at the ends away."""

_KEY: Final = re.compile(KEY_PATTERN)
_KEPT: Final = ("content-type", "etag", "location", "allow")
_MOST: Final = 1_048_576
"""Bytes of an answer that is kept; ours have some kilobytes."""


class Repetition:
    """Answers repeated POSTs with what was answered the first time.

    Without a key, without a user (sign-in), and for other methods, which may be repeated as it is,
    it does nothing. Answers that say that the server failed are not kept: whoever hears one sends
    the request again, and it is carried out again.

    Args:
        app: What comes behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        key = HTTPConnection(scope).headers.get("idempotency-key")
        if scope["type"] != "http" or scope["method"] != "POST" or key is None:
            await self._app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        caller: Caller | None = scope["state"]["caller"]
        try:
            if len(key) > MAX_KEY or _KEY.fullmatch(key) is None:
                raise ConfigError(
                    f"Idempotency-Key: must be 1 to {MAX_KEY} visible characters of ASCII, e.g. a "
                    f"random UUID, got {key[:80]!r}"
                )
            if caller is None or caller.user_id is None:
                await self._app(scope, receive, send)
                return
            sent = _sent(asked, key, caller.user_id)
            requests: Idempotency = scope["app"].state.services.idempotency
            begun = await run_in_threadpool(requests.begin, sent)
        except ChorusError as error:
            await refusal(asked, error)(scope, receive, send)
            return
        if isinstance(begun, Answer):
            headers = {**begun.headers, "Idempotency-Replayed": "true"}
            await Response(begun.body, begun.status, headers)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, _Keeper(send, scope, requests, begun).send)
        except Exception:  # a defect of ours, which goes on: nothing of an answer is kept
            await run_in_threadpool(_let_go, requests, begun)
            raise


class _Keeper:
    """Keeps an answer before its end is sent: whoever has all of it can have it again."""

    def __init__(self, send: Send, scope: Scope, requests: Idempotency, claim: Claim) -> None:
        self._send = send
        self._scope = scope
        self._requests = requests
        self._claim = claim
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        """Pass a message of the answer on."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = Headers(raw=message["headers"])
            self._headers = {name: headers[name] for name in _KEPT if name in headers}
        elif message["type"] == "http.response.body":
            if len(self._body) <= _MOST:
                self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await run_in_threadpool(self._keep)
        await self._send(message)

    def _keep(self) -> None:
        is_failure = self._status >= HTTPStatus.INTERNAL_SERVER_ERROR
        if is_failure or self._status == HTTPStatus.TOO_MANY_REQUESTS:
            _let_go(self._requests, self._claim)
            return
        is_secret = self._scope["state"].get("is_shown_once", False)
        is_kept = len(self._body) <= _MOST and not (is_secret and self._status < 400)  # noqa: PLR2004 - as HTTP has it
        body = bytes(self._body) if is_kept else None
        try:
            self._requests.finish(self._claim, Answer(self._status, self._headers, body))
        except StoreError as error:
            # The change is made; a repetition waits until the lease is over, as after a crash.
            _log.warning("an answer could not be kept: %s", error)


def _let_go(requests: Idempotency, claim: Claim) -> None:
    try:
        requests.release(claim)
    except StoreError as error:
        _log.warning("a request that failed could not be forgotten: %s", error)


def _sent(asked: HTTPConnection, key: str, user_id: str) -> Sent:
    content = (
        asked.scope["query_string"],
        asked.headers.get("if-match", "").encode(),
        asked.scope["state"]["body"],
    )
    return Sent(user_id, key, asked.scope["method"], asked.scope["path"], content)
