"""All guards, in the order a request meets them."""

from __future__ import annotations

from typing import Final

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from api.server.guards.bodies import Bodies
from api.server.guards.configuration import Guards
from api.server.guards.entrance import Entrance
from api.server.guards.front import Front
from api.server.guards.repetition import Repetition
from api.server.metrics import Measured

__all__ = ["layers_of"]

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_SENT: Final = (
    "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID", "X-API-Key",
)  # fmt: skip
_SHOWN: Final = (
    "ETag", "Idempotency-Replayed", "Location", "RateLimit-Limit", "RateLimit-Remaining",
    "RateLimit-Reset", "Retry-After",
)  # fmt: skip


def layers_of(guards: Guards, *, private: str) -> list[Middleware]:
    """Return the guards of an application, the outermost first.

    Args:
        guards: What they let through.
        private: Answers below this path are nobody's to keep.
    """
    front = Middleware(Front, hosts=guards.hosts, private=private)
    # Without it no page of another origin can read an answer, nor send more than a form can.
    others = Middleware(
        CORSMiddleware,
        allow_origins=sorted(guards.origins),
        allow_methods=_METHODS,
        allow_headers=_SENT,
        expose_headers=_SHOWN,
        max_age=600,
    )
    return [
        Middleware(Measured),
        front,
        *([others] if guards.origins else []),
        Middleware(Entrance),
        Middleware(Bodies, most=guards.limits.body_bytes),
        Middleware(Repetition),
    ]
