"""Work that is asked for and done later: backtests."""

from engine.jobs.backtests import Backtests, Claim, Status
from engine.jobs.comparison import Comparison, Difference
from engine.jobs.datasets import Dataset, Datasets
from engine.jobs.limits import BacktestLimits
from engine.jobs.requests import BacktestStrategy, NewBacktest

__all__ = [
    "BacktestLimits",
    "BacktestStrategy",
    "Backtests",
    "Claim",
    "Comparison",
    "Dataset",
    "Datasets",
    "Difference",
    "NewBacktest",
    "Status",
]
