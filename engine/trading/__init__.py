"""Order management: risk, arbitration, paper matching, ledger."""

from engine.trading.capital import AccountState
from engine.trading.gateway import ExecutionListener, Gateway
from engine.trading.ledger import Ledger, LedgerSink
from engine.trading.manager import OrderManager
from engine.trading.modes import EVERYWHERE, TradingMode
from engine.trading.positions import PositionState
from engine.trading.records import FillRecord, NetRecord, OrderRecord, SignalRecord
from engine.trading.registration import Registration

__all__ = [
    "EVERYWHERE",
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
    "Registration",
    "SignalRecord",
    "TradingMode",
]
