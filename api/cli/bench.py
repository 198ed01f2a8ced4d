"""`chorus bench`: the benchmarks, their results, and what changed since a baseline."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from api.cli.boundary import FAILED, short
from api.cli.columns import Column, fitted_table, report_console
from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.comparison import Change
    from benchmarks.harness import Step
    from benchmarks.results import Results

__all__ = ["bench"]

_VERDICT_STYLES = {"better": "green", "worse": "bold red"}


def bench(
    *,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="ID", help="Run this benchmark; can be repeated."),
    ] = None,
    short_mode: Annotated[
        bool, typer.Option("--short", help="Fewer cases and runs: about three minutes.")
    ] = False,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="FILE", help="Compare with these earlier results."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all runs there as JSON.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FOLDER", help="Write results.json, results.md and charts there."
        ),
    ] = None,
) -> None:
    """Measure this machine; on an idle one, and all in full takes about an hour.

    Results are written after every benchmark, so what is measured outlives an interruption.
    """
    # The other commands start without the benchmarks.
    from benchmarks.comparison import cautions, compare  # noqa: PLC0415 - see above
    from benchmarks.harness import record  # noqa: PLC0415 - see above
    from benchmarks.results import load_results, save_results  # noqa: PLC0415 - see above
    from benchmarks.suite import load_scenarios  # noqa: PLC0415 - see above

    scenarios = load_scenarios(only or [])
    before = None if baseline is None else load_results(baseline)
    targets = _targets(json, out)

    def save(results: Results) -> None:
        for target in targets:
            save_results(results, target)

    with _ProgressView(Console(stderr=True)) as view:
        results = record(
            scenarios, "short" if short_mode else "full", on_step=view, on_outcome=save
        )
    changes = [] if before is None else compare(before, results)
    doubts = [] if before is None else cautions(before, results)
    _show(results, changes, doubts)
    if out is not None:
        _write_page(results, changes, doubts, out)
    if any(outcome.failed for outcome in results.outcomes):
        raise typer.Exit(FAILED)


def _targets(json: Path | None, out: Path | None) -> list[Path]:
    """Return the results files to write, refusing now what could not be written in the end.

    Raises:
        ConfigError: One of them.
    """
    targets = []
    if json is not None:
        _check("--json", json, "name a file in a folder you may write to")
        targets.append(json)
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable("--out", out, error, "name a folder you may write to") from error
        targets.append(out / "results.json")
        _check("--out", targets[-1], "name a folder you may write to")
    return targets


def _check(option: str, path: Path, remedy: str) -> None:
    try:
        is_new = not path.exists()
        path.open("ab").close()
        if is_new:
            path.unlink()
    except OSError as error:
        raise _unusable(option, path, error, remedy) from error


def _unusable(option: str, path: Path, error: OSError, remedy: str) -> ConfigError:
    return ConfigError(
        f"{option} {short(str(path))}: cannot be written: {error.strerror or error}; {remedy}"
    )


class _ProgressView:
    """A bar on a terminal, one line per case elsewhere. Use as context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._case = ("", "")
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Leave the bar as it is and give the cursor back."""
        if kind is None:
            self._bar.update(self._task, description="done", completed=self._bar.tasks[0].total)
        self._bar.stop()

    def __call__(self, step: Step) -> None:
        """Show what is about to be measured; called before every run."""
        text = f"{step.id} {step.case}"
        self._bar.update(self._task, description=text, completed=step.done, total=step.total)
        if not self._console.is_terminal and (step.id, step.case) != self._case:
            self._case = (step.id, step.case)
            self._console.out(f"{step.done}/{step.total} {text}", highlight=False)


def _show(results: Results, changes: Sequence[Change], doubts: Sequence[str]) -> None:
    from benchmarks.tables import (  # noqa: PLC0415 - see `bench`
        CHANGE_HEADINGS,
        FIGURE_HEADINGS,
        change_rows,
        facts,
        figure_rows,
        troubles,
    )

    console = report_console()
    styles = [_VERDICT_STYLES.get(change.verdict, "") for change in changes]
    _print_table(console, "benchmarks", FIGURE_HEADINGS, figure_rows(results))
    if changes:
        _print_table(console, "against the baseline", CHANGE_HEADINGS, change_rows(changes), styles)
    for line in doubts:
        _print(console, f"note: {line}", "yellow")
    for line in troubles(results):
        _print(console, line, "yellow")
    for line in facts(results):
        _print(console, line, "dim")


def _print(console: Console, line: str, style: str = "") -> None:
    console.print(Text(line, style=style), soft_wrap=True)


_TEXTS = {"benchmark", "case", "figure", "unit", "verdict"}
_LEAST = {"runs": 3, "min … max": 2, "unit": 1}
"""Columns a narrow terminal goes without, the highest number first."""


def _print_table(
    console: Console,
    title: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Sequence[str] = (),
) -> None:
    columns = [Column(name, name not in _TEXTS, _LEAST.get(name, 0)) for name in headings]
    of_rows = styles or [""] * len(rows)
    cells = [[Text(cell, s) for cell in row] for row, s in zip(rows, of_rows, strict=True)]
    console.print(fitted_table(title, columns, cells, width=console.width))


def _write_page(
    results: Results, changes: Sequence[Change], doubts: Sequence[str], out: Path
) -> None:
    """Write the Markdown page and its charts."""
    from benchmarks.charts import draw_charts  # noqa: PLC0415 - see `bench`
    from benchmarks.tables import markdown  # noqa: PLC0415 - see `bench`

    charts: list[str] = []
    try:
        charts = draw_charts(results, out)
    except ImportError as error:
        typer.echo(
            f"note: no charts: {error}; install it with: pip install 'chorus[bench]'",
            file=sys.stderr,
        )
    page = markdown(results, changes=changes, cautions=doubts, charts=charts)
    (out / "results.md").write_text(page + "\n", encoding="utf-8")
    report_console().print(f"written to {out}", soft_wrap=True, highlight=False)
