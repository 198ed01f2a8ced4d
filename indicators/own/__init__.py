"""Indicators TA-Lib lacks, composed of its handles where possible.

TA-Lib 0.8 has Donchian channels (`donchian`) and Supertrend (`supertrend`) with the standard
definitions, so they are not repeated here.
"""

from indicators.own.ichimoku import ICHIMOKU
from indicators.own.keltner import KELTNER
from indicators.own.stochrsi import SMOOTH_STOCHRSI
from indicators.own.streak import STREAK
from indicators.own.vwap import ROLLING_VWAP, SESSION_VWAP
from indicators.own.zscore import VOLUME_ZSCORE, ZSCORE

__all__ = [
    "ICHIMOKU",
    "KELTNER",
    "ROLLING_VWAP",
    "SESSION_VWAP",
    "SMOOTH_STOCHRSI",
    "STREAK",
    "VOLUME_ZSCORE",
    "ZSCORE",
]
