"""The outermost guard: for whom the server is asked, and what every answer says to browsers."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.server.guard_errors import RequestError
from api.server.guards.configuration import LOCAL_HOSTS
from api.server.problems import refusal
from engine.errors import ChorusError

__all__ = ["Front"]

_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Unless a route says otherwise."""


class Front:
    """Refuses hosts that are not ours, marks every answer, and answers for defects.

    A page can give its own name our address (DNS rebinding), and then browsers take us for part of
    it; only the header ``Host`` shows that.

    Args:
        app: What comes behind.
        hosts: Further hosts, without ports.
        private: Answers below this path are nobody's to keep.
    """

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str], private: str) -> None:
        self._app = app
        self._hosts = LOCAL_HOSTS | {host.lower() for host in hosts}
        self._private = private

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a WebSocket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        is_begun = False

        async def marked(message: Message) -> None:
            nonlocal is_begun
            if message["type"] == "http.response.start":
                is_begun = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if asked.url.path.startswith(self._private):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            self._check(asked)
        except RequestError as error:
            await refusal(asked, error)(scope, receive, marked)
            return
        try:
            await self._app(scope, receive, marked)
        except Exception:  # whatever it is, its client gets an answer; it goes on
            if scope["type"] == "http" and not is_begun:
                defect = ChorusError("the server's log says what happened; tell whoever runs it")
                await refusal(asked, defect)(scope, receive, marked)
            raise  # to whoever logs it

    def _check(self, asked: HTTPConnection) -> None:
        host = asked.headers.get("host", "")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name.lower() not in self._hosts:
            raise RequestError(
                f"Host: {host[:200]!r} is not served here; ask for localhost, or let whoever runs "
                "the server allow the host"
            )
        if "\0" in asked.scope["path"] or b"%00" in asked.scope["query_string"]:
            raise RequestError("the address holds the character NUL; take it out")
