"""Finds strategy types in plugin files: one file, one type, no registration anywhere.

A file is loaded by its path under a module name made of its path and its content. So two files of
the same name in different folders do not clash, the same file is loaded once however often it is
discovered, an edited one is loaded anew, and every process that loads it gets the same class.
"""

from __future__ import annotations

import contextlib
import difflib
import dis
import hashlib
import importlib.abc
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec
from jsonschema import Draft7Validator, SchemaError

from engine.catalog.canonical import canonical
from engine.catalog.plugin import StrategyMetadata, StrategyPlugin
from engine.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from engine.config import RunConfig  # actors load types without it, and are smaller so

__all__ = [
    "BrokenPlugin",
    "Catalog",
    "LoadedType",
    "collect",
    "default_folders",
    "discover",
    "load_file",
    "plugin_files",
]

_LONGEST_NAME = 64
_MARKER = "chorus_strategy"
_NOT_PLUGINS = ("base.py",)


class LoadedType(msgspec.Struct, frozen=True):
    """A strategy type ready to be built.

    Attributes:
        cls: The plugin class.
        file: Where it was loaded from; another process loads the same class with `load_file`.
        code_hash: SHA-256 of the source, lower-case hex.
        metadata: Its description.
    """

    cls: type[StrategyPlugin]
    file: Path
    code_hash: str
    metadata: StrategyMetadata


class BrokenPlugin(msgspec.Struct, frozen=True):
    """A plugin file that cannot be used. `line` is 0 where no line is known."""

    file: Path
    error: str
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else str(self.file)
        return f"{place}: {self.error}"


