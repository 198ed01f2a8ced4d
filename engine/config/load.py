"""Read a run from a YAML or JSON file, or say precisely what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from engine.config.document import Document, Location, read_document
from engine.config.problems import InvalidConfigError, Problem, explain, subject_of
from engine.config.run import RunConfig

__all__ = ["LoadedRun", "load_run", "load_run_with_places"]


class LoadedRun(msgspec.Struct, frozen=True):
    """A checked run together with the file it came from, so that later findings have places.

    Attributes:
        config: The run; relative paths in it are already those of the file's folder.
        document: The file.
        base: Where the root of the file stands in the run, see `problem`.
    """

    config: RunConfig
    document: Document
    base: Location

    def problem(self, location: Location, message: str) -> Problem:
        """Return a problem at a location of the run, e.g. ``("strategies", 0, "rules")``."""
        inside = location[len(self.base) :] if location[: len(self.base)] == self.base else ()
        line, column = self.document.place(inside)
        return Problem(str(self.document.path), line, column, subject_of(inside), message)


def load_run(path: Path) -> RunConfig:
    """Read and check a run.

    The file holds a run, one strategy as it stands, or a list of strategies. Relative paths in it
    (`market.replay`, `plugin_folders`) are relative to the file's folder.

    Raises:
        ConfigError: The file cannot be read or does not parse.
        InvalidConfigError: It parses, but the content is not a run; all problems are named.
    """
    return load_run_with_places(path).config


def load_run_with_places(path: Path) -> LoadedRun:
    """Read and check a run as `load_run` does, keeping the places.

    Raises:
        ConfigError: The file cannot be read or does not parse.
        InvalidConfigError: It parses, but the content is not a run; all problems are named.
    """
    document = read_document(path)
    data, base = _as_run(document)
    problems = _cross_problems(document, data, base)
    try:
        config = RunConfig.model_validate(data)
    except ValidationError as error:
        details = [e for e in error.errors(include_url=False) if e["loc"] or not problems]
        problems += explain(details, document, RunConfig, base)
        problems.sort(key=lambda p: (p.line, p.column))
        raise InvalidConfigError(problems) from None
    return LoadedRun(_with_paths_from(path.parent, config), document, base)


def _as_run(document: Document) -> tuple[dict[str, Any], Location]:
    """Wrap a file that holds one strategy, or a list of them, into a run."""
    data, name = document.data, document.path.stem
    if isinstance(data, list):
        if not data:
            raise InvalidConfigError(
                [_at_root(document, "the list of strategies is empty; add one")]
            )
        return {"name": name, "strategies": data}, ("strategies",)
    if not isinstance(data, dict):
        kind = "nothing" if data is None else f"just {data!r:.40}"
        raise InvalidConfigError(
            [_at_root(document, f"must be a mapping of fields (found {kind}); see configs/")]
        )
    if "strategies" not in data and ("id" in data or _is_strategy(data)):
        return {"name": str(data.get("id", name)), "strategies": [data]}, ("strategies", 0)
    return data if "name" in data else {"name": name, **data}, ()


def _is_strategy(data: dict[str, Any]) -> bool:
    """Return whether all fields are a strategy's and one can be nothing else: only `id` is left."""
    of_run = {*RunConfig.model_fields, *(f.alias for f in RunConfig.model_fields.values())}
    return not (of_run - {"name"}).intersection(data) and any(
        data.get(key) for key in ("type", "symbol", "timeframe", "rules")
    )


def _at_root(document: Document, message: str) -> Problem:
    line, column = document.place()
    return Problem(str(document.path), line, column, "", message)


def _cross_problems(document: Document, data: dict[str, Any], base: Location) -> list[Problem]:
    """Find what the models can only say of the run as a whole, at the place it stands."""
    problems: list[Problem] = []

    def add(location: Location, message: str) -> None:
        inside = location[len(base) :]
        line, column = document.place(inside)
        problems.append(Problem(str(document.path), line, column, subject_of(inside), message))

    for many in ("strategies", "accounts"):
        first: dict[str, int] = {}
        for n, item in enumerate(_mappings(data.get(many))):
            name = item.get("id")
            if isinstance(name, str) and name in first:
                earlier, _ = document.place((many, first[name], "id")[len(base) :])
                add((many, n, "id"), f"{name!r} is already used in line {earlier}; ids are unique")
            elif isinstance(name, str):
                first[name] = n
    defined = [str(item.get("id")) for item in _mappings(data.get("accounts"))]
    if "accounts" not in data:
        defined = [account.id for account in RunConfig.model_fields["accounts"].default]
    for n, item in enumerate(_mappings(data.get("strategies"))):
        account = item.get("account")
        if defined and isinstance(account, str) and account and account not in defined:
            add(
                ("strategies", n, "account"),
                f"account {account!r} is not defined (defined: {', '.join(defined)})",
            )
    return problems


def _mappings(value: Any) -> list[dict[str, Any]]:
    """Return the items, keeping positions; what is no mapping is reported elsewhere."""
    items = value if isinstance(value, list) else []
    return [item if isinstance(item, dict) else {} for item in items]


def _with_paths_from(folder: Path, config: RunConfig) -> RunConfig:
    replay = tuple(_replay_from(folder, name) for name in config.market.replay)
    market = config.market.model_copy(update={"replay": replay})
    folders = tuple(str(folder / name) for name in config.plugin_folders)
    return config.model_copy(update={"market": market, "plugin_folders": folders})


def _replay_from(folder: Path, name: str) -> str:
    """Make the path of ``PATH`` or ``SYMBOL:TIMEFRAME=PATH`` relative to a folder."""
    symbol, equals, path = name.partition("=")
    if not equals or (folder / name).exists():
        return str(folder / name)
    return f"{symbol}={folder / path.strip()}"
