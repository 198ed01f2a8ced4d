"""The plugin SDK and the built-in strategy types."""
