"""What docs/cli.md and the help texts say about a running service works, word for word."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from api.cli import app
from api.cli.remote.registration import REMOTE_COMMANDS
from tests.api.cli_remote.conftest import Desk, started

ROOT = Path(__file__).parents[3]
ENDLESS = {"watch", "logs"}


def documented() -> list[list[str]]:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    return [line[1:] for line in lines if line[:1] == ["chorus"] and line[1] in REMOTE_COMMANDS]


def commands() -> dict[str, Any]:
    """Return every command for a service by its full name."""
    root: Any = typer.main.get_command(app)
    found = {}
    for name in REMOTE_COMMANDS:
        members = getattr(root.commands[name], "commands", {"": root.commands[name]})
        found |= {f"{name} {member}".strip(): each for member, each in members.items()}
    return found


def test_every_documented_command_works(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = documented()
    assert {line[0] for line in lines} >= {"login", "start", "ps", "users", "keys", "watch"}
    for args in lines:
        if args == ["users", "add", "ann", "--role", "trader"]:
            continue  # that is how the user came who asks
        if args[0] in ENDLESS:
            commands()[args[0]].make_context(args[0], args[1:])
            continue
        is_for_admins = {"sync", "keys", "trust", "distrust"} & set(args[:2])
        who = "admin" if is_for_admins else "ann"
        if args[:3] == ["accounts", "open", "paper"]:
            args[2] = "another"  # she has one of that name
        result = desk.call(*args, who=who, typed=2 * f"{desk.keys['ann']}\n")
        assert result.exit_code == 0, f"{shlex.join(args)}\n{result.output}"


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_shows_an_example_that_is_one(name: str) -> None:
    command = commands()[name]
    example = re.search(r"Example: chorus (.+)$", command.help, re.DOTALL)
    assert example is not None
    args = shlex.split(example[1])
    words = name.removesuffix(" list").split()
    assert args[: len(words)] == words
    command.make_context(name, args[len(words) :])
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--url", "--json"} <= options


def test_a_group_lists_when_no_command_is_named(desk: Desk) -> None:
    started(desk)
    for name in ("definitions", "accounts", "bots", "trading", "users", "keys", "alerts"):
        assert desk.lines(name) == desk.lines(name, "list")
        assert "Usage" in desk.call(name, "--help").stdout
    unknown = desk.call("users", "lst")
    assert (unknown.exit_code, "Did you mean 'list'" in unknown.stderr) == (2, True)
