"""What a ``with`` block does to the parts of a run's durable state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

__all__ = ["Closing"]


class Closing(ABC):
    """A context manager: closed at the end of its block, abandoned when an exception leaves it."""

    @abstractmethod
    def close(self) -> None:
        """Make what was taken safe and let go. May be called again."""

    def abandon(self) -> None:
        """Let go as a crash would: what was not made safe was not acted upon either."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()
