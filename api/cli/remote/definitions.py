"""`chorus definitions` and `chorus sync`: what strategies are made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from api.cli.remote.address import path_of
from api.cli.remote.command import Remote, asking
from api.cli.remote.naming import definition_id
from api.cli.remote.output import Field, moment_of
from api.cli.remote.strategies import LimitOption
from engine.documents import read_document
from engine.errors import ConfigError

__all__ = [
    "disable_definition",
    "enable_definition",
    "export_definition",
    "import_definition",
    "list_definitions",
    "show_definition",
    "sync",
]

Item = dict[str, Any]

DefinitionArgument = Annotated[
    str, typer.Argument(metavar="KEY", help="Of a definition; or its id.")
]

_DEFINITIONS = (
    Field("key", lambda item: item["key"]),
    Field("name", lambda item: item["name"], rank=1),
    Field("type", lambda item: item["strategyType"]),
    Field("version", lambda item: str(item["newest"]), right=True),
    Field("state", lambda item: "enabled" if item["isEnabled"] else "disabled"),
    Field("visibility", lambda item: item["visibility"], rank=2),
    Field("updated", lambda item: moment_of(item["updated"]), rank=3),
    Field("id", lambda item: item["id"], rank=4),
)


def _path(*parts: str) -> str:
    return path_of("admin", "strategy", "definitions", *parts)


@asking
def list_definitions(
    remote: Remote,
    *,
    strategy_type: Annotated[
        str | None, typer.Option("--type", help="Only those of this strategy type.")
    ] = None,
    limit: LimitOption = 0,
) -> None:
    """List the definitions you see.

    Example: chorus definitions --type RULES
    """
    found = remote.api.items(_path(), limit, strategyType=strategy_type)
    remote.printer.items("definitions", _DEFINITIONS, found.items, found.next)


@asking
def show_definition(remote: Remote, definition: DefinitionArgument) -> None:
    """Show what a definition says now: its parameters' schema and its defaults.

    Example: chorus definitions show ema_cross
    """
    known = remote.api.get(_path(definition_id(remote.api, definition)))
    newest = remote.api.get(_path(known["id"], "versions", str(known["newest"])))
    remote.printer.facts({**known, "schema": newest["schema"], "defaults": newest["defaults"]})


@asking
def enable_definition(remote: Remote, definition: DefinitionArgument) -> None:
    """Let new strategies be made from a definition.

    Example: chorus definitions enable dip_buyer
    """
    _turn(remote, definition, "enable")


@asking
def disable_definition(remote: Remote, definition: DefinitionArgument) -> None:
    """Let no more strategies be made from a definition; those that run go on.

    Example: chorus definitions disable dip_buyer
    """
    _turn(remote, definition, "disable")


def _turn(remote: Remote, definition: str, what: str) -> None:
    found = remote.api.post(_path(definition_id(remote.api, definition), what))
    remote.printer.item(found, [f"{found['key']}: {what}d"])


@asking
def export_definition(
    remote: Remote,
    definition: DefinitionArgument,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Written anew; none: standard output.")
    ] = None,
) -> None:
    """Write what a definition says now as a signed document, for another installation.

    Example: chorus definitions export dip_buyer dip_buyer.chorus.json
    """
    document = remote.api.get(_path(definition_id(remote.api, definition), "export"))
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if file is None:
        typer.echo(text)
        return
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(f"{text}\n")
    except FileExistsError:
        raise ConfigError(f"{file}: is there already; take it away, or name another") from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror or error}") from error
    remote.printer.item(document, [f"{document['content']['key']}: written to {file}"])


@asking
def import_definition(
    remote: Remote,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As `export` has written it.")],
    *,
    mode: Annotated[
        Literal["create", "new_version"],
        typer.Option("--mode", help="What to do if your own one of that key says something else."),
    ] = "create",
    key: Annotated[
        str | None, typer.Option("--key", help="Call it so instead of as the document does.")
    ] = None,
) -> None:
    """Make a definition of a signed document; doing it again changes nothing.

    Example: chorus definitions import dip_buyer.chorus.json --key dip_buyer_2
    """
    try:
        document = read_document(file.read_bytes(), str(file))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error
    found = remote.api.post(_path("import"), document, mode=mode, key=key)
    outcome = {"created": "created", "new_version": "has a new version"}.get(
        found["outcome"], found["outcome"]
    )
    remote.printer.item(found, [f"{found['definition']['key']}: {outcome}"])


@asking
def sync(remote: Remote) -> None:
    """Look at the strategy files anew; strategies that run keep the code they started with.

    Example: chorus sync
    """
    found = remote.api.post(path_of("strategies", "files", "sync"))
    lines = [f"{what} {name}" for what in ("added", "changed", "removed") for name in found[what]]
    lines += [f"invalid {name}: {error}" for name, error in found["invalid"].items()]
    remote.printer.item(found, [*lines, f"{found['unchanged']} unchanged"])
