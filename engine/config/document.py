"""A configuration file as read: its data, and where in the text every part of it stands.

YAML is read with the safe loader only: a file can name no Python object. On top of that a
document is refused when it is too large, too deep, repeats a key, or grows out of proportion by
aliases, so that a hostile or mistaken file costs milliseconds and gets a readable answer.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from engine.errors import ConfigError

__all__ = ["Document", "Location", "read_document"]

MAX_BYTES = 4_000_000
"""About 100,000 strategies' lines; no configuration written by people comes near it."""

MAX_DEPTH = 64
MAX_VALUES = 500_000
"""Values after aliases are expanded; a file of `MAX_BYTES` cannot hold as many without them."""

Location = tuple[str | int, ...]
"""Keys and list positions from the root of a document, e.g. ``("strategies", 2, "risk")``."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _ConfigLoader(_Loader):  # type: ignore[misc]  # its base is chosen at run time
    """The safe loader with the plain values of YAML 1.2.

    YAML 1.1 reads ``no`` as false, ``1:30`` as 90, ``010`` as 8 and ``1e5`` as text; here only the
    numbers everyone means are numbers, and times stay text.
    """


_ConfigLoader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag.rpartition(":")[2] in {"null", "merge"}]
    for first, rules in _Loader.yaml_implicit_resolvers.items()
}
for _kind, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F]+)", "-+0123456789"),
    (
        "float",
        (
            r"[-+]?(?:[0-9][0-9_]*\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
        ),
        "-+0123456789.",
    ),
):
    _ConfigLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), list(_first)
    )


class Document(msgspec.Struct, frozen=True):
    """The content of a configuration file.

    Attributes:
        path: The file, as the user named it.
        data: Plain mappings, lists, texts, numbers, booleans and None.
        root: The composed YAML node of the whole, None if places are not known.
    """

    path: Path
    data: Any
    root: Any

    def place(self, location: Location = ()) -> tuple[int, int]:
        """Return line and column, from 1, of the part of the file nearest to `location`.

        Keys match in camelCase and snake_case. A part that is not in the file (a missing field)
        has the place of the innermost part around it.
        """
        if self.root is None:
            return (1, 1)
        node, mark = self.root, self.root.start_mark
        for step in location:
            found = _child(node, step)
            if found is None:
                break
            key, node = found
            mark = key.start_mark
        return (mark.line + 1, mark.column + 1)

    def where(self, location: Location = ()) -> str:
        """Return ``file:line:column`` of a part, as editors and terminals link it."""
        line, column = self.place(location)
        return f"{self.path}:{line}:{column}"

    def has(self, location: Location) -> bool:
        """Return whether the file itself holds a value at `location`."""
        node = self.root
        for step in location:
            found = None if node is None else _child(node, step)
            if found is None:
                return False
            node = found[1]
        return node is not None


def read_document(path: Path) -> Document:
    """Read a YAML or JSON file, by its suffix; anything but ``.json`` is YAML.

    Raises:
        ConfigError: The file cannot be read, is no text, or does not parse; with its place.
    """
    text = _read_text(path)
    if not text.strip():
        raise ConfigError(f"{path}: the file is empty; it needs at least `strategies:`")
    if path.suffix.lower() == ".json":
        return _read_json(path, text)
    root = _compose(path, text)
    if root is None:
        raise ConfigError(f"{path}: the file holds only comments; it needs at least `strategies:`")
    constructor = yaml.constructor.SafeConstructor()
    try:
        data = constructor.construct_document(root)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ConfigError(_yaml_message(path, error)) from error
    return Document(path, data, root)


def _read_text(path: Path) -> str:
    try:
        if path.is_dir():
            raise ConfigError(f"{path}: is a folder; name a YAML or JSON file")
        with path.open("rb") as file:
            # Not by its size: a pipe or a device has none, and may never end.
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(_missing_message(path)) from None
    except PermissionError:
        raise ConfigError(f"{path}: no permission to read it; check `ls -l {path}`") from None
    except OSError as error:
        name = f"{path!s:.60}…" if error.errno == errno.ENAMETOOLONG else path
        raise ConfigError(f"{name}: cannot be read: {error.strerror or error}") from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(
            f"{path}: more than the {MAX_BYTES:,} bytes a configuration may have; "
            "split it into several runs"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: not a text file (byte {error.start} is no UTF-8); name a YAML or JSON file"
        ) from None
    if "\x00" in text:
        raise ConfigError(f"{path}: not a text file (holds NUL bytes); name a YAML or JSON file")
    return text


def _missing_message(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"{path}: no such file; the folder {folder} does not exist either"
    beside = sorted(p.name for p in folder.iterdir() if p.suffix in {".yaml", ".yml", ".json"})
    if not beside:
        return f"{path}: no such file; looked in {folder.resolve()}"
    return f"{path}: no such file; in {folder} there is {', '.join(beside[:8])}"


def _compose(path: Path, text: str) -> yaml.Node | None:
    """Parse to nodes, each with its place, after the cheap checks on the event stream."""
    try:
        _check_shape(path, text)
        root: yaml.Node | None = yaml.compose(text, Loader=_ConfigLoader)
    except yaml.YAMLError as error:
        raise ConfigError(_yaml_message(path, error)) from error
    if root is not None:
        _check_growth(path, root)
        for node in _mappings(root, set()):
            _refuse_repeated_keys(path, node)
    return root


def _check_shape(path: Path, text: str) -> None:
    """Refuse too deep a nesting before anything recursive sees the document."""
    depth = 0
    for event in yaml.parse(text, Loader=_ConfigLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = 0 if event.start_mark is None else event.start_mark.line + 1
                raise ConfigError(
                    f"{path}:{line}:1: nested deeper than {MAX_DEPTH} levels; "
                    "no configuration needs that"
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check_growth(path: Path, root: yaml.Node) -> None:
    """Refuse aliases that contain themselves, or that multiply to a huge document."""
    known: dict[int, tuple[int, int]] = {}
    open_nodes: set[int] = set()

    def measure(node: yaml.Node) -> tuple[int, int]:
        """Return the number of values and the depth of a part, aliases expanded."""
        if id(node) in known:
            return known[id(node)]
        if id(node) in open_nodes:
            mark = node.start_mark
            raise ConfigError(
                f"{path}:{mark.line + 1}:{mark.column + 1}: an alias contains itself; "
                "write the value out instead"
            )
        open_nodes.add(id(node))
        parts = [measure(child) for child in _children(node)]
        open_nodes.discard(id(node))
        found = (1 + sum(n for n, _ in parts), 1 + max((d for _, d in parts), default=0))
        known[id(node)] = found
        return found

    values, depth = measure(root)
    if values > MAX_VALUES or depth > MAX_DEPTH + 1:
        raise ConfigError(
            f"{path}: aliases expand to {values:,} values, {depth} deep, more than "
            f"{MAX_VALUES:,} and {MAX_DEPTH}; write out what is really needed"
        )


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _mappings(node: yaml.Node, seen: set[int]) -> Iterator[yaml.MappingNode]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        yield node
    for child in _children(node):
        yield from _mappings(child, seen)


def _refuse_repeated_keys(path: Path, node: yaml.MappingNode) -> None:
    first: dict[str, int] = {}
    for key, _ in node.value:
        line, column = key.start_mark.line + 1, key.start_mark.column + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{path}:{line}:{column}: a key must be plain text")
        if key.value in first:
            raise ConfigError(
                f"{path}:{line}:{column}: {key.value!r} stands twice in the same mapping "
                f"(first in line {first[key.value]}); keep one"
            )
        first[key.value] = line


def _read_json(path: Path, text: str) -> Document:
    try:
        # JSON is YAML but for tabs between its parts, which count as one column either way.
        root = _compose(path, text.replace("\t", " "))
    except ConfigError as error:
        if not isinstance(error.__cause__, yaml.YAMLError):
            raise
        root = None
    try:
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{path}:{error.lineno}:{error.colno}: not valid JSON: {error.msg}"
        ) from None
    except ValueError as error:
        raise ConfigError(f"{path}: not usable JSON: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested deeper than {MAX_DEPTH} levels") from None
    return Document(path, data, root)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in the same object; keep one")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number; write a finite number or null")


_UNCLOSED_FLOW = "',' or '}'"
"""Said of `{condition: close > highest(high, 20)[1]}`: between braces, brackets are YAML's own."""


def _yaml_message(path: Path, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
    if mark is None:
        return f"{path}: not valid YAML: {problem}"
    if "cannot start any token" in problem:
        problem += "; indent with spaces, not tabs, and quote text that starts with @ or `"
    if _UNCLOSED_FLOW in problem:
        problem += "; put a condition in quotes"
    context = getattr(error, "context", None)
    detail = f"{problem} ({context})" if context else problem
    return f"{path}:{mark.line + 1}:{mark.column + 1}: not valid YAML: {detail}"


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """Return the node that names a step (the key, or the item) and the value it leads to."""
    if isinstance(node, yaml.SequenceNode):
        if isinstance(step, int) and 0 <= step < len(node.value):
            return (node.value[step], node.value[step])
        return None
    if not isinstance(node, yaml.MappingNode):
        return None
    wanted = str(step)
    for same in (lambda key: key == wanted, lambda key: _folded(key) == _folded(wanted)):
        for key, value in reversed(node.value):
            if isinstance(key, yaml.ScalarNode) and same(key.value):
                return (key, value)
    return None


def _folded(name: str) -> str:
    return name.replace("_", "").lower()
