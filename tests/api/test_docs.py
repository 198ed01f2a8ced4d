"""The documentation says what is so: fields and defaults, commands and options, links."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer.main
from pydantic import BaseModel
from typer.testing import Result

from api.cli import app
from api.cli.boundary import spread_replay
from api.cli.remote.registration import REMOTE_COMMANDS
from api.settings import Settings
from engine import config
from engine.catalog import default_folders, discover

Chorus = Callable[..., Result]

ROOT = Path(__file__).parents[2]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

SECTIONS: dict[str, type[BaseModel]] = {
    "Run": config.RunConfig,
    "Market": config.MarketConfig,
    "Synthetic market": config.SyntheticConfig,
    "Symbols of the synthetic market": config.SyntheticSymbol,
    "Execution": config.ExecutionConfig,
    "Arbitration": config.ArbitrationConfig,
    "Placement": config.PlacementConfig,
    "Instruments": config.InstrumentConfig,
    "Accounts": config.AccountConfig,
    "Strategies": config.StrategyConfig,
    "Rules": config.RulesConfig,
    "One rule": config.RuleConfig,
    "Risk": config.RiskConfig,
    "Sizing": config.SizingConfig,
}
"""Heading in docs/configuration.md and the model its table describes."""

_BOUNDS = (
    ("exclusiveMinimum", ">"),
    ("minimum", ">="),
    ("exclusiveMaximum", "<"),
    ("maximum", "<="),
)


def allowed(rule: dict[str, Any]) -> str:
    """Say in short what a JSON Schema property allows."""
    options = [part for part in rule.get("anyOf", []) if part.get("type") != "null"]
    numbers = [part for part in options if part.get("type") == "number"]
    if numbers and all("const" not in part for part in options):
        options = numbers  # a Decimal may also be written as text
    if options:
        return ", or ".join(allowed(part) for part in options)
    if "enum" in rule or "const" in rule:
        return ", ".join(f"`{value}`" for value in rule.get("enum", [rule.get("const")]))
    if rule.get("type") == "boolean":
        return "`true`, `false`"
    if rule.get("type") in {"number", "integer"}:
        bounds = [f"{sign} {rule[key]:,.10g}" for key, sign in _BOUNDS if key in rule]
        kind = "whole number" if rule["type"] == "integer" else "number"
        return " ".join([kind, " and ".join(bounds)]).strip()
    names = {"string": "text", "array": "list", "object": "mapping"}
    return names.get(rule.get("type", ""), "mapping")


def default(value: Any, *, required: bool) -> str:
    if required:
        return "required"
    if value is None or (value in ("", (), {}) and not isinstance(value, bool)):
        return "none"
    if isinstance(value, BaseModel | tuple):
        return "see below"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f"`{value}`"
    return f"`{value:.8f}`".rstrip("0").rstrip("`").rstrip("0").rstrip(".") + "`"


def expected_rows(model: type[BaseModel]) -> list[tuple[str, str, str]]:
    properties = model.model_json_schema(by_alias=False)["properties"]
    return [
        (
            f"`{name}`",
            default(field.get_default(call_default_factory=True), required=field.is_required()),
            allowed(properties[name]),
        )
        for name, field in model.model_fields.items()
    ]


def documented_rows(heading: str) -> list[tuple[str, str, str]]:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", text, flags=re.MULTILINE)
    body = next(part for part in section if part.startswith(f"{heading}\n"))
    rows = [line for line in body.split("\n") if line.startswith("| `")]
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
    assert all(len(row) == 4 and row[3] for row in cells), heading
    return [(row[0], row[1], row[2]) for row in cells]


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_field_is_documented_with_its_default_and_range(heading: str) -> None:
    assert documented_rows(heading) == expected_rows(SECTIONS[heading])


def test_every_model_of_the_configuration_has_a_section() -> None:
    models = {
        value
        for value in (getattr(config, name) for name in config.__all__)
        if isinstance(value, type) and issubclass(value, BaseModel)
    }
    assert models == set(SECTIONS.values())


def snippets(language: str) -> Iterator[tuple[Path, str]]:
    for path in DOCS:
        if path.name == "write-a-strategy.md":
            continue  # its steps build on each other; tests/strategies runs them
        text = path.read_text(encoding="utf-8")
        for block in re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            yield path, block


def commands() -> list[tuple[Path, str]]:
    return [
        (path, line.partition(" #")[0].strip())
        for path, block in snippets("sh")
        for line in block.split("\n")
        if line.startswith("chorus ")
    ]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder like a clone's, with small candles where the documents name a file."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / "data").mkdir()
    for name, minutes in (("BTC-USDT-PERP_1m", 1), ("ETH-BTC_5m", 5)):
        rows = 1200
        price = [100.0 + (n * n % 37) / 7 for n in range(rows)]
        pl.DataFrame(
            {
                "open_time": [1_704_067_200_000 + n * minutes * 60_000 for n in range(rows)],
                "open": price,
                "high": [p + 1 for p in price],
                "low": [p - 1 for p in price],
                "close": [p + 0.5 for p in price],
                "volume": [10.0] * rows,
            }
        ).write_parquet(tmp_path / "data" / f"{name}.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def expanded(args: list[str]) -> list[str]:
    found = []
    for arg in args:
        found += sorted(str(p) for p in Path().glob(arg)) if "*" in arg else [arg]
    return found


@pytest.mark.parametrize("number", range(len(commands())))
def test_every_command_in_the_documents_works(chorus: Chorus, workplace: Path, number: int) -> None:
    path, line = commands()[number]
    args = expanded(shlex.split(line)[1:])
    if args[0] in REMOTE_COMMANDS:
        return  # tests/api/cli_remote has a service that answers them
    if args[0] in {"bench", "run", "up"}:
        # Starting actors takes seconds; the options are parsed and the input is checked.
        group = typer.main.get_command(app)
        group.commands[args[0]].make_context(args[0], args[1:])  # type: ignore[attr-defined]
        if args[0] == "bench":
            return  # its input is files an earlier session would have written
        args = ["validate", args[1], *replay_of(args)]
        if "configs/demo.yaml" in args and "--replay" in args:
            return  # of the demo's symbols, the small data serve but two
    result = chorus(*args)
    assert result.exit_code == 0, f"{path}: {line}\n{result.output}"


def replay_of(args: list[str]) -> list[str]:
    spread = spread_replay(args)
    files = [spread[n + 1] for n, arg in enumerate(spread) if arg == "--replay"]
    return ["--replay", *files] if files else []


def test_there_are_commands_of_every_kind_in_the_documents() -> None:
    names = {shlex.split(line)[1] for _, line in commands()}
    assert names >= {
        "run",
        "up",
        "backtest",
        "validate",
        "strategies",
        "indicators",
        "bench",
        "version",
    }


def test_every_command_and_option_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        assert f"chorus {name}" in text
        members = getattr(command, "commands", {"list": command})
        for member, each in members.items():
            assert member == "list" or f"`{member}" in text, f"{name} {member}"
            for parameter in each.params:
                for option in parameter.opts:
                    assert not option.startswith("-") or f"`{option}" in text, option


def test_every_environment_variable_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name in Settings.model_fields:
        assert f"`CHORUS_{name.upper()}`" in text


def test_every_link_between_documents_leads_somewhere() -> None:
    for path in DOCS:
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path}: {target}"


def test_every_strategy_in_the_documents_is_accepted(chorus: Chorus, tmp_path: Path) -> None:
    found = [
        (p, b) for p, b in snippets("yaml") if re.search(r"^(id|strategies):", b, re.MULTILINE)
    ]
    assert found
    for number, (path, block) in enumerate(found):
        target = tmp_path / f"{number}.yaml"
        target.write_text(block)
        result = chorus("validate", target)
        assert result.exit_code == 0, f"{path}\n{block}\n{result.output}"


def test_the_architecture_names_every_package_of_the_engine() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for folder in (ROOT / "engine").iterdir():
        if (folder / "__init__.py").exists():
            assert f"`{folder.name}`" in text, folder.name


@pytest.mark.parametrize("path", sorted((ROOT / "configs").iterdir()), ids=lambda p: p.name)
def test_every_example_configuration_is_accepted(chorus: Chorus, path: Path) -> None:
    result = chorus("validate", path)
    assert result.exit_code == 0, result.stderr


def test_the_demo_shows_what_it_promises() -> None:
    demo = config.load_run(ROOT / "configs" / "demo.yaml")
    types = {strategy.type for strategy in demo.strategies}
    built_in = {name for name, t in discover(default_folders()).types.items()}
    assert len(demo.strategies) >= 12
    assert types == {"RULES", "MOMENTUM_BREAKOUT", "MEAN_REVERSION", "EMA_CROSS"} <= built_in
    assert len({s.symbol for s in demo.strategies}) >= 5
    assert len({s.timeframe for s in demo.strategies}) >= 3
    for currency, account in (("USDT", "futures"), ("BTC", "spot")):
        shared = [s.capital or 0 for s in demo.strategies if s.account == account]
        balance = next(a.balances[currency] for a in demo.accounts if a.id == account)
        assert sum(shared) <= balance
