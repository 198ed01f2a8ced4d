"""The least there can be in a Ray actor. Nothing is imported here: it would count as its cost."""

from __future__ import annotations

__all__ = ["BareActor"]


class BareActor:
    """An actor that does nothing."""

    def ready(self) -> None:
        """Answer once the actor has started."""
