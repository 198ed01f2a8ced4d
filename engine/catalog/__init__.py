"""Discovery of strategy types in plugin files."""
