"""Backtests in processes of their own, below the service that offers them.

Beside `api.server` and not in it, because the process of a backtest imports neither the server nor
Ray.
"""
