"""RULES strategies over whole arrays: the backtest's trades at millions of candles per second."""

from engine.vectorised.backtest import vectorised_backtest
from engine.vectorised.sweep import Overrides, sweep
from engine.vectorised.trades import OpenTrade, Trade, Trades

__all__ = ["OpenTrade", "Overrides", "Trade", "Trades", "sweep", "vectorised_backtest"]
