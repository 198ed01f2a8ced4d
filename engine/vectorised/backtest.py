"""One RULES strategy over whole arrays."""

from __future__ import annotations

import numpy as np

from engine.config import RunConfig, StrategyConfig
from engine.errors import DataError
from engine.market import CandleColumns
from engine.market.columns import Floats
from engine.money import Instrument, find_instrument, instruments_by_symbol
from engine.rules import RuleProgram, compile_rules
from engine.rules.arrays import ArrayEvaluator
from engine.rules.names import FIELDS
from engine.rules.terms import Output
from engine.vectorised.accounting import account
from engine.vectorised.funds import funds_of
from engine.vectorised.positions import BITS, changes_of
from engine.vectorised.prices import FillPrices, fill_prices
from engine.vectorised.restrictions import require_covered, require_fitting
from engine.vectorised.trades import Trades
from indicators import Batches
from indicators.bars import LIMIT

__all__ = ["Playback", "program_of", "vectorised_backtest"]


def vectorised_backtest(
    strategy: StrategyConfig, candles: CandleColumns, *, run: RunConfig | None = None
) -> Trades:
    """Play candles through one RULES strategy, with the trades of the event-driven backtest.

    Blocks for some nanoseconds per candle. The candles are what the strategy listens to and what
    its orders are matched on, as in a run over one file.

    Args:
        strategy: Of type RULES, sized by a fixed quantity.
        candles: Valid candles of its timeframe, as `engine.market.files.read_candles` returns them.
        run: Where execution, instruments and accounts are taken from; None: the defaults.

    Raises:
        ConfigError: The configuration is wrong, or asks for something the vectorised backtest
            does not cover; see `engine.vectorised.restrictions` and `engine.vectorised.funds`.
        DataError: A candle is not finite.
        MoneyError: A price cannot be expressed in ticks.
    """
    playback = Playback(candles, run or RunConfig(strategies=(strategy,)))
    return playback.trades(strategy, program_of(strategy, playback.run, candles))


def program_of(strategy: StrategyConfig, run: RunConfig, candles: CandleColumns) -> RuleProgram:
    """Check a strategy and compile its rules.

    Raises:
        ConfigError: As `vectorised_backtest`.
    """
    require_covered(strategy, run)
    require_fitting(strategy, candles)
    assert strategy.rules is not None  # noqa: S101 - covered, so it has rules
    return compile_rules(strategy.id, strategy.indicators, strategy.rules, strategy.parameters)


class Playback:
    """Candles prepared once for any number of strategies.

    Attributes:
        candles: The candles.
        run: Execution, instruments and accounts.
    """

    def __init__(self, candles: CandleColumns, run: RunConfig) -> None:
        self.candles = candles
        self.run = run
        self._instruments = instruments_by_symbol(run.instruments)
        self._prices: dict[str, tuple[Instrument, FillPrices]] = {}
        self._columns: dict[str, Floats] = {
            name: np.ascontiguousarray(getattr(candles, name), dtype=np.float64)
            for name in (*FIELDS, "open_time")
        }
        self._require_usable()
        self._batches = Batches(self._columns)

    def _require_usable(self) -> None:
        for name in FIELDS:
            column = self._columns[name]
            fits = np.abs(column) <= LIMIT
            if not fits.all():
                at = int(fits.argmin())
                raise DataError(
                    f"candles: {name} must be finite, at most {LIMIT:g}, candle {at} has "
                    f"{column[at]}; read them with `read_candles`, which leaves such rows out"
                )

    def trades(self, strategy: StrategyConfig, program: RuleProgram) -> Trades:
        """Return what a strategy trades.

        Args:
            strategy: Checked by `program_of`.
            program: Its rules.

        Raises:
            ConfigError: As `vectorised_backtest`.
            MoneyError: As `vectorised_backtest`.
        """
        instrument, prices = self._prices_of(strategy.symbol)
        funds = funds_of(strategy, self.run, instrument)
        changes = changes_of(self._codes(program))
        return account(changes, prices, self._columns["close"], funds)

    def _prices_of(self, symbol: str) -> tuple[Instrument, FillPrices]:
        known = self._prices.get(symbol)
        if known is None:
            instrument = find_instrument(symbol, self._instruments)
            prices = fill_prices(self.candles, instrument, self.run.execution)
            known = self._prices[symbol] = (instrument, prices)
        return known

    def _codes(self, program: RuleProgram) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        """Return which rules hold at each candle at which the strategy is running."""
        rows = len(self.candles)
        batch = self._batches.of(program.specs)

        def output(item: Output) -> Floats:
            return batch.output(item.indicator, item.output)

        evaluator = ArrayEvaluator(self._columns, output, program.parameters, rows)
        codes = np.zeros(rows, dtype=np.uint8)
        for name, condition in program.conditions.items():
            codes |= evaluator.test(condition).view(np.uint8) * np.uint8(BITS[name])
        # It acts at the candle that makes its indicators ready, or as many later as its rules
        # look back.
        codes[: batch.ready + program.lookback] = 0
        return codes
