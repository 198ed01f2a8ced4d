"""Logging of this process: structured lines on standard error, never on standard output.

What is logged with the standard library is shown like what is logged with structlog. A record may
carry ``strategy_id`` (``extra={"strategy_id": ...}``). Secrets are taken out of all of it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import Processor

from engine.redaction import HIDDEN, is_telling, redacted

__all__ = ["LogFormat", "configure_logging", "without_secrets"]

LogFormat = Literal["console", "json"]

_DEEPEST: Final = 5


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to standard error, whatever that is at the moment."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        """Return standard error."""
        return sys.stderr

    @stream.setter
    def stream(self, _value: TextIO) -> None: ...


def configure_logging(level: str, shape: LogFormat = "console") -> None:
    """Send log events of at least `level` to standard error.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        shape: For people, or a JSON object per line.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if shape == "json":
        last: list[Processor] = [
            structlog.processors.format_exc_info,
            without_secrets,
            structlog.processors.JSONRenderer(default=str),
        ]
    else:
        console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        last = [structlog.processors.format_exc_info, without_secrets, console]
    structlog.configure(
        processors=[*before, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = _StandardError()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                *before,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(allow=("strategy_id",)),
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    for known in [each for each in root.handlers if isinstance(each, _StandardError)]:
        root.removeHandler(known)
    root.addHandler(handler)
    root.setLevel(number)


def without_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Take secrets out of an event: values of telling names, and what looks like one in any text.

    Numbers and the like stay as they are; anything else is shown as text.
    """
    return {name: _shown(name, value, _DEEPEST) for name, value in event.items()}


def _shown(name: str, value: Any, depth: int) -> Any:
    if is_telling(name):
        return HIDDEN
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict) and depth:
        return {str(key): _shown(str(key), each, depth - 1) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_shown("", each, depth - 1) for each in value]
    return redacted(str(value))
