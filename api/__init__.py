"""Command line and, later, the control API."""
