"""Strategies by command line: made, listed, changed, taken away."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.cli_remote.conftest import Desk, seen, started
from tests.api.server.engine import FakeEngine


def test_a_strategy_is_made_and_started(desk: Desk) -> None:
    made = desk.json(
        "start", "one", "--definition", "ema_cross", "--account", "paper",
        "--symbol", "BTC/USDT", "--timeframe", "1m", "--set", "fast_period=3",
        "--set", "slow_period=8",
    )  # fmt: skip
    assert (made["id"], made["desired"]) == ("one", "running")
    assert made["config"]["parameters"] == {"fast_period": 3, "slow_period": 8}
    assert desk.json("ps")["items"] == [desk.listed("one")]


def test_fields_may_come_from_a_file(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "fields.yaml"
    file.write_text("symbol: BTC/USDT\ntimeframe: 15m\nparameters: {fast_period: 3}\n")
    made = desk.json(
        "start", "one", "--definition", "builtin-ema_cross", "--config", file,
        "--timeframe", "1m", "--set", "slow_period=9",
    )  # fmt: skip
    assert made["config"]["timeframe"] == "1m"
    assert made["config"]["parameters"] == {"fast_period": 3, "slow_period": 9}
    file.write_text("[1, 2]")
    refused = desk.call("start", "two", "--definition", "ema_cross", "--config", file)
    assert (refused.exit_code, "needs fields" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("command", "before", "after"),
    [
        ("stop", "running", "stopped"),
        ("pause", "running", "paused"),
        ("resume", "paused", "running"),
        ("restart", "running", "running"),
        ("start", "stopped", "running"),
    ],
)
def test_what_is_wanted_changes(desk: Desk, command: str, before: str, after: str) -> None:
    started(desk)
    desk.services.strategies.set_desired("one", before, desk.admin)
    (line,) = desk.lines(command, "one")
    assert line == f"one: is to be {after}, is {desk.status('one')}"
    assert desk.services.strategies.get("one", desk.admin).desired == after
    assert desk.json(command, "one")["desired"] == after


def test_a_list_shows_how_strategies_are(desk: Desk, engine: FakeEngine) -> None:
    for name in ("one", "two"):
        started(desk, name)
    engine.statuses["one"] = seen(
        "one", "running", position=0.5, pnl=-4683.0, return_pct=-1.5, trades=3,
        last_signal="BUY @ 1704425400000",
    )  # fmt: skip
    engine.refusals["two"] = "no \x1b[31mdata"
    head, one, two = (line.split("\t") for line in desk.lines("ps"))
    assert head[:5] == ["strategy", "type", "stream", "wanted", "status"]
    assert one[4:] == [
        "running", "0.5000", "-4,683.00 USDT", "-1.50 %", "3", "BUY 01-05 03:30", "0",
    ]  # fmt: skip
    assert (two[4], two[9]) == ("error", "no [31mdata")


def test_lists_go_through_all_pages_unless_limited(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.cli.remote.client._PAGE", 2)
    for n in range(5):
        started(desk, f"s{n}")
    assert len(desk.lines("ps")) == 6
    everything = desk.json("ps", "--sort", "-id")
    assert [item["id"] for item in everything["items"]] == ["s4", "s3", "s2", "s1", "s0"]
    assert everything["next"] is None
    some = desk.call("ps", "--limit", "3")
    assert len(some.stdout.splitlines()) == 4
    assert "there are more; --limit 0 shows all" in some.stderr
    assert desk.json("ps", "--limit", "3")["next"]
    desk.lines("stop", "s1")
    assert [item["id"] for item in desk.json("ps", "--wanted", "stopped")["items"]] == ["s1"]


def test_a_strategy_is_shown_in_full(desk: Desk) -> None:
    started(desk)
    lines = desk.lines("show", "one")
    assert {"id: one", "config.symbol: BTC/USDT", "performance.fills: 0"} <= set(lines)
    assert desk.json("show", "one")["performance"]["currency"] == "USDT"


def test_parameters_change_while_it_runs(desk: Desk) -> None:
    started(desk)
    changed = desk.json("set", "one", "allow_short=true")
    assert changed["config"]["parameters"]["allow_short"] is True
    wrong = desk.call("set", "one", "allow_short=perhaps")
    assert wrong.exit_code == 2
    assert wrong.stderr.startswith("error: strategy 'one' (EMA_CROSS): parameters.allow_short:")
    for pairs in (["allow_short"], ["=1"], ["a=1", "a=2"]):
        assert desk.call("set", "one", *pairs).exit_code == 2


def test_a_strategy_is_taken_away(desk: Desk) -> None:
    started(desk)
    assert desk.lines("remove", "one") == ["one: removed"]
    assert desk.json("ps")["items"] == []
    gone = desk.call("remove", "one")
    assert (gone.exit_code, gone.stderr) == (2, "error: strategy 'one': there is none\n")


def test_what_makes_a_new_strategy_is_refused_for_one_that_is_there(desk: Desk) -> None:
    started(desk)
    result = desk.call("start", "one", "--symbol", "ETH/USDT", "--set", "a=1")
    assert result.exit_code == 2
    assert "--symbol, --set: only for a new strategy" in result.stderr


def test_what_is_not_there_is_named_with_what_is(desk: Desk) -> None:
    nobody = desk.call("start", "one", "--definition", "ema_crosss")
    assert (nobody.exit_code, "ema_cross," in nobody.stderr) == (2, True)
    elsewhere = desk.call("start", "one", "--definition", "ema_cross", "--account", "papers")
    assert "account 'papers': there is none that you see; there are: paper" in elsewhere.stderr


def test_an_account_is_chosen_where_there_are_several(desk: Desk) -> None:
    desk.user("bob")
    args = ("start", "one", "--definition", "ema_cross", "--symbol", "BTC/USDT")
    asked = desk.call(*args, who="admin")
    assert "--account: needed, since there is more than one" in asked.stderr
    twice = desk.call(*args, "--account", "paper", who="admin")
    assert "account 'paper': is the name of 2; give the id of one:" in twice.stderr
    chosen = desk.json("accounts", who="bob")["items"][0]["id"]
    made = desk.json(*args, "--timeframe", "1m", "--account", chosen, who="bob")
    assert made["accountId"] == chosen
    desk.user("eve", "viewer")
    none = desk.call(*args, who="eve")
    assert "--account: there is no account yet" in none.stderr


def test_a_problem_names_the_fields(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "fields.json"
    file.write_text('{"symbol": "BTC/USDT", "timeframe": "7q", "risk": {"stop_loss": 7}}')
    result = desk.call("start", "one", "--definition", "ema_cross", "--config", file)
    assert result.exit_code == 2
    first, *others = result.stderr.splitlines()
    assert first.startswith("error: ")
    assert any("timeframe" in line for line in others)
    assert any("risk.stop" in line.lower() for line in others)


def test_what_cannot_be_an_id_goes_nowhere_else(desk: Desk) -> None:
    for name in ["", ".", "..", "../users/ann", "one/orders"]:
        result = desk.call("show", name)
        assert (result.exit_code, "cannot be the id" in result.stderr) == (2, True)


def test_other_ids_stay_one_part_of_a_path(desk: Desk) -> None:
    result = desk.call("stop", "a?b#c%2Fd")
    assert (result.exit_code, "strategy 'a?b#c%2Fd'" in result.stderr) == (2, True), result.stderr
