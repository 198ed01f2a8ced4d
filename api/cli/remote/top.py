"""`chorus top`: all strategies, live."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from api.cli.live import strategy_table
from api.cli.remote.address import path_of
from api.cli.remote.command import Remote, asking
from api.cli.remote.errors import AwayError, UnknownAnswerError
from api.cli.remote.output import amount_of
from api.cli.remote.streams import following, until_interrupted
from engine.status import EngineStatus, StrategyStatus

if TYPE_CHECKING:
    from api.cli.remote.following import Event, Follower

__all__ = ["Overview", "top"]

_TOPICS: Final = ("metrics", "status")
_REDRAW_S: Final = 0.25
_LIST_S: Final = 10.0
"""Events tell what strategies do, not that they were deleted; the list does."""

_FRAME_LINES: Final = 7
_ROWS: Final = 3
_KNOWN: Final = frozenset(StrategyStatus.__struct_fields__)


class Overview:
    """How all strategies are: as listed, and as events have told since.

    Attributes:
        strategies: By id.
    """

    def __init__(self) -> None:
        self.strategies: dict[str, StrategyStatus] = {}

    def list(self, items: Sequence[dict[str, Any]]) -> None:
        """Take the strategies as the API lists them; others are no more."""
        self.strategies = {item["id"]: _listed(item) for item in items}

    def take(self, event: Event) -> StrategyStatus | None:
        """Take what an event tells; returns the strategy it is about, if it changes anything."""
        data, strategy = event["data"], event["strategy"]
        if strategy is None:
            return None
        if event["topic"] == "metrics":
            status = msgspec.convert(data, StrategyStatus)
        elif (known := self.strategies.get(strategy)) is not None and "status" in data:
            status = msgspec.structs.replace(
                known, status=data["status"], cause=data.get("cause", "")
            )
        else:
            return None
        self.strategies[strategy] = status
        return status

    def screen(self, title: str, *, rows: int, width: int) -> Group:
        """Return the table, and a line about all together.

        Args:
            title: Above the table.
            rows: Most strategies that fit; beyond that those in trouble come first.
            width: Cells of a line.
        """
        every = list(self.strategies.values())
        status = EngineStatus("", -1, 0, 0, 0.0, 0.0, every, {})
        return Group(
            strategy_table(status, title, rows=rows, width=width), Text(self.line(), style="dim")
        )

    def line(self) -> str:
        """Return all strategies in one line."""
        counts: dict[str, int] = {}
        for strategy in self.strategies.values():
            counts[strategy.status] = counts.get(strategy.status, 0) + 1
        states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        return f"{amount_of(len(self.strategies), 0)} strategies: {states or 'none'}"


@asking
def top(
    remote: Remote,
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Show it once; so it is where there is no terminal.")
    ] = False,
) -> None:
    """Show all strategies, live; Ctrl-C ends it. With --json each change is a line.

    Example: chorus top
    """
    overview = Overview()
    printer = remote.printer
    is_live = printer.is_json or printer.console.is_terminal
    if once or not is_live:
        _list(remote, overview)
        if printer.is_json:
            for status in overview.strategies.values():
                printer.one_of_many(status, "")
        else:
            every = len(overview.strategies) or 1
            printer.console.print(
                overview.screen(remote.address.url, rows=every, width=printer.console.width)
            )
        return
    with until_interrupted(), following(remote, _TOPICS) as follower:
        # What happens while it is listed waits in the stream.
        _list(remote, overview)
        if printer.is_json:
            _stream(remote, overview, follower)
        else:
            _draw(remote, overview, follower)


def _list(remote: Remote, overview: Overview) -> None:
    overview.list(remote.api.items(path_of("strategies")).items)


def _stream(remote: Remote, overview: Overview, follower: Follower) -> None:
    for status in overview.strategies.values():
        remote.printer.one_of_many(status, "")
    for batch in follower.batches():
        for event in batch:
            status_now = overview.take(event)
            if status_now is not None:
                remote.printer.one_of_many(status_now, "")


def _draw(
    remote: Remote,
    overview: Overview,
    follower: Follower,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    console = remote.printer.console
    listed = drawn = clock()
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:

        def draw() -> None:
            size = console.size
            rows = max(_ROWS, size.height - _FRAME_LINES)
            shown = overview.screen(remote.address.url, rows=rows, width=size.width)
            live.update(shown, refresh=True)

        draw()
        for batch in follower.batches(tick_s=_REDRAW_S):
            for event in batch:
                overview.take(event)
            now = clock()
            if now - listed >= _LIST_S:
                # A service that has just gone is waited for by the stream.
                with suppress(AwayError, UnknownAnswerError):
                    _list(remote, overview)
                listed = clock()
            if now - drawn >= _REDRAW_S:
                draw()
                drawn = now


def _listed(item: dict[str, Any]) -> StrategyStatus:
    """Return a strategy of the API's list as the engine tells of it."""
    config, state = item["config"], item["state"]
    figures = {_snake(name): value for name, value in state.items()}
    named = {name: config.get(name) or "" for name in ("name", "type", "symbol", "timeframe")}
    known = {name: value for name, value in figures.items() if name in _KNOWN}
    return msgspec.convert(
        {"id": item["id"], "account": item["accountId"], **named, **known}, StrategyStatus
    )


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
