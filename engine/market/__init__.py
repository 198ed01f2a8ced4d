"""Market data: validation, log, aggregation, distribution, feeds.

Candle files are read by `engine.market.files`, which is not imported here: it brings polars, and
most processes of an engine never see a file.
"""

from engine.market.aggregation import CandleAggregator, aggregate_columns
from engine.market.columns import CandleColumns
from engine.market.distribution import DataDistributor, select_streams
from engine.market.log import SliceLog, StreamLog
from engine.market.market import Market, open_market
from engine.market.offer import streams_on_offer
from engine.market.pacing import Pacer
from engine.market.reports import FileReport
from engine.market.symbols import FileSpec, parse_file_spec, symbol_key
from engine.market.synthetic import synthetic_columns
from engine.market.validation import CandleValidator, Reason, Rejection, ValidationReport

__all__ = [
    "CandleAggregator",
    "CandleColumns",
    "CandleValidator",
    "DataDistributor",
    "FileReport",
    "FileSpec",
    "Market",
    "Pacer",
    "Reason",
    "Rejection",
    "SliceLog",
    "StreamLog",
    "ValidationReport",
    "aggregate_columns",
    "open_market",
    "parse_file_spec",
    "select_streams",
    "streams_on_offer",
    "symbol_key",
    "synthetic_columns",
]
