"""Market data: validation, log, aggregation, distribution, feeds."""
