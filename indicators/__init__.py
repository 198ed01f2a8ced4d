"""Streaming indicators and their batch twins."""
