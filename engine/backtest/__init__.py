"""Runs a whole configuration in one process."""
