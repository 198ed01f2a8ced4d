"""The rule language: parse once, evaluate per candle or over whole arrays."""
