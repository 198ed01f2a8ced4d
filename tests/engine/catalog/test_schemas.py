"""A schema users write reaches nothing outside, holds nobody up, and means what Draft 7 says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from engine.catalog.schemas import check_schema, problems_of
from engine.errors import ConfigError
from tests.examples import examples


def chain(length: int, *, width: int = 1) -> dict[str, Any]:
    """Return a schema of definitions each of which refers to the next, `width` times."""
    definitions: dict[str, Any] = {
        f"d{n}": {"allOf": [{"$ref": f"#/definitions/d{n + 1}"}] * width} for n in range(length)
    }
    definitions[f"d{length}"] = {"type": "integer"}
    return {"definitions": definitions, "properties": {"x": {"$ref": "#/definitions/d0"}}}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "objekt"}, r"schema: is no JSON Schema \(Draft 7\): \$.type"),
        ({"properties": []}, r"is no JSON Schema"),
        ({"$schema": "https://json-schema.org/draft/2020-12/schema"}, r"schema.\$schema: must be"),
        ({"$ref": "http://127.0.0.1/x"}, r"schema.\$ref: must name a part of the schema's own"),
        ({"items": {"$ref": "file:///etc/passwd"}}, r"schema.items.\$ref: must name"),
        ({"properties": {"a": {"$ref": "#"}}}, r"schema.properties.a.\$ref: must name"),
        ({"$ref": "#/definitions/no"}, "must name a part"),
        # Decoded, this would be another part than the one looked at.
        ({"definitions": {"a%62": {}, "ab": {}}, "$ref": "#/definitions/a%62"}, "must name"),
        ({"definitions": {"a~1b": {}, "a/b": {}}, "$ref": "#/definitions/a~1b"}, "must name"),
        ({"$id": "http://x/y"}, r"schema.\$id: would lead references out"),
        ({"not": {"$id": "x"}}, r"schema.not.\$id"),
        (
            {"definitions": {"a": {"$ref": "#/definitions/a"}}},
            "refers to itself",
        ),
        (
            {
                "definitions": {
                    "a": {"anyOf": [{"$ref": "#/definitions/b"}]},
                    "b": {"properties": {"x": {"$ref": "#/definitions/a"}}},
                }
            },
            "refers to itself",
        ),
        (chain(7, width=3), "has more than 200 parts"),
        ({"allOf": [{"pattern": "a"}] * 20}, "more than 200 parts"),
        (chain(8), "more than 8 references"),
        (nested(33), "nested deeper"),
        ({"enum": ["x" * 70_000]}, "larger than 65,536 bytes"),
        ({"pattern": "(a+"}, "the pattern '.*' cannot be used: error: unclosed group"),
        ({"pattern": "(?=a)"}, "look-around"),
        ({"patternProperties": {r"(a)\1": {}}}, "backreferences"),
        ({"pattern": "(a{999}){999}"}, "exceeds size limit"),
        ({"pattern": "a" * 257}, "at most 256 characters"),
        ({"minimum": float("nan")}, "schema.minimum: a number must be finite"),
    ],
)
def test_a_schema_that_is_none_or_reaches_out_is_refused(schema: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_schema(schema)


def test_a_schema_may_refer_to_its_own_definitions() -> None:
    schema = chain(3, width=2)
    check_schema(schema)
    assert problems_of(schema, {"x": 1}) == []
    assert problems_of(schema, {"x": "a"})


def test_patterns_take_linear_time() -> None:
    schema = {"pattern": "^(a+)+$"}
    check_schema(schema)
    # With backtracking this would take 2^40 steps; it is the answer that is tested, once it comes.
    assert problems_of(schema, "a" * 40 + "b")
    assert problems_of(schema, "a" * 40) == []


def test_what_is_checked_has_a_size() -> None:
    assert problems_of({}, {"x": [1] * 150}) == []
    with pytest.raises(ConfigError, match="at most 200 values"):
        problems_of({}, {"x": [1] * 200})


NAMES = st.sampled_from(["a", "b", "ab", "x1"])
LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "ab1", "x"])
VALUES = st.recursive(
    LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(NAMES, v, max_size=3), max_leaves=6
)
PATTERNS = st.sampled_from(["^a", "b$", "[0-9]", "^(a|x)1?$", "."])
SCHEMAS = st.recursive(
    st.booleans()
    | st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["integer", "string", "object", "array", "null"]),
            "pattern": PATTERNS,
            "minimum": st.integers(-2, 2),
            "enum": st.lists(LEAVES, min_size=1, max_size=3),
        },
    ),
    lambda s: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(NAMES, s, max_size=2),
            "patternProperties": st.dictionaries(PATTERNS, s, max_size=2),
            "additionalProperties": s,
            "propertyNames": s,
            "items": s,
            "anyOf": st.lists(s, min_size=1, max_size=2),
            "not": s,
            "dependencies": st.dictionaries(NAMES, st.lists(NAMES, unique=True), max_size=1),
        },
    ),
    max_leaves=6,
)


@given(SCHEMAS.filter(lambda schema: isinstance(schema, dict)), VALUES)
@examples(300)
def test_it_means_what_draft_7_says(schema: Any, value: Any) -> None:
    check_schema(schema)
    assert (not problems_of(schema, value)) == Draft7Validator(schema).is_valid(value)
