from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from typer.testing import Result

from api.cli import app, main

Chorus = Callable[..., Result]


def test_strategies_are_listed_with_schema(chorus: Chorus) -> None:
    listed = json.loads(chorus("strategies", "--json").stdout)
    names = [entry["type"] for entry in listed["strategies"]]
    assert names == sorted(names)
    assert {"RULES", "MOMENTUM_BREAKOUT", "MEAN_REVERSION", "EMA_CROSS"} <= set(names)
    assert listed["broken"] == []
    for entry in listed["strategies"]:
        Draft7Validator.check_schema(entry["parameters"])
    table = chorus("strategies").stdout
    assert all(name in table for name in names)


def test_one_strategy_type_is_shown_with_its_parameters(chorus: Chorus) -> None:
    out = chorus("strategies", "EMA_CROSS").stdout
    (entry,) = json.loads(chorus("strategies", "EMA_CROSS", "--json").stdout)["strategies"]
    for name in entry["parameters"]["properties"]:
        assert name in out


def test_a_broken_plugin_is_listed_with_its_error_beside_the_good_ones(
    chorus: Chorus, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("x = 1\ny = x / 0\n")
    result = chorus("strategies", CHORUS_PLUGIN_FOLDERS=str(tmp_path))
    assert result.exit_code == 0
    assert "RULES" in result.stdout
    assert "1 broken:" in result.stdout
    assert f"{tmp_path}/broken.py:2: ZeroDivisionError" in result.stdout
    listed = json.loads(chorus("strategies", "--json", CHORUS_PLUGIN_FOLDERS=str(tmp_path)).stdout)
    assert [entry["line"] for entry in listed["broken"]] == [2]


def test_every_indicator_is_listed_with_schema_and_outputs(chorus: Chorus) -> None:
    listed = json.loads(chorus("indicators", "--json").stdout)["indicators"]
    by_name = {entry["name"]: entry for entry in listed}
    assert len(by_name) >= 150
    assert by_name["macd"]["outputs"] == ["macd", "signal", "hist"]
    for entry in listed:
        Draft7Validator.check_schema(entry["parameters"])
    table = chorus("indicators").stdout
    assert "macd" in table
    assert "supertrend" in table


@pytest.mark.parametrize("name", ["macd", "MACD"])
def test_one_indicator_is_shown_however_it_is_written(chorus: Chorus, name: str) -> None:
    out = chorus("indicators", name).stdout
    assert "fastperiod" in out
    assert "outputs: macd, signal, hist" in out


def test_version_names_what_matters_for_a_report(chorus: Chorus) -> None:
    parts = json.loads(chorus("version", "--json").stdout)
    assert list(parts)[:2] == ["chorus", "python"]
    text = chorus("version").stdout
    assert all(f"{parts[name]}" in text for name in parts)


def test_help_lists_every_command(chorus: Chorus) -> None:
    out = chorus("--help").stdout
    for command in ("run", "backtest", "validate", "strategies", "indicators", "version"):
        assert command in out


def test_the_console_script_finds_main() -> None:
    assert callable(main)
    assert app.info.name == "chorus"
