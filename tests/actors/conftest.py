"""Tests that run whole engines."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this folder starts real actors."""
    for item in items:
        if "tests/actors" in item.path.as_posix():
            item.add_marker(pytest.mark.actors)
