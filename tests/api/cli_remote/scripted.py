"""A server that answers as a test has told it, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["DROP", "Answer", "Scripted", "answering", "scripted"]


@dataclass
class Answer:
    """What is answered; status 0: nothing, the connection ends."""

    status: int = 200
    body: str = "{}"
    headers: Mapping[str, str] = field(default_factory=dict)


DROP = Answer(0)


@dataclass
class Scripted:
    """A server, its answers one after the other, and what it was asked.

    Attributes:
        url: Where it is.
        answers: Those left; the last one stays.
        asked: Method and path.
        headers: Of each request.
    """

    url: str
    answers: list[Answer]
    asked: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)


@contextmanager
def scripted(answers: Sequence[Answer]) -> Iterator[Scripted]:
    """Serve answers from a thread."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            server.asked.append(f"{self.command} {self.path}")
            server.headers.append({k.lower(): v for k, v in self.headers.items()})
            now = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
            self.close_connection = True
            if now.status == 0:
                return
            self.send_response(now.status)
            body = now.body.encode()
            own = {"Content-Length": str(len(body)), "Connection": "close"}
            for name, value in {**own, **now.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - as the base class calls them

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the base
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = Scripted(f"http://127.0.0.1:{http.server_address[1]}", list(answers))
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def answering(status: int, title: str, **fields: object) -> Answer:
    """Return a problem document."""
    problem = {"title": title, "status": status, "detail": title, **fields}
    return Answer(status, json.dumps(problem), {"Content-Type": "application/problem+json"})
