"""The configuration of a strategy as a JSON Schema (Draft 7), for forms and editors."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec

from engine.catalog.discovery import LoadedType
from engine.catalog.schemas import DRAFT_7
from engine.config import StrategyConfig
from engine.config.strategy import RULES_TYPE

__all__ = ["configuration_schema"]

_OF_RULES: Final = frozenset({"indicators", "rules"})
"""Fields that only the type RULES reads; others refuse them."""


def configuration_schema(loaded: LoadedType) -> dict[str, Any]:
    """Return the schema of a whole configuration of a type, in camelCase.

    What goes beyond a schema (rules that compile, fields that fit together) is checked when a
    strategy is made.

    Args:
        loaded: The type.
    """
    name = loaded.metadata.type
    schema = msgspec.json.decode(_plain())
    properties = schema["properties"]
    if name != RULES_TYPE:
        for field in _OF_RULES:
            del properties[field]
        del schema["definitions"]["RulesConfig"], schema["definitions"]["RuleConfig"]
    properties["type"] = {"const": name}
    # With an id of its own, so that its references stay within it.
    own = {"$id": f"urn:chorus:type:{name}"}
    properties["parameters"] = own | loaded.cls.get_parameters_schema()
    return {
        "$schema": DRAFT_7,
        **schema,
        "title": loaded.metadata.name or name,
        "description": loaded.metadata.description,
        "required": ["id", "type"],
        "allOf": [
            {"anyOf": [{"required": ["symbol"]}, {"required": ["symbols"]}]},
            {"anyOf": [{"required": ["timeframe"]}, {"required": ["timeframes"]}]},
        ],
    }


@cache
def _plain() -> bytes:
    """Return the schema of any configuration, as JSON: each caller gets its own."""
    schema = StrategyConfig.model_json_schema(ref_template="#/definitions/{model}")
    schema["definitions"] = schema.pop("$defs")  # as Draft 7 calls them
    return msgspec.json.encode(schema)
