"""What routes say to the guards, and ask of them."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import Depends, Request

from api.server.guards.doorkeeper import Doorkeeper

__all__ = ["Door", "ShownOnce"]


def door_of(request: Request) -> Doorkeeper:
    """Return the doorkeeper of the application."""
    return cast("Doorkeeper", request.app.state.doorkeeper)


Door = Annotated[Doorkeeper, Depends(door_of)]


async def mark_shown_once(request: Request) -> None:
    """Keep the answer from being kept."""
    request.state.is_shown_once = True


ShownOnce: Any = Depends(mark_shown_once)
"""For routes whose answer holds a secret: it is not kept for repetitions of the request."""
