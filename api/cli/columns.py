"""Tables that fit: on a narrow terminal the least important columns go, not half of every word."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["Column", "fitted_table", "report_console"]

_GAP = 3
"""Cells between two columns."""

_PIPE_WIDTH = 220


class Column(msgspec.Struct, frozen=True):
    """A column of a table.

    Attributes:
        heading: Shown above.
        right: Numbers are aligned to the right.
        rank: 0 always stays; of the others the highest goes first.
    """

    heading: str
    right: bool = False
    rank: int = 0


def report_console() -> Console:
    """Return the console results are printed on: as wide as needed where nobody's window ends."""
    if sys.stdout.isatty():
        return Console()
    return Console(width=_PIPE_WIDTH)


def fitted_table(
    title: str, columns: Sequence[Column], rows: Sequence[Sequence[Text]], *, width: int
) -> Table:
    """Return a table at most `width` cells wide, if need be without some columns.

    Args:
        title: Shown above, to the left.
        columns: In the order they are shown.
        rows: One text per column.
        width: Cells there are.
    """
    wide = [
        max(cell_len(column.heading), *(cell_len(row[n].plain) for row in rows), 1)
        for n, column in enumerate(columns)
    ]
    kept = list(range(len(columns)))
    while sum(wide[n] + _GAP for n in kept) > width:
        last = max(kept, key=lambda n: columns[n].rank)
        if columns[last].rank == 0:
            break
        kept.remove(last)
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for n in kept:
        table.add_column(
            columns[n].heading,
            justify="right" if columns[n].right else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        table.add_row(*(row[n] for n in kept))
    return table
