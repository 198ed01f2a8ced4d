"""What the schema of a configuration lets in, and what not, is what the program does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from pydantic.alias_generators import to_camel

from engine.catalog import default_folders, discover, load_file
from engine.catalog.configuration_schema import configuration_schema

CATALOG = discover(default_folders())
EMA = {"id": "a", "type": "EMA_CROSS", "symbol": "BTC/USDT", "timeframe": "1m"}
DEMO = yaml.safe_load((Path(__file__).parents[3] / "configs" / "demo.yaml").read_text())

PLUGIN = """
from strategies import Strategy, StrategyMetadata


class Levels(Strategy):
    metadata = StrategyMetadata(type="LEVELS")

    @classmethod
    def get_parameters_schema(cls):
        level = {"$ref": "#/definitions/level"}
        return {
            "properties": {"low": level, "high": level},
            "definitions": {"level": {"type": "integer"}},
        }

    def on_candle(self, candle): ...
"""


def camel(value: Any) -> Any:
    """Return the same with its names as the schema spells them, parameters' and indicators' not."""
    if not isinstance(value, dict):
        return value
    kept = ("parameters", "indicators")
    return {to_camel(name): each if name in kept else camel(each) for name, each in value.items()}


def validator(strategy_type: str) -> Any:
    schema = configuration_schema(CATALOG.get(strategy_type))
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


@pytest.mark.parametrize("name", CATALOG.types)
def test_it_is_a_schema_of_draft_7(name: str) -> None:
    assert validator(name).is_valid({**EMA, "type": name})


@pytest.mark.parametrize("strategy", DEMO["strategies"], ids=lambda each: each["id"])
def test_it_lets_in_what_runs(strategy: dict[str, Any]) -> None:
    fields = {"type": "RULES", **camel(strategy)}
    assert [error.message for error in validator(fields["type"]).iter_errors(fields)] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "RULES"},
        {"symbol": None},
        {"fancy": 1},
        {"parameters": {"fast_period": "x"}},
        {"parameters": {"fancy": 1}},
        {"leverage": 1000},
        {"rules": {"entry": {"condition": "close > 1"}}},
        {"id": "no spaces"},
    ],
)
def test_it_keeps_out_what_does_not_run(changes: dict[str, Any]) -> None:
    assert validator("EMA_CROSS").is_valid(EMA)
    assert not validator("EMA_CROSS").is_valid({**EMA, **changes})
    without = {name: value for name, value in EMA.items() if name != "symbol"}
    assert not validator("EMA_CROSS").is_valid(without)
    assert validator("EMA_CROSS").is_valid({**without, "symbols": ["BTC/USDT"]})


def test_references_of_a_types_own_schema_stay_within_it(tmp_path: Path) -> None:
    (tmp_path / "levels.py").write_text(PLUGIN)
    schema = configuration_schema(load_file(tmp_path / "levels.py"))
    fields = {**EMA, "type": "LEVELS"}
    assert Draft7Validator(schema).is_valid({**fields, "parameters": {"low": 1}})
    assert not Draft7Validator(schema).is_valid({**fields, "parameters": {"low": "x"}})


def test_whoever_changes_it_changes_only_its_own() -> None:
    loaded = CATALOG.get("RULES")
    configuration_schema(loaded)["properties"].clear()
    assert "id" in configuration_schema(loaded)["properties"]
