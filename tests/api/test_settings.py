from __future__ import annotations

import os
from pathlib import Path

import pytest

from api.settings import read_settings
from engine.errors import ConfigError


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("CHORUS_"):
            monkeypatch.delenv(name)


def test_everything_has_a_default() -> None:
    settings = read_settings()
    assert settings.plugin_folders == ()
    assert settings.log_level == "warning"
    assert settings.debug is False


def test_folders_are_separated_like_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHORUS_PLUGIN_FOLDERS", os.pathsep.join(["/a", "b", ""]))
    assert read_settings().plugin_folders == (Path("/a"), Path("b"))


def test_an_empty_variable_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHORUS_LOG_LEVEL", "")
    assert read_settings().log_level == "warning"


def test_levels_are_read_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHORUS_LOG_LEVEL", "DEBUG")
    assert read_settings().log_level == "debug"


def test_all_wrong_variables_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHORUS_LOG_LEVEL", "loud")
    monkeypatch.setenv("CHORUS_DEBUG", "perhaps")
    with pytest.raises(ConfigError) as caught:
        read_settings()
    message = str(caught.value)
    assert "CHORUS_LOG_LEVEL: must be 'debug'" in message
    assert "CHORUS_DEBUG" in message
    assert "perhaps" in message
