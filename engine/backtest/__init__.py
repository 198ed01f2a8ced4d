"""Runs a whole configuration in one process."""

from engine.backtest.digest import Digest, digest
from engine.backtest.runner import Backtest, run_backtest

__all__ = ["Backtest", "Digest", "digest", "run_backtest"]
