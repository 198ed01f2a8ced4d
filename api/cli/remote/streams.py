"""`chorus watch` and `chorus logs`: what happens, as it happens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import msgspec
import typer

from api.cli.remote.address import path_of
from api.cli.remote.command import Remote, asking
from api.cli.remote.output import moment_of
from api.cli.remote.strategies import StrategyArgument

if TYPE_CHECKING:
    from api.cli.remote.following import Event, Follower

__all__ = ["following", "logs", "until_interrupted", "watch"]

_LOGS = "logs"
Level = Literal["debug", "info", "warning", "error"]
Line = dict[str, Any]

_LEVELS = get_args(Level)


@contextmanager
def until_interrupted() -> Iterator[None]:
    """Let Ctrl-C end what has no end of its own, quietly."""
    with suppress(KeyboardInterrupt):
        yield


def following(
    remote: Remote,
    topics: Sequence[str],
    *,
    strategies: Sequence[str] | None = None,
    after: str | None = None,
) -> Follower:
    """Return what follows the event stream of a service."""
    from api.cli.remote.following import Follower  # noqa: PLC0415 - other commands need it not

    return Follower(
        remote.address,
        remote.key,
        topics,
        strategies=strategies,
        after=after,
        notice=remote.printer.notice,
    )


@asking
def watch(
    remote: Remote,
    topics: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TOPIC...",
            help="fills, orders, signals, metrics, status, alerts, logs, candles:STREAM; or all.",
        ),
    ] = None,
    *,
    strategy: Annotated[
        list[str] | None,
        typer.Option("--strategy", metavar="ID", help="Of strategies only these; can be repeated."),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="ID", help="Go on after this event; else from now on."),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", min=1, metavar="N", help="End after so many events.")
    ] = None,
) -> None:
    """Follow events, through connections that break; Ctrl-C ends it.

    Example: chorus watch fills orders --strategy btc_dips
    """
    printer = remote.printer
    with (
        until_interrupted(),
        following(remote, topics or ["*"], strategies=strategy, after=after) as follower,
    ):
        for event in islice(_events(follower), count):
            printer.one_of_many(event, _line_of(event))


@asking
def logs(
    remote: Remote,
    strategy: StrategyArgument,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with those to come; Ctrl-C ends it.")
    ] = False,
    level: Annotated[
        Level | None, typer.Option("--level", help="Only these and what is worse.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=0, metavar="N", help="Newest lines; 0: all.")
    ] = 100,
) -> None:
    """Show what a strategy has logged, the newest line last.

    Example: chorus logs btc_dips -f
    """
    if not follow:
        _show_logs(remote, strategy, level, limit)
        return
    # First the stream, then what is on record: nothing is missed, and what comes twice is known.
    with until_interrupted(), following(remote, [_LOGS], strategies=[strategy]) as follower:
        known = _show_logs(remote, strategy, level, limit)
        for event in _events(follower):
            line = _line_in(event)
            if line["id"] not in known and _is_as_bad(line, level):
                _show_line(remote, line)


def _show_logs(remote: Remote, strategy: str, level: Level | None, limit: int) -> set[Any]:
    path = path_of("strategies", strategy, _LOGS)
    found = remote.api.items(path, limit, level=level).items
    for line in reversed(found):
        _show_line(remote, line)
    return {line["id"] for line in found}


def _show_line(remote: Remote, line: Line) -> None:
    text = f"{moment_of(line['at'])} {line['level']:<8}{line['text']}"
    remote.printer.one_of_many(line, text)


def _line_in(event: Event) -> Line:
    """Return the log line an event tells of, as the API lists it."""
    at = event["data"]["at"]
    if isinstance(at, int):
        moment = datetime.fromtimestamp(at / 1000, UTC)
        at = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {**event["data"], "at": at}


def _is_as_bad(line: Line, level: Level | None) -> bool:
    return level is None or _LEVELS.index(line["level"]) >= _LEVELS.index(level)


def _events(follower: Follower) -> Iterator[Event]:
    for batch in follower.batches():
        yield from batch


def _line_of(event: Event) -> str:
    facts = " ".join(f"{name}={_word(value)}" for name, value in event["data"].items())
    parts = (moment_of(event["at"]), event["topic"], event["strategy"], facts)
    return "  ".join(part for part in parts if part)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
