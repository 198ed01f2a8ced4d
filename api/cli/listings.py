"""`chorus strategies`, `chorus indicators`, `chorus version`: what there is."""

from __future__ import annotations

import platform
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.cli.columns import report_console
from api.settings import read_settings

if TYPE_CHECKING:
    from engine.catalog import Catalog, LoadedType
    from indicators import IndicatorInfo

__all__ = ["indicators", "strategies", "version"]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]


def strategies(
    name: Annotated[
        str | None, typer.Argument(metavar="TYPE", help="Show one type with its parameters.")
    ] = None,
    *,
    json: JsonOption = False,
) -> None:
    """List the strategy types: built-in ones, `strategies/custom/` and plugin folders."""
    from api.cli.preflight import open_catalog  # noqa: PLC0415 - `version` starts without it

    catalog = open_catalog(None, read_settings().plugin_folders)
    chosen = catalog.types if name is None else {name: catalog.get(name)}
    if json:
        print_json(
            {
                "strategies": [_type_as_data(loaded) for loaded in chosen.values()],
                "broken": [msgspec.to_builtins(b, enc_hook=str) for b in catalog.broken],
            }
        )
        return
    console = report_console()
    if name is None:
        console.print(_type_table(catalog))
    else:
        _print_type(console, chosen[name])
    if catalog.broken:
        console.print(Text(f"{len(catalog.broken)} broken:", style="bold red"))
        for broken in catalog.broken:
            console.print(Text(f"  {broken}"), soft_wrap=True)


def indicators(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Show one indicator with its parameters.")
    ] = None,
    *,
    json: JsonOption = False,
) -> None:
    """List the indicators rules and strategies can use."""
    from indicators import catalog as indicator_catalog  # noqa: PLC0415 - TA-Lib takes a moment

    known = indicator_catalog()
    chosen = list(known.values()) if name is None else [known.find(name)]
    if json:
        print_json({"indicators": [_indicator_as_data(info) for info in chosen]})
        return
    console = report_console()
    if name is None:
        console.print(_indicator_table(chosen))
        console.print(f"{len(chosen)} indicators; `chorus indicators NAME` shows one in full")
    else:
        _print_indicator(console, chosen[0])


def version(*, json: JsonOption = False) -> None:
    """Print the version of Chorus and of what it stands on."""
    parts = {
        "chorus": installed_version("chorus"),
        "python": platform.python_version(),
        **{name: installed_version(name) for name in ("ray", "pyzmq", "TA-Lib", "polars")},
    }
    if json:
        print_json(parts)
        return
    rest = ", ".join(f"{name} {number}" for name, number in list(parts.items())[1:])
    typer.echo(f"chorus {parts['chorus']} ({rest})")


def print_json(data: Any) -> None:
    """Print data as indented JSON."""
    encoded = msgspec.json.encode(data, enc_hook=str)
    typer.echo(msgspec.json.format(encoded, indent=2).decode())


def _type_as_data(loaded: LoadedType) -> dict[str, Any]:
    return {
        **msgspec.structs.asdict(loaded.metadata),
        "file": str(loaded.file),
        "code_hash": loaded.code_hash,
        "parameters": loaded.cls.get_parameters_schema(),
    }


def _type_table(catalog: Catalog) -> Table:
    table = Table(title="strategy types", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("type", no_wrap=True, style="bold")
    table.add_column("what it does")
    table.add_column("parameters")
    table.add_column("file", no_wrap=True, style="dim")
    for name, loaded in catalog.types.items():
        properties = loaded.cls.get_parameters_schema().get("properties", {})
        table.add_row(
            name,
            Text(loaded.metadata.description or loaded.metadata.name),
            Text(", ".join(properties) or "any"),
            Text(loaded.file.name),
        )
    return table


def _print_type(console: Console, loaded: LoadedType) -> None:
    facts = loaded.metadata
    console.print(Text(f"{facts.type}  {facts.name} {facts.version}", style="bold"))
    console.print(Text(facts.description))
    console.print(Text(f"file {loaded.file}", style="dim"), soft_wrap=True)
    schema = loaded.cls.get_parameters_schema()
    console.print(_schema_table(schema, required=schema.get("required", [])))


def _schema_table(schema: dict[str, Any], *, required: list[str]) -> Table:
    table = Table(title="parameters", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("name", "type", "default", "allowed", "live", "meaning"):
        table.add_column(heading)
    for name, rules in schema.get("properties", {}).items():
        table.add_row(
            Text(name, style="bold"),
            Text(str(rules.get("type", "any"))),
            Text("required" if name in required else str(rules.get("default", ""))),
            Text(_allowed(rules)),
            Text("yes" if rules.get("x-updatable") else ""),
            Text(str(rules.get("description", rules.get("title", "")))),
        )
    return table


def _allowed(rules: dict[str, Any]) -> str:
    """Return the range or the choices of a parameter in short.

    >>> _allowed({"minimum": 2, "maximum": 10}), _allowed({"exclusiveMinimum": 0})
    ('>= 2, <= 10', '> 0')
    """
    if "enum" in rules:
        return ", ".join(str(choice) for choice in rules["enum"])
    signs = (
        ("minimum", ">="),
        ("exclusiveMinimum", ">"),
        ("maximum", "<="),
        ("exclusiveMaximum", "<"),
    )
    return ", ".join(f"{sign} {rules[key]}" for key, sign in signs if key in rules)


def _indicator_as_data(info: IndicatorInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "title": info.title,
        "group": info.group,
        "description": info.description,
        "origin": info.origin,
        "inputs": [item.name for item in info.inputs],
        "outputs": list(info.outputs),
        "aliases": list(info.aliases),
        "parameters": info.schema,
    }


def _indicator_table(infos: list[IndicatorInfo]) -> Table:
    table = Table(title="indicators", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", no_wrap=True, style="bold")
    table.add_column("title")
    table.add_column("parameters (default)")
    table.add_column("outputs")
    for info in infos:
        properties = info.schema.get("properties", {})
        defaults = ", ".join(f"{k} ({v.get('default', '')})" for k, v in properties.items())
        table.add_row(info.name, Text(info.title), Text(defaults), Text(", ".join(info.outputs)))
    return table


def _print_indicator(console: Console, info: IndicatorInfo) -> None:
    console.print(Text(f"{info.name}  {info.title}", style="bold"))
    if info.description:
        console.print(Text(info.description))
    for label, values in (
        ("group", [info.group]),
        ("reads", [f"{item.name} ({item.default})" for item in info.inputs]),
        ("outputs", info.outputs),
        ("also known as", info.aliases),
    ):
        if values:
            console.print(Text(f"{label}: {', '.join(values)}"))
    console.print(_schema_table(info.schema, required=[]))
