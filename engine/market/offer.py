"""Which streams a market could serve, whether anybody wants them yet or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.market.symbols import parse_file_spec, symbol_key
from engine.money import canonical_symbol
from engine.timeframes import TIMEFRAMES, divides
from engine.types import StreamId

if TYPE_CHECKING:
    from engine.config import MarketConfig

__all__ = ["streams_on_offer"]


def streams_on_offer(config: MarketConfig, replay: Sequence[str] = ()) -> tuple[str, ...]:
    """Return every stream that a market's candles, or what is aggregated from them, can serve.

    Reads nothing but names, so a file that holds something else is found when it is opened.

    Args:
        config: The market; its files win over its synthetic market.
        replay: Files that win over both, as for `open_market`.

    Raises:
        DataError: A file's name says neither symbol nor timeframe.
    """
    named = tuple(replay) or config.replay
    if named:
        specs = [parse_file_spec(text) for text in named]
        sources = [(_canonical(spec.symbol), spec.timeframe) for spec in specs]
    elif config.synthetic is not None:
        sources = [(each.symbol, each.timeframe) for each in config.synthetic.symbols]
    else:
        sources = []
    return tuple(
        dict.fromkeys(
            str(StreamId(config.venue, symbol, timeframe))
            for symbol, base in sources
            for timeframe in TIMEFRAMES
            if divides(base, timeframe)
        )
    )


def _canonical(symbol: str) -> str:
    """Return a symbol as a configuration spells it.

    >>> _canonical("BTC-USDT-PERP"), _canonical("eth_btc"), _canonical("BTC/USDT:USDT")
    ('BTC/USDT-PERP', 'ETH/BTC', 'BTC/USDT:USDT')
    """
    return symbol if "/" in symbol else canonical_symbol(symbol_key(symbol))
