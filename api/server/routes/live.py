"""What a running strategy says of itself, and what it sees."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from api.server.listing import Form, Moment, To
from api.server.problems import responses
from api.server.services import Asker, Offered
from engine.deployments.configuration import validated
from engine.errors import NotFoundError
from engine.instance.chart import chart, warmup_of
from engine.redaction import redacted

__all__ = ["router"]

router = APIRouter(prefix="/strategies/{strategy_id}", tags=["strategies"])

_MOST_CANDLES = 2000
_MOST_WARMUP = 5000
_WARMUPS = 4
"""How often the candles an indicator needs are read, so that hardly anything is left of where it
began."""

_LIVE = responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


class MetricsView(Form):
    """State and metrics of a strategy as of its last candle."""

    strategy_id: str
    status: str
    candles: int
    errors: int
    cause: str
    trace: str = Field(description="Of the newest exception in its code; empty without one")
    metrics: dict[str, Any] | None


class CandleView(Form):
    """A closed candle, and the strategy's indicators as of its close."""

    seq: int
    open_time: Moment
    close_time: Moment
    open: float
    high: float
    low: float
    close: float
    volume: float
    indicators: dict[str, float | None]


class ChartView(Form):
    """Candles of a strategy's main stream, oldest first."""

    strategy_id: str
    stream: str
    candles: list[CandleView]


@router.get("/metrics", responses=_LIVE)
def get_metrics(strategy_id: str, services: Offered, caller: Asker) -> MetricsView:
    """Ask a strategy for its state and metrics; the other strategies are not disturbed."""
    services.strategies.get(strategy_id, caller)
    outcome = services.engine.metrics_of(strategy_id)
    return MetricsView(
        strategy_id=strategy_id,
        status=outcome.status,
        candles=outcome.candles,
        errors=outcome.errors,
        cause=redacted(outcome.cause),
        trace=redacted(outcome.trace),
        metrics=outcome.metrics,
    )


@router.get("/candles", responses=_LIVE)
def get_candles(
    strategy_id: str,
    services: Offered,
    caller: Asker,
    limit: Annotated[int, Query(ge=1, le=_MOST_CANDLES)] = 500,
    to: To = None,
) -> ChartView:
    """Return the newest candles of a strategy's main stream, with its indicators.

    The indicators are made from these candles and some before; the strategy's own began earlier.
    """
    row = services.strategies.get(strategy_id, caller)
    config = validated(row.config)
    loaded = services.files.catalog.types.get(config.type)
    if loaded is None:
        raise NotFoundError(f"strategy type {config.type!r}: is not there any more")
    before = min(_WARMUPS * warmup_of(config, loaded), _MOST_WARMUP)
    candles = services.engine.candles(config.main_stream, limit=limit + before, before_ms=to)
    values = chart(config, loaded, candles)
    first = max(0, len(candles) - limit)
    return ChartView(
        strategy_id=strategy_id,
        stream=config.main_stream,
        candles=[
            CandleView(
                seq=candle.seq,
                open_time=candle.open_time,  # type: ignore[arg-type]  # shown as ISO 8601
                close_time=candle.close_time,  # type: ignore[arg-type]  # likewise
                open=candle.open,
                high=candle.high,
                low=candle.low,
                close=candle.close,
                volume=candle.volume,
                indicators={name: series[n] for name, series in values.items()},
            )
            for n, candle in enumerate(candles)
            if n >= first
        ],
    )
