"""Results for people: rows of text, and the same as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.comparison import Change
from benchmarks.results import Figure, Results

__all__ = [
    "CHANGE_HEADINGS",
    "FIGURE_HEADINGS",
    "amount",
    "change_rows",
    "facts",
    "figure_rows",
    "markdown",
    "troubles",
]

FIGURE_HEADINGS = ("benchmark", "case", "figure", "median", "min … max", "unit", "runs")
CHANGE_HEADINGS = ("benchmark", "case", "figure", "before", "now", "unit", "ratio", "verdict")

_NONE = "-"
_FLAGGED = {"better", "worse"}


def amount(value: float) -> str:
    """Write a figure with three digits that count, thousands separated.

    >>> amount(74321.9), amount(123.4), amount(4.567), amount(0.01234)
    ('74,322', '123', '4.57', '0.0123')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits


def figure_rows(results: Results) -> list[tuple[str, ...]]:
    """Return one row per figure, columns as `FIGURE_HEADINGS`."""
    return [
        (
            outcome.id,
            case.label,
            name,
            amount(figure.median),
            f"{amount(figure.lowest)} … {amount(figure.highest)}",
            figure.metric.unit,
            str(len(figure.runs)),
        )
        for outcome in results.outcomes
        for case in outcome.cases
        for name, figure in case.figures.items()
    ]


def change_rows(changes: Sequence[Change]) -> list[tuple[str, ...]]:
    """Return one row per compared figure, columns as `CHANGE_HEADINGS`; changes stand out."""
    return [
        (
            change.id,
            change.case,
            change.figure,
            _median(change.before),
            _median(change.now),
            _unit(change),
            _NONE if change.ratio is None else f"{change.ratio:.2f}",
            change.verdict.upper() if change.verdict in _FLAGGED else change.verdict,
        )
        for change in changes
    ]


def _median(figure: Figure | None) -> str:
    return _NONE if figure is None else amount(figure.median)


def _unit(change: Change) -> str:
    figure = change.now or change.before
    return _NONE if figure is None else figure.metric.unit


def facts(results: Results) -> list[str]:
    """Return what one must know to read the figures, one line each."""
    versions = ", ".join(f"{name} {number}" for name, number in results.versions.items())
    return [
        results.machine,
        f"{versions}{f'; revision {results.revision}' if results.revision else ''}",
        f"{results.mode} mode, began {results.began}, load before it {results.load:.2f}",
    ]


def troubles(results: Results) -> Iterator[str]:
    """Yield the cases there are no figures for, each with the reason."""
    for outcome in results.outcomes:
        yield from (f"{outcome.id} failed: {line}" for line in outcome.failed)
        yield from (f"{outcome.id} skipped: {line}" for line in outcome.skipped)


def markdown(
    results: Results,
    *,
    changes: Sequence[Change] = (),
    cautions: Sequence[str] = (),
    charts: Sequence[str] = (),
) -> str:
    """Return a page with tables and charts.

    Args:
        results: What was measured.
        changes: Against a baseline; empty leaves that table out.
        cautions: What makes the comparison doubtful.
        charts: Files of images, beside the page.
    """
    parts = ["# Benchmarks", "\n".join(f"- {line}" for line in facts(results))]
    parts.append(_table(FIGURE_HEADINGS, figure_rows(results)))
    parts += [f"- {line}" for line in troubles(results)]
    if changes:
        parts += ["## Against the baseline", *(f"- {line}" for line in cautions)]
        parts.append(_table(CHANGE_HEADINGS, change_rows(changes)))
    parts += [f"![{name.partition('.')[0]}]({name})" for name in charts]
    return "\n\n".join(parts)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
