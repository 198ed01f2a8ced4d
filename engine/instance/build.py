"""The one way an instance is made, the same in a backtest, an actor and a test."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from engine.catalog import LoadedType
from engine.config import RunConfig, StrategyConfig
from engine.errors import ConfigError
from engine.instance.instance import Instance
from engine.instance.parameters import check_parameters
from engine.money import Instrument
from indicators import IndicatorError, IndicatorManager

__all__ = ["build", "capital_of", "instruments_of"]

_PERPETUAL = "-PERP"


def build(
    config: StrategyConfig,
    loaded: LoadedType,
    *,
    instruments: Mapping[str, Instrument],
    capital: Decimal,
) -> Instance:
    """Make an instance of a strategy. Does no I/O.

    Args:
        config: The strategy.
        loaded: Its type, from `engine.catalog`.
        instruments: Trading rules of its symbols, e.g. from `instruments_of`.
        capital: What it may use, quote currency, e.g. from `capital_of`.

    Raises:
        ConfigError: Parameters, indicators or symbols are not usable; the message names the field.
    """
    parameters = check_parameters(loaded.cls, config.parameters, strategy=config.id)
    _check_currency(config, instruments)
    try:
        manager = IndicatorManager(loaded.cls.indicator_specs(config, parameters))
    except IndicatorError as error:
        raise ConfigError(f"strategy {config.id!r}: indicators: {error}") from error
    return Instance(
        config,
        loaded.cls(),
        instruments=instruments,
        capital=capital,
        indicators=manager,
        parameters=parameters,
        code_hash=loaded.code_hash,
    )


def _check_currency(config: StrategyConfig, instruments: Mapping[str, Instrument]) -> None:
    """An equity in two currencies has no meaning: all symbols of a strategy share the quote."""
    quotes = {instruments[symbol].quote: symbol for symbol in config.symbols}
    if len(quotes) > 1:
        raise ConfigError(
            f"strategy {config.id!r}: its symbols must share one quote currency, have "
            f"{', '.join(sorted(quotes))}; make one strategy per currency"
        )


def instruments_of(run: RunConfig, strategy: StrategyConfig) -> dict[str, Instrument]:
    """Return the trading rules of a strategy's symbols; unlisted ones get fine defaults.

    Raises:
        ConfigError: A symbol is not of the form BASE/QUOTE.
    """
    listed = {rules.symbol: rules for rules in run.instruments}
    found = {}
    for symbol in strategy.symbols:
        base, _, quote = symbol.removesuffix(_PERPETUAL).partition("/")
        if not (base and quote):
            raise ConfigError(
                f"strategy {strategy.id!r}: symbol {symbol!r} must be BASE/QUOTE, e.g. BTC/USDT"
            )
        rules = listed.get(symbol)
        found[symbol] = (
            Instrument(symbol, base, quote)
            if rules is None
            else Instrument(
                symbol, base, quote, rules.tick_size, rules.lot_size, rules.min_notional
            )
        )
    return found


def capital_of(run: RunConfig, strategy: StrategyConfig) -> Decimal:
    """Return what a strategy may use: its `capital`, else its account's whole starting balance.

    Raises:
        ConfigError: The account holds none of the strategy's quote currency.
    """
    account = run.account_of(strategy)
    quote = instruments_of(run, strategy)[strategy.symbol].quote
    balance = account.balances.get(quote)
    if balance is None:
        raise ConfigError(
            f"strategy {strategy.id!r}: account {account.id!r} holds no {quote} "
            f"(it holds {', '.join(account.balances)}); add a balance of it"
        )
    return balance if strategy.capital is None else strategy.capital
