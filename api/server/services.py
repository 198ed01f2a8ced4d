"""What the routes work with."""

from __future__ import annotations

from typing import Annotated, cast

import msgspec
from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPBearer

from api.server.engine import EngineView
from api.server.system import SystemView
from engine.access import Caller
from engine.alerts import Alerts
from engine.audit import AuditLog
from engine.catalog.definitions import Definitions
from engine.catalog.exchange import Exchange
from engine.catalog.files import StrategyFiles
from engine.deployments import Accounts, Strategies
from engine.deployments.subscriptions import Subscriptions
from engine.deployments.trading import TradingSwitch
from engine.events import Broadcaster
from engine.history import History
from engine.idempotency import Idempotency
from engine.jobs import Backtests
from engine.logs import StrategyLogs
from engine.settings import Settings
from engine.users import AuthenticationError, Users

__all__ = ["Asker", "Offered", "Services"]


class Services(msgspec.Struct, frozen=True):
    """The services of one engine.

    Attributes:
        engine: What runs.
        system: How the service itself is.
        users: Who may sign in.
        files: Strategy files.
        definitions: What strategies are made from.
        exchange: Takes definitions to and from other installations.
        accounts: Where they trade.
        strategies: What is deployed.
        subscriptions: Who follows it.
        backtests: What was played for users, and is to be.
        broadcaster: What happens, for all who follow it.
        trading: The kill switch.
        history: What strategies did, and what came of it.
        alerts: What somebody should look at.
        logs: What strategies say, and what is said of them.
        settings: What is changed while Chorus runs.
        audit: What was changed, and by whom.
        idempotency: What was answered to requests with a key of their own.
    """

    engine: EngineView
    system: SystemView
    users: Users
    files: StrategyFiles
    definitions: Definitions
    exchange: Exchange
    accounts: Accounts
    strategies: Strategies
    subscriptions: Subscriptions
    backtests: Backtests
    broadcaster: Broadcaster
    trading: TradingSwitch
    history: History
    alerts: Alerts
    logs: StrategyLogs
    settings: Settings
    audit: AuditLog
    idempotency: Idempotency


def services_of(request: Request) -> Services:
    """Return what the application was made with."""
    return cast("Services", request.app.state.services)


Offered = Annotated[Services, Depends(services_of)]

_key = APIKeyHeader(name="X-API-Key", auto_error=False, description="A key of a user.")
_bearer = HTTPBearer(auto_error=False, description="A token, or a key.")


async def caller_of(
    request: Request,
    _key: Annotated[object, Depends(_key)],
    _bearer: Annotated[object, Depends(_bearer)],
) -> Caller:
    """Return who asks, as the guard at the entrance has found out.

    Raises:
        AuthenticationError: Nobody that is known.
    """
    caller = cast("Caller | None", request.state.caller)
    if caller is None:
        raise AuthenticationError
    return caller


Asker = Annotated[Caller, Depends(caller_of)]
