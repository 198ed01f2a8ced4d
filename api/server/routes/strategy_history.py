"""What one strategy did, and what came of it.

Signals, performance and equity of a public strategy are shown to everybody, the rest to its owner.
What a deleted strategy did stays.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from msgspec.structs import replace
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from api.server.listing import (
    After,
    Amount,
    From,
    Limit,
    Listing,
    Moment,
    To,
    View,
    listed,
    renamed,
)
from api.server.problems import responses
from api.server.routes.fills import FillsChosen, FillView
from api.server.routes.orders import OrdersChosen, OrderView
from api.server.routes.positions import PositionView
from api.server.routes.selecting import Selecting, Symbol
from api.server.services import Asker, Offered
from engine.history import Selection

__all__ = ["router"]

router = APIRouter(prefix="/strategies/{strategy_id}", tags=["history"])

_SEEN = responses(HTTPStatus.NOT_FOUND)
_Code = Annotated[str | None, Query(max_length=64, examples=["accepted"])]
_SignalsChosen = Annotated[Selection, Depends(Selecting("-at", "at", symbol=Symbol, code=_Code))]
_ExecutionsChosen = Annotated[Selection, Depends(Selecting("-interval", "interval"))]

_SIGNAL: JsonDict = {
    "id": "9f2c|btc_dips|paper:BTC/USDT:15m|41|0",
    "runId": "9f2c",
    "at": "2024-01-31T15:00:00.000Z",
    "kind": "signal",
    "action": "BUY",
    "symbol": "BTC/USDT",
    "orderType": None,
    "quantity": None,
    "price": None,
    "stopLoss": "0.02",
    "takeProfit": None,
    "trailingStop": None,
    "isReduceOnly": False,
    "confidence": "0.8",
    "reason": "rsi < 25",
    "code": "accepted",
    "detail": "",
    "orderId": "9f2c|btc_dips|paper:BTC/USDT:15m|41|0",
}

_EXECUTION: JsonDict = {
    "interval": "2024-01-31T15:00:00.000Z",
    "worker": "engine-1",
    "durationUs": 85,
    "result": "success",
    "subscribers": 3,
    "trades": 4,
}

_PERFORMANCE: JsonDict = {
    "strategyId": "btc_dips",
    "currency": "USDT",
    "capital": "10000",
    "since": "2024-01-01T00:15:00.000Z",
    "until": "2024-01-31T15:00:00.000Z",
    "fills": 84,
    "roundTrips": 42,
    "winning": 25,
    "losing": 17,
    "winRate": 0.5952380952380952,
    "realized": "512.25",
    "fees": "33.6",
    "net": "478.65",
    "totalReturn": 0.047865,
    "profitFactor": 1.62,
    "expectancy": 11.396428571428572,
    "averageTrade": 0.0119,
    "maxDrawdown": 0.031,
    "days": 31,
    "sharpe": 1.9,
    "sortino": 2.7,
    "meanHoldingS": 14400.0,
    "exposure": 0.31,
}


class SignalView(View):
    """What a strategy wanted, and what became of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SIGNAL]})

    id: str
    run_id: str
    at: Moment = renamed("at_ms", "at")
    kind: str = Field(description="signal, request (a plain order) or cancel")
    action: str
    symbol: str | None
    order_type: str | None
    quantity: Amount | None = Field(description="Null: as its sizing says")
    price: Amount | None
    stop_loss: Amount | None = Field(description="Fraction of the entry price")
    take_profit: Amount | None
    trailing_stop: Amount | None
    is_reduce_only: bool
    confidence: Amount | None
    reason: str
    code: str = Field(description="accepted, recorded (a HOLD), or why it was refused")
    detail: str
    order_id: str | None


