"""Order management: risk, arbitration, paper matching, ledger."""

from engine.trading.capital import AccountState
from engine.trading.gateway import ExecutionListener, Gateway
from engine.trading.ledger import (
    FillRecord,
    Ledger,
    LedgerSink,
    NetRecord,
    OrderRecord,
    SignalRecord,
)
from engine.trading.manager import OrderManager
from engine.trading.positions import PositionState

__all__ = [
    "AccountState",
    "ExecutionListener",
    "FillRecord",
    "Gateway",
    "Ledger",
    "LedgerSink",
    "NetRecord",
    "OrderManager",
    "OrderRecord",
    "PositionState",
    "SignalRecord",
]
