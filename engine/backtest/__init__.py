"""Runs a whole configuration in one process."""

from engine.backtest.runner import Backtest, run_backtest

__all__ = ["Backtest", "run_backtest"]
