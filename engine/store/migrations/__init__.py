"""Brings a database's tables to this version, and back."""

from engine.store.migrations.running import downgrade, revision_of, upgrade

__all__ = ["downgrade", "revision_of", "upgrade"]
