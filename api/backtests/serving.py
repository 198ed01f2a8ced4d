"""Backtests as a service has them: asked for over its API, played by workers of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from api.backtests.workers import BacktestWorkers, WorkerSettings
from engine.catalog import Catalog
from engine.catalog.definitions import Definitions
from engine.events import EventLog
from engine.jobs import BacktestLimits, Backtests, Datasets
from engine.store import Store

__all__ = ["served_backtests"]


@contextmanager
def served_backtests(
    folder: Path,
    *,
    store: Store,
    definitions: Definitions,
    catalog: Callable[[], Catalog],
    events: EventLog,
    clock: Callable[[], int],
    limits: BacktestLimits | None = None,
    settings: WorkerSettings | None = None,
) -> Iterator[Backtests]:
    """Offer backtests, and play them, for the length of a `with` block.

    Args:
        folder: Candle files that may be played; made if it is not there.
        store: Where backtests are kept.
        definitions: What strategies are made from.
        catalog: The strategy types there are now.
        events: Told what becomes of each.
        clock: Milliseconds UTC.
        limits: How much one user may ask for.
        settings: How much of the machine they may have.

    Raises:
        ConfigError: The folder is none.
    """
    folder.mkdir(exist_ok=True)
    datasets = Datasets(folder)
    backtests = Backtests(
        store,
        definitions,
        catalog=catalog,
        datasets=datasets,
        events=events,
        clock=clock,
        limits=limits,
    )
    with BacktestWorkers(backtests, datasets, catalog, settings):
        yield backtests