class Catalog(msgspec.Struct, frozen=True):
    """All strategy types found, by type name in alphabetical order, and what was broken."""

    types: dict[str, LoadedType]
    broken: list[BrokenPlugin]

    def get(self, type_name: str) -> LoadedType:
        """Return a strategy type.

        Raises:
            ConfigError: There is none of that name; the message suggests the nearest one.
        """
        found = self.types.get(type_name)
        if found is not None:
            return found
        near = difflib.get_close_matches(type_name.upper(), self.types, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        broken = f"; files that failed to load: {len(self.broken)}" if self.broken else ""
        raise ConfigError(
            f"strategy type {type_name!r} is not known{hint}; "
            f"there are {', '.join(self.types) or 'none'}{broken}"
        )

    def used_by(self, config: RunConfig) -> dict[str, LoadedType]:
        """Return the strategy types of a run, by name.

        Raises:
            ConfigError: One is not known.
        """
        return {strategy.type: self.get(strategy.type) for strategy in config.strategies}


def default_folders(extra: Sequence[str | Path] = ()) -> list[Path]:
    """Return the folders searched by default: built-in types, `strategies/custom`, then `extra`.

    The package `strategies` is located, not imported: the engine stays below it.
    """
    spec = importlib.util.find_spec("strategies")
    locations = spec.submodule_search_locations if spec is not None else None
    folders = [Path(place) for place in locations or ()]
    folders += [folder / "custom" for folder in folders]
    return [*folders, *(Path(folder) for folder in extra)]


def discover(folders: Iterable[str | Path]) -> Catalog:
    """Load every plugin file of some folders; a broken one never keeps the others from loading.

    Files starting with ``_`` and ``base.py`` are not plugins. A type name found twice is reported
    and the first one kept. Reads files, runs their module code.

    Raises:
        ConfigError: A folder does not exist.
    """
    return collect(plugin_files(folders))


def collect(files: Iterable[Path]) -> Catalog:
    """Load plugin files; as `discover`, of files that were found by `plugin_files`."""
    types: dict[str, LoadedType] = {}
    broken: list[BrokenPlugin] = []
    for file in files:
        try:
            loaded = load_file(file)
        except PluginError as error:
            broken.append(_describe(file, error))
            continue
        known = types.get(loaded.metadata.type)
        if known is not None:
            broken.append(
                BrokenPlugin(
                    file,
                    f"type {loaded.metadata.type!r} is already defined by {known.file}; "
                    "give one of them another metadata.type",
                )
            )
            continue
        types[loaded.metadata.type] = loaded
    return Catalog(dict(sorted(types.items())), broken)


def plugin_files(folders: Iterable[str | Path]) -> Iterator[Path]:
    """Yield the plugin files of some folders, in order, none twice.

    Raises:
        ConfigError: A folder does not exist.
    """
    seen: dict[Path, None] = {}
    for folder in folders:
        place = Path(folder).resolve()
        if not place.is_dir():
            if place.name == "custom":
                continue
            raise ConfigError(f"plugin folder {str(folder)!r} does not exist")
        for file in sorted(place.glob("*.py")):
            if not file.name.startswith("_") and file.name not in _NOT_PLUGINS:
                seen.setdefault(file)
    yield from seen


def load_file(file: str | Path) -> LoadedType:
    """Load the one strategy type of a file.

    The same path and content give the same class object within a process.

    Raises:
        PluginError: The file cannot be read or run, or holds no valid strategy type. The cause is
            chained where the file's own code raised.
    """
    path = Path(file).resolve()
    try:
        source = path.read_bytes()
    except OSError as error:
        raise PluginError(f"plugin {path}: cannot be read: {error}") from error
    code_hash = hashlib.sha256(source).hexdigest()
    identity = hashlib.sha256(f"{path}\n{code_hash}".encode()).hexdigest()[:16]
    name = f"chorus_plugin_{identity}_{path.stem}"
    module = sys.modules.get(name) or _run(name, path, source)
    cls = _strategy_class(module, path)
    return LoadedType(cls, path, code_hash, cls.metadata)


class _SourceLoader(importlib.abc.SourceLoader):
    """Runs exactly the bytes that were hashed; leaves no bytecode files behind."""

    def __init__(self, path: Path, source: bytes) -> None:
        self._path = str(path)
        self._source = source

    def get_filename(self, fullname: str) -> str:
        del fullname
        return self._path

    def get_data(self, path: bytes | str) -> bytes:
        if str(path) != self._path:
            raise OSError(f"{path!r} is not {self._path!r}")
        return self._source


def _run(name: str, path: Path, source: bytes) -> ModuleType:
    spec = importlib.util.spec_from_loader(name, _SourceLoader(path, source), origin=str(path))
    if spec is None or spec.loader is None:
        raise PluginError(f"plugin {path}: Python cannot load such a file")
    module = importlib.util.module_from_spec(spec)
    with contextlib.ExitStack() as undo:
        undo.callback(sys.modules.pop, name, None)
        sys.modules[name] = module
        with _foreign_code(path):
            spec.loader.exec_module(module)
        undo.pop_all()
    return module


@contextlib.contextmanager
def _foreign_code(path: Path, what: str = "") -> Iterator[None]:
    """Run a file's own code: it may raise anything, and what it prints is no result of ours.

    Raises:
        PluginError: It raised, whatever it was; chained. Only Ctrl-C goes through.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except BaseException as error:  # a plugin may raise SystemExit or a class of its own
        if isinstance(error, KeyboardInterrupt) and not _is_raised_in(path, error):
            raise
        fault = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise PluginError(f"plugin {path}: {what}{fault}") from error


def _is_raised_in(path: Path, error: BaseException) -> bool:
    """Return whether a `raise` in the file raised this; Ctrl-C comes out of any other code."""
    innermost = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    if innermost is None:
        return False
    code = innermost.tb_frame.f_code
    is_raise = code.co_code[innermost.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    return is_raise and code.co_filename == str(path)


def _strategy_class(module: ModuleType, path: Path) -> type[StrategyPlugin]:
    own = [
        cls
        for cls in vars(module).values()
        if inspect.isclass(cls)
        and cls.__module__ == module.__name__
        and getattr(cls, _MARKER, False)
        and not cls.__name__.startswith("_")
    ]
    if len(own) != 1:
        names = ", ".join(cls.__name__ for cls in own) or "none"
        raise PluginError(
            f"plugin {path}: needs exactly one subclass of strategies.Strategy, has {names} "
            "(a helper class in between starts with an underscore)"
        )
    cls: Any = own[0]
    metadata = getattr(cls, "metadata", None)
    if not isinstance(metadata, StrategyMetadata) or not metadata.type:
        raise PluginError(
            f"plugin {path}: class {cls.__name__} needs "
            '`metadata = StrategyMetadata(type="SOME_NAME", ...)`'
        )
    missing = sorted(cls.__abstractmethods__) if inspect.isabstract(cls) else []
    if missing:
        raise PluginError(f"plugin {path}: class {cls.__name__} needs a method `{missing[0]}`")
    _check_metadata(metadata, path)
    _check_schema(cls, path)
    return cls  # type: ignore[no-any-return]  # checked by shape just above


def _check_metadata(metadata: StrategyMetadata, path: Path) -> None:
    for name in ("type", "version"):
        text = getattr(metadata, name)
        if len(text) > _LONGEST_NAME:
            raise PluginError(
                f"plugin {path}: metadata.{name} has at most {_LONGEST_NAME} characters, "
                f"got {len(text)}"
            )
    try:
        canonical(msgspec.to_builtins(metadata), name="metadata")
    except ConfigError as error:
        raise PluginError(f"plugin {path}: {error}") from error


def _check_schema(cls: type[StrategyPlugin], path: Path) -> None:
    try:
        with _foreign_code(path, "get_parameters_schema: "):
            schema = cls.get_parameters_schema()
        Draft7Validator.check_schema(schema)
        canonical(schema, name="get_parameters_schema")
    except ConfigError as error:
        raise PluginError(f"plugin {path}: {error}") from error
    except SchemaError as error:
        raise PluginError(
            f"plugin {path}: get_parameters_schema is not a JSON Schema (Draft 7): "
            f"{error.json_path}: {error.message}"
        ) from error


def _describe(file: Path, error: PluginError) -> BrokenPlugin:
    """Name the line of the plugin file that raised, not one inside a library it called."""
    text = str(error).removeprefix(f"plugin {file}: ")
    cause = error.__cause__
    if isinstance(cause, SyntaxError) and cause.filename == str(file):
        return BrokenPlugin(file, text, cause.lineno or 0)
    lines = [
        frame.lineno or 0
        for frame in traceback.extract_tb(cause.__traceback__ if cause else None)
        if frame.filename == str(file)
    ]
    return BrokenPlugin(file, text, lines[-1] if lines else 0)
