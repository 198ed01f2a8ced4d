"""JSON Schemas (Draft 7) that users write: bounded, closed in themselves, checked in linear time.

A schema is data, but whoever checks values with it works for whoever wrote it. So one that would
fetch something, refer to itself, multiply by references or need a backtracking regular expression
is refused when it is written, not when it is used. Schemas of strategy files are code's own and not
meant here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, cast

import polars as pl
from jsonschema import Draft7Validator, FormatChecker, SchemaError, ValidationError
from jsonschema.validators import extend

from engine.catalog.canonical import canonical
from engine.errors import ConfigError

__all__ = ["DRAFT_7", "MAX_PARTS", "check_schema", "problems_of"]

DRAFT_7: Final = "http://json-schema.org/draft-07/schema#"

MAX_BYTES: Final = 64 * 1024
MAX_PARTS: Final = 200
"""Schemas within a schema, with every reference written out."""

_PARTS_OF_A_PATTERN: Final = 10
"""What it costs to look for a pattern, in parts."""

MAX_REFERENCES: Final = 8
"""One leading to the next."""

MAX_PATTERN: Final = 256
"""Characters of a regular expression."""

MAX_VALUES: Final = 200
"""In what is checked; each of them may meet each part of a schema."""

_OF_NAMES: Final = ("properties", "patternProperties", "definitions", "dependencies")
_OF_LISTS: Final = ("allOf", "anyOf", "oneOf", "items")
_OF_ONE: Final = (
    "additionalItems", "additionalProperties", "contains", "else", "if", "items", "not",
    "propertyNames", "then",
)  # fmt: skip
_REF: Final = re.compile(r"#/definitions/([A-Za-z0-9_.-]+)")
"""Names without escapes, so that the part looked at here is the part that is used later."""


def check_schema(schema: Mapping[str, Any], *, name: str = "schema") -> None:
    """Check that values may be checked against a schema, whoever wrote it.

    Args:
        schema: What was written.
        name: What it is, for messages.

    Raises:
        ConfigError: It is no JSON Schema of Draft 7, too large, not closed in itself, or has a
            regular expression that is none or needs backtracking.
    """
    if len(canonical(schema, name=name)) > MAX_BYTES:
        raise ConfigError(f"{name}: is larger than {MAX_BYTES:,} bytes; make it simpler")
    try:
        # Without formats: it would compile regular expressions for an engine that backtracks.
        Draft7Validator.check_schema(schema, format_checker=FormatChecker(formats=()))
    except SchemaError as error:
        raise ConfigError(
            f"{name}: is no JSON Schema (Draft 7): {error.json_path}: {error.message:.500}"
        ) from error
    if schema.get("$schema", DRAFT_7).rstrip("#") != DRAFT_7.rstrip("#"):
        raise ConfigError(
            f"{name}.$schema: must be {DRAFT_7!r} or left out, got {schema['$schema']!r:.200}"
        )
    if _Measure(schema.get("definitions", {})).size(schema, name) > MAX_PARTS:
        raise ConfigError(
            f"{name}: has more than {MAX_PARTS} parts when its references are written out (a "
            f"pattern counts as {_PARTS_OF_A_PATTERN}); make it simpler"
        )


def problems_of(schema: Mapping[str, Any], value: Any) -> list[ValidationError]:
    """Return in what a value is not as a schema wants it, in the order of its places.

    Args:
        schema: One that `check_schema` has let in.
        value: Plain JSON.

    Raises:
        ConfigError: The value has more than `MAX_VALUES` parts.
    """
    if _count(value) > MAX_VALUES:
        raise ConfigError(f"parameters: at most {MAX_VALUES} values, got more; use fewer")
    errors = _Validator(schema).iter_errors(value)
    return sorted(errors, key=lambda each: (each.json_path, each.message))


def _count(value: Any) -> int:
    """Return how many values a value is made of."""
    match value:
        case dict():
            return 1 + sum(map(_count, value.values()))
        case list():
            return 1 + sum(map(_count, value))
    return 1


class _Measure:
    """Measures and checks the parts of one schema; each definition once, however often used."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self._sizes: dict[str, int] = {}

    def size(self, schema: Any, place: str, within: tuple[str, ...] = ()) -> int:
        """Return the number of parts, references written out."""
        if not isinstance(schema, dict):
            return 1
        total = 1 + _PARTS_OF_A_PATTERN * _check_own(schema, place)
        for step, part in _parts(schema):
            total += self.size(part, f"{place}.{step}"[:200], within)
        if "$ref" in schema:
            total += self._size_of_reference(schema["$ref"], f"{place}.$ref", within)
        return total

    def _size_of_reference(self, ref: str, place: str, within: tuple[str, ...]) -> int:
        match = _REF.fullmatch(ref)
        if match is None or match[1] not in self._definitions:
            raise ConfigError(
                f"{place}: must name a part of the schema's own `definitions`, e.g. "
                f"'#/definitions/level', got {ref!r:.200}"
            )
        wanted = match[1]
        if wanted in within:
            raise ConfigError(f"{place}: {ref!r:.200} refers to itself; write it out")
        if len(within) >= MAX_REFERENCES:
            raise ConfigError(
                f"{place}: is reached by more than {MAX_REFERENCES} references one after the "
                "other; make it simpler"
            )
        if wanted not in self._sizes:
            part = self._definitions[wanted]
            self._sizes[wanted] = self.size(part, place, (*within, wanted))
        return self._sizes[wanted]


