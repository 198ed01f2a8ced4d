"""Discovery of strategy types in plugin files."""

from engine.catalog.compatibility import Compatibility
from engine.catalog.discovery import (
    BrokenPlugin,
    Catalog,
    LoadedType,
    default_folders,
    discover,
    load_file,
)
from engine.catalog.plugin import StrategyMetadata, StrategyPlugin

__all__ = [
    "BrokenPlugin",
    "Catalog",
    "Compatibility",
    "LoadedType",
    "StrategyMetadata",
    "StrategyPlugin",
    "default_folders",
    "discover",
    "load_file",
]
