"""Backtests: asked for here, played by workers, kept with what came of them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from api.server.listing import After, Form, Limit, Listing, Moment, View, moment
from api.server.problems import responses
from api.server.services import Asker, Offered
from engine.jobs import BacktestStrategy, NewBacktest

__all__ = ["router"]

router = APIRouter(prefix="/backtests", tags=["backtests"])


class BacktestStrategyForm(Form):
    """A strategy made from a definition."""

    id: str = Field(max_length=64, examples=["fast"])
    definition: str = Field(max_length=64, description="Id of a definition")
    config: dict[str, Any] = Field(
        default_factory=dict,
        description="Over the definition's defaults",
        examples=[{"symbol": "BTC/USDT", "timeframe": "15m"}],
    )


class BacktestForm(Form):
    """A backtest to be run: a whole run, strategies made from definitions, or both."""

    name: str = Field(default="", max_length=200, examples=["fast against slow"])
    config: dict[str, Any] = Field(
        default_factory=dict,
        description="A run as `chorus backtest` takes it, or what of it is not said otherwise: "
        "accounts, execution, arbitration, instruments, a synthetic market",
        examples=[{"execution": {"takerFeeBps": 5}}],
    )
    strategies: list[BacktestStrategyForm] = Field(default_factory=list, max_length=1000)
    datasets: list[str] = Field(
        default_factory=list,
        max_length=100,
        description="What is played, by name; none: the synthetic market of `config`",
        examples=[["BTC-USDT_1m.parquet"]],
    )


class BacktestItem(View):
    """A backtest in a list."""

    id: str
    owner_id: str
    name: str
    status: str = Field(examples=["waiting", "running", "done", "failed", "canceled"])
    progress: float = Field(description="From 0 to 1")
    error: str = Field(description="Why it failed; empty otherwise")
    attempts: int = Field(description="How often it was begun")
    created: Moment = moment("created")
    started: Moment | None = moment("started")
    ended: Moment | None = moment("ended")


class BacktestView(BacktestItem):
    """A backtest."""

    config: dict[str, Any] = Field(
        description="The run as it was said, its data sets, the versions of its definitions, and "
        "the hashes of its strategy types' code"
    )
    summary: dict[str, Any] | None = Field(
        description="Counts, ledger hash and the figures of each strategy, once it is done"
    )


class DatasetView(View):
    """Candles that can be played."""

    name: str
    symbol: str
    timeframe: str
    size_bytes: int


class DifferenceView(View):
    """One value in each backtest."""

    path: str
    values: list[Any] = Field(description="In the order of the backtests; null: it has none")


class ComparisonView(View):
    """Backtests side by side."""

    backtests: list[BacktestItem]
    metrics: list[DifferenceView] = Field(description="Every figure any of them has")
    settings: list[DifferenceView] = Field(description="Those in which they differ")


_SEEN = responses(HTTPStatus.NOT_FOUND)
_CHANGED = responses(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


@router.get("", responses=responses())
def list_backtests(
    services: Offered,
    caller: Asker,
    after: After = None,
    limit: Limit = 100,
    status: Literal["waiting", "running", "done", "failed", "canceled"] | None = None,
) -> Listing[BacktestItem]:
    """Return the backtests one sees, the newest first."""
    page = services.backtests.page(caller, status=status, after=after, limit=limit)
    return Listing(items=[BacktestItem.of(row) for row in page.items], next=page.next)


@router.post("", status_code=HTTPStatus.ACCEPTED, responses=_CHANGED)
def run_backtest(
    body: BacktestForm, services: Offered, caller: Asker, request: Request, response: Response
) -> BacktestView:
    """Ask for a backtest; `Location` says where to look how far it is."""
    new = NewBacktest(
        name=body.name,
        config=body.config,
        strategies=[BacktestStrategy(**each.model_dump()) for each in body.strategies],
        datasets=body.datasets,
    )
    row = services.backtests.create(new, caller)
    response.headers["Location"] = f"{request.url.path}/{row.id}"
    return BacktestView.of(row)


@router.get("/datasets", responses=responses())
def list_datasets(services: Offered, _caller: Asker) -> list[DatasetView]:
    """Return the candles that can be played, by name."""
    return [DatasetView.of(each) for each in services.backtests.datasets()]


@router.get("/compare", responses=_SEEN)
def compare_backtests(
    services: Offered,
    caller: Asker,
    ids: Annotated[
        str, Query(max_length=1000, description="Two to ten, with commas", examples=["a1,b2"])
    ],
) -> ComparisonView:
    """Put backtests side by side: their figures, and the settings in which they differ."""
    return ComparisonView.of(services.backtests.compare(ids.split(","), caller))


@router.get("/{backtest_id}", responses=_SEEN)
def get_backtest(backtest_id: str, services: Offered, caller: Asker) -> BacktestView:
    """Return how far a backtest is, and its figures once it is done."""
    return BacktestView.of(services.backtests.get(backtest_id, caller))


@router.get("/{backtest_id}/report", responses=responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT))
def get_report(backtest_id: str, services: Offered, caller: Asker) -> dict[str, Any]:
    """Return the report of a backtest that is done.

    As `chorus backtest --json` prints it, with the newest signals, orders and fills of each
    strategy (`left_out` counts the others) and its `equity_curve`: pairs of milliseconds UTC and
    quote currency.
    """
    return services.backtests.report(backtest_id, caller)


@router.post("/{backtest_id}/cancel", responses=_CHANGED)
def cancel_backtest(backtest_id: str, services: Offered, caller: Asker) -> BacktestView:
    """Let a backtest not be run, or no further."""
    return BacktestView.of(services.backtests.cancel(backtest_id, caller))


@router.delete("/{backtest_id}", responses=_CHANGED)
def delete_backtest(backtest_id: str, services: Offered, caller: Asker) -> BacktestView:
    """Take a backtest away that has ended, with its report."""
    return BacktestView.of(services.backtests.delete(backtest_id, caller))
