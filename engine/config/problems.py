"""Validation errors of the configuration models, said in the words and places of the file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import msgspec
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from engine.config.document import Document, Location
from engine.errors import ConfigError

__all__ = ["InvalidConfigError", "Problem", "explain", "refusal_of", "subject_of"]

_SHOWN = 60
"""Longest piece of a wrong value that is repeated in its message."""


class Problem(msgspec.Struct, frozen=True, order=True):
    """One thing that is wrong with a configuration.

    Attributes:
        file: As the user named it; empty where it does not come from a file.
        line: From 1; 0 where there is none.
        column: From 1; 0 where there is none.
        subject: Path inside the configuration, e.g. ``strategies[2].risk.stopLoss``.
        message: Requirement, actual value, remedy.
    """

    file: str
    line: int
    column: int
    subject: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return ": ".join(part for part in (place, self.subject, self.message) if part)


class InvalidConfigError(ConfigError):
    """A configuration with one or more problems; the message has one line for each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def subject_of(location: Location) -> str:
    """Write a location the way people do.

    >>> subject_of(("strategies", 2, "risk", "stopLoss"))
    'strategies[2].risk.stopLoss'
    """
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def explain(
    errors: Sequence[ErrorDetails], document: Document, model: type[BaseModel], base: Location
) -> list[Problem]:
    """Turn what pydantic found into problems with places, in the order of the file.

    Args:
        errors: From ``ValidationError.errors()``.
        document: The file the data came from.
        model: The model that was validated.
        base: Where the root of the file stands in the validated data: ``()`` for a whole run,
            ``("strategies", 0)`` for a file with one strategy.
    """
    found: dict[tuple[Location, str], Problem] = {}
    alternatives: dict[Location, list[str]] = {}
    locations = [error["loc"] for error in errors]
    for error in errors:
        if _is_shadow(error, locations):
            continue
        location = _in_file(error["loc"], document, base)
        message = _message(error, model)
        if message.startswith("must be") and _is_branch(error["loc"]):
            alternatives.setdefault(location, []).append(message.removeprefix("must be "))
            message = "must be " + " or ".join(alternatives[location])
            found = {key: value for key, value in found.items() if key[0] != location}
        found[location, message] = _problem(document, location, message, error)
    return sorted(found.values(), key=lambda p: (p.line, p.column))


def refusal_of(
    error: ValidationError, data: Any, model: type[BaseModel], subject: str
) -> ConfigError:
    """Return what to raise for data that is from no file, a line per problem.

    Args:
        error: What pydantic raised.
        data: What was validated.
        model: The model that was validated.
        subject: What the data is called by whoever gave it, e.g. ``config``.
    """
    problems = explain(error.errors(include_url=False), Document(Path(), data, None), model, ())
    return ConfigError(
        "\n".join(f"{f'{subject}.{each.subject}'.rstrip('.')}: {each.message}" for each in problems)
    )


def _problem(document: Document, location: Location, message: str, error: ErrorDetails) -> Problem:
    if error["type"] == "missing":
        location = location[:-1]
    line, column = document.place(location)
    if error["type"] not in {"missing", "value_error", "extra_forbidden"}:
        message += f" (found {_shown(error['input'])})"
    return Problem(str(document.path), line, column, subject_of(location), message)


def _is_shadow(error: ErrorDetails, locations: Sequence[Location]) -> bool:
    """A list 'too short' only because its items were refused says nothing new."""
    if error["type"] != "too_short" or not error["input"]:
        return False
    length = len(error["loc"])
    return any(len(other) > length and other[:length] == error["loc"] for other in locations)


_SINGULAR = {"symbols": "symbol", "timeframes": "timeframe"}


def _in_file(location: Location, document: Document, base: Location) -> Location:
    """Map a location of the validated data to the file: without branches and derived lists."""
    steps: list[str | int] = [step for step in location[len(base) :] if not _is_tag(step)]
    if base and location[: len(base)] != base:
        steps = []
    for n, step in enumerate(steps):
        one = _SINGULAR.get(str(step))
        here = tuple(steps[:n])
        if one and not document.has((*here, str(step))) and document.has((*here, one)):
            return (*here, one)
    return tuple(steps)


def _is_tag(step: str | int) -> bool:
    return isinstance(step, str) and (
        step == "[key]" or step.startswith(("literal[", "constrained-"))
    )


def _is_branch(location: Location) -> bool:
    return any(_is_tag(step) and step != "[key]" for step in location)


_REWORDED = (
    (re.compile(r"^Input should be a valid tuple$"), "must be a list"),
    (re.compile(r"^Input should be (?:a valid dictionary|an object).*$"), "must be a mapping"),
    (re.compile(r"^Input should be a valid string$"), "must be text (put it in quotes)"),
    (re.compile(r"^Input should be a valid decimal$"), "must be a number"),
    (re.compile(r"^Input should be a valid (number|integer), .*$"), r"must be a \1"),
    (re.compile(r"^Input should be a valid "), "must be a "),
    (re.compile(r"^Input should be "), "must be "),
    (re.compile(r"^(?:Tuple|List|Dictionary) should have "), "must have "),
    (re.compile(r"^(String|Data) should have "), "must have "),
    (re.compile(r" after validation, not \d+$"), ""),
)


def _message(error: ErrorDetails, model: type[BaseModel]) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        return _unknown_field(error["loc"], model)
    if kind == "missing":
        return f"needs a field `{error['loc'][-1]}`"
    if kind == "value_error":
        return error["msg"].removeprefix("Value error, ")
    if kind == "string_pattern_mismatch":
        return "must be 1 to 64 letters, digits, '_', '.' or '-', and start with a letter or digit"
    text = error["msg"]
    for pattern, replacement in _REWORDED:
        text = pattern.sub(replacement, text)
    return text.replace("must be a integer", "must be a whole number")


def _unknown_field(location: Location, model: type[BaseModel]) -> str:
    name = str(location[-1])
    owner = _model_at(location[:-1], model)
    fields = {} if owner is None else owner.model_fields
    # Suggest in the style the user writes in.
    known = list(fields) if "_" in name else [f.alias or key for key, f in fields.items()]
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    if near:
        return f"unknown field (did you mean {by_lower[near[0]]!r}?)"
    return f"unknown field; known here: {', '.join(known)}"


def _model_at(location: Location, model: type[BaseModel]) -> type[BaseModel] | None:
    """Return the model that validates the part of the data at `location`."""
    for step in location:
        if isinstance(step, int) or _is_tag(step):
            continue
        field = next((f for key, f in model.model_fields.items() if step in {key, f.alias}), None)
        inner = None if field is None else _model_in(field.annotation)
        if inner is None:
            return None
        model = inner
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        inner = _model_in(part)
        if inner is not None:
            return inner
    return None


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
