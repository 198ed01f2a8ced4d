"""The `chorus` console script: a first step light enough that Ctrl-C always finds somebody."""

from __future__ import annotations

import sys

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> None:
    """Load the command line and run it."""
    try:
        from api.cli import main as run  # noqa: PLC0415 - takes a second, which may be interrupted
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        raise SystemExit(_INTERRUPTED) from None
    run()