def _parts(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the schemas right inside a schema, with their places."""
    for keyword in _OF_NAMES:
        inner = schema.get(keyword)
        if isinstance(inner, dict):
            for name, part in inner.items():
                yield f"{keyword}.{name}", part
    for keyword in _OF_LISTS:
        inner = schema.get(keyword)
        if isinstance(inner, list):
            for number, part in enumerate(inner):
                yield f"{keyword}.{number}", part
    for keyword in _OF_ONE:
        inner = schema.get(keyword)
        if isinstance(inner, dict):
            yield keyword, inner


def _check_own(schema: Mapping[str, Any], place: str) -> int:
    """Return how many patterns a part has itself, all of them usable."""
    if "$id" in schema:
        raise ConfigError(f"{place}.$id: would lead references out of the schema; take it out")
    patterns = [*schema.get("patternProperties", {})]
    if "pattern" in schema:
        patterns.append(schema["pattern"])
    for pattern in patterns:
        if len(pattern) > MAX_PATTERN:
            raise ConfigError(
                f"{place}: a pattern has at most {MAX_PATTERN} characters, got {len(pattern)}"
            )
        try:
            _is_found(pattern, "")
        except pl.exceptions.ComputeError as error:
            cause = str(error).partition("\n\nThis error")[0].split("\n")[-1]
            raise ConfigError(
                f"{place}: the pattern {pattern!r} cannot be used: {cause}; patterns are "
                "those of Rust's `regex`, without look-around and back-references"
            ) from error
    return len(patterns)


def _is_found(pattern: str, text: str) -> bool:
    """Tell whether a pattern is found in a text, in time linear in both.

    Raises:
        ComputeError: It is no pattern.
    """
    return bool(_column(text).str.contains(pattern).item())


@lru_cache(maxsize=16)
def _column(text: str) -> pl.Series:
    return pl.Series([text], dtype=pl.String)


def _pattern(
    validator: Any, pattern: str, value: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    del validator, schema
    if isinstance(value, str) and not _is_found(pattern, value):
        yield ValidationError(f"{value!r:.200} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, rules: Mapping[str, Any], value: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    del schema
    if isinstance(value, dict):
        for pattern, rule in rules.items():
            for name in value:
                if _is_found(pattern, name):
                    yield from validator.descend(value[name], rule, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, rule: Any, value: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name in value:
        if name in known or any(_is_found(pattern, name) for pattern in patterns):
            continue
        if rule is False:
            yield ValidationError(f"{name!r:.200} is not among {', '.join(known) or 'no names'}")
        else:
            yield from validator.descend(value[name], rule, path=name)


_Validator: Final = cast(
    "type[Draft7Validator]",
    extend(  # type: ignore[no-untyped-call]  # its stubs leave it untyped
        Draft7Validator,
        {
            "pattern": _pattern,
            "patternProperties": _pattern_properties,
            "additionalProperties": _additional_properties,
        },
    ),
)
"""Draft 7, but for the engine of its regular expressions: those of `re` backtrack."""
