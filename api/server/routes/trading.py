"""The kill switch, and what accounts risk at present."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field

from api.server.listing import Amount, Form
from api.server.problems import CHANGED, responses
from api.server.services import Asker, Offered
from engine.deployments.trading import ACTIONS, stricter
from engine.trading import EVERYWHERE, AccountState

__all__ = ["router"]

router = APIRouter(tags=["trading"])


class Switch(Form):
    """Whom it concerns, and why."""

    account: str | None = Field(
        default=None, max_length=64, description="Id of an account; none: all, for admins only"
    )
    reason: str = Field(default="", max_length=1000, description="For the audit log")


class ModeView(Form):
    """What an account may do."""

    account: str | None = Field(description="None: all of them")
    mode: Literal["running", "reduce", "halted"]


class TradingView(Form):
    """What accounts may do; the stricter of an account's own mode and that of all counts."""

    everywhere: Literal["running", "reduce", "halted"]
    accounts: list[ModeView]


class CurrencyRisk(Form):
    """One currency of an account; amounts in it."""

    currency: str
    balance: Amount
    equity: Amount
    committed: Amount = Field(description="Margins of positions, and what working entries may need")
    free: Amount = Field(description="What new entries may use")
    unrealized: Amount
    drawdown: float = Field(description="From the highest balance, of 1")


class AccountRisk(Form):
    """What an account risks at present."""

    account_id: str
    name: str
    mode: Literal["running", "reduce", "halted"]
    limits: dict[str, Any]
    currencies: list[CurrencyRisk] = Field(description="Empty until a strategy trades with it")


class RiskView(Form):
    """What accounts risk at present."""

    accounts: list[AccountRisk]


@router.get("/trading", responses=responses())
def get_trading(services: Offered, caller: Asker) -> TradingView:
    """Return what the accounts one sees may do."""
    modes = services.trading.modes(caller)
    everywhere = modes.pop(EVERYWHERE)
    return TradingView(
        everywhere=everywhere,
        accounts=[ModeView(account=account, mode=mode) for account, mode in modes.items()],
    )


@router.post("/trading/{what}", responses=CHANGED)
def switch_trading(
    what: Literal["halt", "reduce", "resume"], body: Switch, services: Offered, caller: Asker
) -> ModeView:
    """Stop trading at once, let positions only be reduced, or go on.

    It holds over restarts. Protective orders stay in any case.
    """
    services.trading.turn(what, body.account, caller, reason=body.reason)
    return ModeView(account=body.account, mode=ACTIONS[what])


@router.get("/risk", responses=responses())
def get_risk(services: Offered, caller: Asker) -> RiskView:
    """Return what the accounts one sees risk at present, as the order manager has it."""
    modes = services.trading.modes(caller)
    states = services.engine.account_states()
    return RiskView(
        accounts=[
            AccountRisk(
                account_id=row.id,
                name=row.name,
                mode=stricter(modes[EVERYWHERE], modes.get(row.id, "running")),
                limits=row.limits,
                currencies=[_risk_of(state) for state in states if state.account == row.id],
            )
            for row in services.accounts.every(caller)
        ]
    )


def _risk_of(state: AccountState) -> CurrencyRisk:
    free = state.balance - state.committed + min(Decimal(0), state.unrealised)
    return CurrencyRisk.model_validate(
        {
            "currency": state.currency,
            "balance": state.balance,
            "equity": state.equity,
            "committed": state.committed,
            "free": free,
            "unrealized": state.unrealised,
            "drawdown": float(state.drawdown),
        }
    )