class ExecutionView(View):
    """One strategy at one interval: there is one, so one engine executed it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXECUTION]})

    interval: Moment = renamed("interval_ms", "interval")
    worker: str
    duration_us: int
    result: str
    subscribers: int
    trades: int


class PerformanceView(View):
    """What came of the fills of a period; money in `currency`, fractions of 1, null: undefined."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PERFORMANCE]})

    strategy_id: str
    currency: str
    capital: Amount | None = Field(description="At the beginning of the period")
    since: Moment | None = renamed("since_ms", "since")
    until: Moment | None = renamed("until_ms", "until")
    fills: int
    round_trips: int
    winning: int
    losing: int
    win_rate: float | None
    realized: Amount = Field(description="Before fees")
    fees: Amount
    net: Amount
    total_return: float | None
    profit_factor: float | None
    expectancy: float | None = Field(description="Mean P&L of a round trip, net of fees")
    average_trade: float | None = Field(description="Mean of P&L / entry notional")
    max_drawdown: float | None = Field(description="Of the realised equity")
    days: int
    sharpe: float | None = Field(description="By UTC days, annualised; null below 7 days")
    sortino: float | None = Field(description="Likewise")
    mean_holding_s: float | None
    exposure: float | None = Field(description="Part of the period in which a position was open")


class EquityPoint(View):
    """Equity from a moment on."""

    at: Moment
    equity: Amount


class EquityView(View):
    """Realised equity, a step function: a point holds until the next one."""

    strategy_id: str
    currency: str
    start: Amount = Field(description="Before the first point")
    changes: int = Field(description="Points there would be without a limit")
    points: list[EquityPoint]


@router.get("/orders", response_model=Listing[OrderView], responses=_SEEN)
def list_orders(
    strategy_id: str, services: Offered, caller: Asker, selection: OrdersChosen
) -> Response:
    """Return the orders of a strategy, the newest first."""
    services.history.require_own(strategy_id, caller)
    chosen = replace(selection, strategy=strategy_id)
    return listed(OrderView, services.history.orders(caller, chosen))


@router.get("/fills", response_model=Listing[FillView], responses=_SEEN)
def list_fills(
    strategy_id: str, services: Offered, caller: Asker, selection: FillsChosen
) -> Response:
    """Return the fills of a strategy, the newest first."""
    services.history.require_own(strategy_id, caller)
    chosen = replace(selection, strategy=strategy_id)
    return listed(FillView, services.history.fills(caller, chosen))


@router.get("/signals", response_model=Listing[SignalView], responses=_SEEN)
def list_signals(
    strategy_id: str, services: Offered, caller: Asker, selection: _SignalsChosen
) -> Response:
    """Return the signals of a strategy, the newest first; they are kept for 90 days."""
    return listed(SignalView, services.history.signals(strategy_id, caller, selection))


@router.get("/position", response_model=Listing[PositionView], responses=_SEEN)
def get_position(
    strategy_id: str, services: Offered, caller: Asker, after: After = None, limit: Limit = 100
) -> Response:
    """Return what a strategy holds, symbol by symbol; also what is flat by now."""
    services.history.require_own(strategy_id, caller)
    selection = Selection(strategy=strategy_id, sort="symbol", after=after, limit=limit)
    return listed(PositionView, services.history.positions(caller, selection))


@router.get("/executions", response_model=Listing[ExecutionView], responses=_SEEN)
def list_executions(
    strategy_id: str,
    services: Offered,
    caller: Asker,
    selection: _ExecutionsChosen,
    result: Literal["success", "failed", "skipped", "no_signal"] | None = None,
) -> Response:
    """Return the executions of a strategy, one per interval, the newest first."""
    chosen = replace(selection, status=result)
    return listed(ExecutionView, services.history.executions(strategy_id, caller, chosen))


@router.get("/performance", responses=_SEEN)
def get_performance(
    strategy_id: str, services: Offered, caller: Asker, since: From = None, until: To = None
) -> PerformanceView:
    """Return what came of the fills of a strategy in a period."""
    return PerformanceView.of(
        services.history.performance(strategy_id, caller, since_ms=since, until_ms=until)
    )


@router.get("/equity", responses=_SEEN)
def get_equity(
    strategy_id: str,
    services: Offered,
    caller: Asker,
    since: From = None,
    until: To = None,
    points: Annotated[int, Query(ge=4, le=10_000, description="At most so many")] = 500,
) -> EquityView:
    """Return the realised equity of a strategy; first, last, lowest and highest always show."""
    curve = services.history.equity(
        strategy_id, caller, since_ms=since, until_ms=until, points=points
    )
    shown = [EquityPoint.model_validate({"at": at, "equity": each}) for at, each in curve.points]
    return EquityView.model_validate(
        {
            "strategy_id": curve.strategy_id,
            "currency": curve.currency,
            "start": curve.start,
            "changes": curve.changes,
            "points": shown,
        }
    )
