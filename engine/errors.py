"""The errors Chorus raises on purpose, all under one base class."""

from __future__ import annotations

__all__ = [
    "CandleError",
    "ChorusError",
    "ConfigError",
    "ConflictError",
    "ConstraintError",
    "DataError",
    "ForbiddenError",
    "JournalError",
    "LifecycleError",
    "MoneyError",
    "NotFoundError",
    "PluginError",
    "RuleError",
    "StaleError",
    "StoppedError",
    "StoreError",
    "StrategyError",
    "TradingError",
    "start_failure",
]


class ChorusError(Exception):
    """Base of every error a user of Chorus is meant to read.

    The message says what is wrong, where, what was required, what was found and what to do:
    ``strategy 'a': rules.entry.condition, column 24: unknown name 'x' (did you mean 'y'?)``.
    """


class ConfigError(ChorusError):
    """A configuration, a parameter or a command-line argument is not usable."""


class RuleError(ConfigError):
    """A rule of the rule language does not parse or names something unknown."""


class DataError(ChorusError):
    """A market-data file or feed cannot be read."""


class CandleError(DataError):
    """A single candle is not usable (non-finite, negative, inconsistent, out of order)."""


class JournalError(ChorusError):
    """Durable state (a journal, a snapshot, a run folder) cannot be written, read or trusted."""


class PluginError(ChorusError):
    """A strategy file cannot be loaded or does not keep the interface."""


class StoppedError(ChorusError):
    """A run was stopped by its user before there was anything to report."""


class StrategyError(ChorusError):
    """Strategy code raised, or broke its contract, while an instance was running."""


class LifecycleError(ChorusError):
    """A command is not allowed in the present state of an instance."""


class MoneyError(ChorusError):
    """An amount, a price or a quantity cannot be expressed in its smallest unit."""


class StoreError(ChorusError):
    """The database cannot be opened, read or written; nothing of a change was written."""


class ConstraintError(StoreError):
    """A rule of a table forbids a change; whoever makes it knows what that means."""


class NotFoundError(ChorusError):
    """There is no such thing, or not for whoever asks."""


class ForbiddenError(ChorusError):
    """Whoever asks may not do that."""


class ConflictError(ChorusError):
    """Somebody else was first: a name is taken, or the thing has changed meanwhile."""


class StaleError(ConflictError):
    """The thing has changed since whoever asks has read it."""


class TradingError(ChorusError):
    """The order manager was called out of order, or a gateway broke its contract."""


def start_failure(error: BaseException) -> str:
    """Return the cause of a strategy that could not be started.

    It is written to the ledger, so it is the same text in a backtest and in an actor.
    """
    text = str(error) if isinstance(error, ChorusError) else f"{type(error).__name__}: {error}"
    return f"could not start: {text}"
