"""What commands print: tables on a terminal, lines elsewhere, JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from api.cli.columns import Column, fitted_table, report_console
from api.cli.listings import print_json
from api.cli.live import STATUS_STYLES, amount
from api.cli.remote.errors import printable

__all__ = ["Field", "Printer", "amount_of", "coloured", "facts_of", "moment_of", "status_of"]

Item = dict[str, Any]

_STATUS_STYLES = {**STATUS_STYLES, "starting": "cyan", "failed": "bold red", "done": "green"}
_SECONDS = len("2024-01-31T15:00:00")


class Field(msgspec.Struct, frozen=True):
    """A column of a list.

    Attributes:
        heading: Shown above.
        read: Makes what is shown of an item.
        right: Numbers are aligned to the right.
        rank: 0 always stays; of the others the highest goes first where it is narrow.
    """

    heading: str
    read: Callable[[Item], Text | str | None]
    right: bool = False
    rank: int = 0


class Printer:
    """Prints what a service answered.

    Args:
        is_json: For other programs.
        console: Where tables go; None: standard output.
    """

    def __init__(self, *, is_json: bool, console: Console | None = None) -> None:
        self.is_json = is_json
        self.console = console or report_console()

    def items(
        self, title: str, fields: Sequence[Field], items: Sequence[Item], after: str | None = None
    ) -> None:
        """Print a list.

        Args:
            title: Shown above on a terminal.
            fields: What is shown of each item.
            items: As the API has them.
            after: Where the list goes on; None: this is all.
        """
        if self.is_json:
            print_json({"items": items, "next": after})
            return
        rows = [[_text(field.read(item)) for field in fields] for item in items]
        if self.console.is_terminal:
            columns = [Column(field.heading, field.right, field.rank) for field in fields]
            self.console.print(fitted_table(title, columns, rows, width=self.console.width))
        else:
            typer.echo("\t".join(field.heading for field in fields))
            for row in rows:
                typer.echo("\t".join(cell.plain for cell in row))
        if after is not None:
            self.notice(f"{len(items)} are shown, there are more; --limit 0 shows all")

    def item(self, data: Any, lines: Sequence[str]) -> None:
        """Print one thing, or what became of it.

        Args:
            data: As the API has it.
            lines: For people.
        """
        if self.is_json:
            print_json(data)
            return
        for line in lines:
            typer.echo(printable(line))

    def facts(self, data: Item) -> None:
        """Print all there is to know about one thing, a line for each fact."""
        self.item(data, facts_of(data))

    def one_of_many(self, data: Any, line: str) -> None:
        """Print one thing of a stream, at once: as a line of JSON, or for people."""
        typer.echo(msgspec.json.encode(data).decode() if self.is_json else printable(line))

    def notice(self, line: str) -> None:
        """Tell people something beside, on standard error."""
        typer.echo(printable(line), err=True)


def facts_of(data: Item, before: str = "") -> list[str]:
    """Return what an object holds, a line for each value.

    >>> facts_of({"id": "a", "state": {"lag": 0, "cause": ""}, "tags": ["x", "y"]})
    ['id: a', 'state.lag: 0', 'tags: x, y']
    """
    lines: list[str] = []
    for name, value in data.items():
        if isinstance(value, dict):
            lines += facts_of(value, f"{before}{name}.")
        elif isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
            encoded = msgspec.json.encode(value).decode()
            lines.append(f"{before}{name}: {encoded}")
        elif isinstance(value, list):
            lines += [f"{before}{name}: {', '.join(map(str, value))}"] if value else []
        elif isinstance(value, bool):
            lines.append(f"{before}{name}: {'yes' if value else 'no'}")
        elif value not in {None, ""}:
            lines.append(f"{before}{name}: {value}")
    return lines


def moment_of(text: str | None) -> str:
    """Return a moment for people, to the second, UTC.

    >>> moment_of("2024-01-31T15:00:00.123Z"), moment_of(None)
    ('2024-01-31 15:00:00', '')
    """
    return (text or "")[:_SECONDS].replace("T", " ")


def amount_of(text: str | float | None, digits: int = 2, *, signed: bool = False) -> str:
    """Return an amount of the API for people; empty where it has none.

    >>> amount_of("-1234.5"), amount_of(None)
    ('-1,234.50', '')
    """
    return "" if text is None else amount(float(text), digits, signed=signed)


def coloured(text: str, value: str | float | None) -> Text:
    """Return text green where a value is above zero, red below."""
    number = float(value or 0)
    return Text(text, style="green" if number > 0 else "red" if number < 0 else "")


def status_of(status: str) -> Text:
    """Return a status in its colour."""
    return Text(status, style=_STATUS_STYLES.get(status, ""))


def _text(shown: Text | str | None) -> Text:
    """Return a cell: one line without what would move the cursor."""
    style = shown.style if isinstance(shown, Text) else ""
    plain = shown.plain if isinstance(shown, Text) else shown or ""
    return Text(" ".join(printable(plain).split()), style=style)
