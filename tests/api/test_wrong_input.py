"""Whatever is wrong with what a user hands in: exit code 2, where it is, what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from typer.testing import Result

Chorus = Callable[..., Result]
Write = Callable[..., Path]

GOOD = """\
market:
  synthetic: {symbols: [{symbol: BTC/USDT}], candles: 200}
strategies:
  - id: one
    symbol: BTC/USDT
    timeframe: 1m
    indicators: {rsi: {period: 14}}
    rules:
      entry: {condition: rsi < 30}
      exit: {condition: rsi > 70}
"""


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def refused(result: Result, *said: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("error: ")
    for text in said:
        assert text in result.stderr


CONFIGURATIONS = {
    "unknown field": (
        changed("candles: 200", "candels: 200"),
        (":2:46: market.synthetic.candels: unknown field (did you mean 'candles'?)",),
    ),
    "unknown section": (
        "startegies: []\n" + GOOD,
        (":1:1: startegies: unknown field (did you mean 'strategies'?)",),
    ),
    "wrong type": (
        changed("id: one", "id: [one]"),
        (":4:5: strategies[0].id: must be text", "found a list of 1"),
    ),
    "out of range": (
        GOOD + "    risk: {stopLoss: 2}\n",
        (":11:12: strategies[0].risk.stopLoss: must be less than or equal to 1 (found 2)",),
    ),
    "unknown timeframe": (
        changed("timeframe: 1m", "timeframe: 7m"),
        (":6:5: strategies[0].timeframe: timeframe '7m' is not known; use one of 1m, 3m",),
    ),
    "unknown strategy type": (
        GOOD + "  - {id: two, type: RULE, symbol: BTC/USDT, timeframe: 1m}\n",
        (":11:15: strategies[1].type:", "did you mean 'RULES'?"),
    ),
    "rules of a type that reads none": (
        GOOD + "    type: EMA_CROSS\n",
        (
            ":7:5: strategies[0].indicators: `indicators` belongs to the type RULES",
            ":8:5: strategies[0].rules: `rules` belongs to the type RULES",
        ),
    ),
    "unknown indicator": (
        changed("{rsi: {period: 14}}", "{rssi: {period: 14}}"),
        (":7:18: strategies[0].indicators.rssi:", "did you mean 'rsi'?"),
    ),
    "unknown indicator parameter": (
        changed("period: 14", "perod: 14"),
        (":7:18: strategies[0].indicators.rsi:", "perod", "did you mean"),
    ),
    "indicator parameter out of range": (
        changed("period: 14", "period: -3"),
        (":7:18: strategies[0].indicators.rsi:", "-3"),
    ),
    "unknown name in a rule": (
        changed("rsi < 30", "rsii < 30"),
        (":9:15: strategies[0].rules.entry.condition:", "column 1", "did you mean 'rsi'?"),
    ),
    "rule that does not parse": (
        changed("rsi > 70", "rsi > > 70"),
        (":10:14: strategies[0].rules.exit.condition:", "column 7"),
    ),
    "rule that is a number": (
        changed("rsi < 30", "rsi + 30"),
        (":9:15: strategies[0].rules.entry.condition:", "column 1"),
    ),
    "rules without an entry": (
        changed("      entry: {condition: rsi < 30}\n", ""),
        (":8:5: strategies[0].rules: needs an `entry` or a `shortEntry` rule",),
    ),
    "parameter of the wrong type": (
        GOOD + "    parameters: {level: [1]}\n",
        (":11:18: strategies[0].parameters.level:", "is not of type"),
    ),
    "account that is not defined": (
        GOOD + "    account: main\naccounts: [{id: paper, balances: {USDT: 1}}]\n",
        (":11:5: strategies[0].account: account 'main' is not defined (defined: paper)",),
    ),
    "currency the account lacks": (
        GOOD + "accounts: [{id: paper, balances: {EUR: 1}}]\n",
        (":5:5: strategies[0].symbol:", "is paid in USDT", "add a USDT balance"),
    ),
    "symbol that is none": (
        changed("    symbol: BTC/USDT", "    symbol: BTCUSDT"),
        (":5:5: strategies[0].symbol:", "BASE/QUOTE"),
    ),
    "id used twice": (
        GOOD + "  - {id: one, type: RULES, symbol: BTC/USDT, timeframe: 1m}\n",
        (":11:6: strategies[1].id: 'one' is already used in line 4",),
    ),
    "repeated key": (
        changed("    timeframe: 1m\n", "    timeframe: 1m\n    symbol: A/B\n"),
        (":7:5: 'symbol' stands twice in the same mapping (first in line 5)",),
    ),
    "no YAML": ("a: b: c\n", (":1:5: not valid YAML",)),
    "condition with brackets, without quotes": (
        changed("rsi < 30", "rsi[1] < 30"),
        (":9:", "did not find expected ',' or '}'; put a condition in quotes"),
    ),
    "Python object": ("a: !!python/object/apply:os.system [ls]\n", (":1:4: not valid YAML",)),
    "empty": ("", ("is empty; it needs at least `strategies:`",)),
    "only comments": ("# later\n", ("holds only comments",)),
    "no mapping": ("just words\n", (":1:1: must be a mapping",)),
    "no strategies": ("name: x\n", (":1:1: needs a field `strategies`",)),
    "nothing enabled": (
        GOOD + "    enabled: false\n",
        (":3:1: strategies: every strategy has `enabled: false`",),
    ),
    "speed that is none": (
        changed("market:", "market:\n  speed: fast"),
        (":2:3: market.speed: must be 'max' or a number (found 'fast')",),
    ),
    "synthetic start that is no time": (
        changed("candles: 200", "start: yesterday"),
        ("yesterday",),
    ),
    "plugin folder that does not exist": (
        GOOD + "plugin_folders: [nowhere]\n",
        ("nowhere", "does not exist"),
    ),
    "symbol the market does not serve": (
        changed("    symbol: BTC/USDT", "    symbol: ETH/USDT"),
        ("ETH/USDT:1m",),
    ),
    "one of two symbols the market does not serve": (
        GOOD.partition("  - ")[0]
        + "  - {id: one, type: EMA_CROSS, symbols: [BTC/USDT, ETH/USDT], timeframe: 1m}\n",
        ("strategies[0]", "'one': no candles for paper:ETH/USDT:1m; the market serves paper:BTC"),
    ),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("command", ["validate", "backtest", "run"])
def test_a_wrong_configuration_is_refused_by_every_command(
    chorus: Chorus, write: Write, name: str, command: str
) -> None:
    text, said = CONFIGURATIONS[name]
    path = write(text)
    result = chorus(command, path)
    refused(result, *(str(path) + part if part.startswith(":") else part for part in said))


def test_the_unchanged_configuration_is_accepted(chorus: Chorus, write: Write) -> None:
    result = chorus("validate", write(GOOD))
    assert result.exit_code == 0, result.stderr
    assert "ok; strategies: 1 (RULES)" in result.stdout


def test_one_strategy_of_several_without_candles_is_a_note(chorus: Chorus, write: Write) -> None:
    import json  # noqa: PLC0415 - only here

    idle = "  - {id: idle, type: EMA_CROSS, symbol: ETH/USDT, timeframe: 1m}\n"
    path = write(GOOD + idle)
    said = "strategy 'idle': no candles for paper:ETH/USDT:1m; the market serves paper:BTC/USDT:1m"
    result = chorus("validate", path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"note: {path}:11:33: strategies[1].symbol: {said}\n" in result.stdout
    assert "ok; strategies: 2" in result.stdout
    result = chorus("validate", path, "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["valid"], answer["problems"]) == (0, True, [])
    assert [note["message"] for note in answer["notes"]] == [said]
    assert "no candles for: idle (not run)" in chorus("backtest", path).stdout


def test_validate_names_every_problem(chorus: Chorus, write: Write) -> None:
    text = GOOD.replace("rsi < 30", "rsii < 30").replace("rsi > 70", "rsi >") + (
        "  - {id: two, type: NOPE, symbol: X/USDT, timeframe: 1m}\n"
    )
    result = chorus("validate", write(text), "--replay", "gone.parquet")
    refused(
        result,
        "error: 4 problems",
        "--replay gone.parquet: no such file",
        ":9:15:",
        ":10:14:",
        ":11:15: strategies[1].type",
    )


def test_validate_speaks_json(chorus: Chorus, write: Write) -> None:
    import json  # noqa: PLC0415 - only here

    result = chorus("validate", write(GOOD.replace("rsi < 30", "rsii < 30")), "--json")
    assert result.exit_code == 2
    answer = json.loads(result.stdout)
    assert answer["valid"] is False
    (problem,) = answer["problems"]
    assert (problem["line"], problem["column"]) == (9, 15)
    assert problem["subject"] == "strategies[0].rules.entry.condition"
    good = chorus("validate", write(GOOD), "--json")
    assert (good.exit_code, json.loads(good.stdout)["problems"]) == (0, [])


FILES = [
    ("BTC-USDT_1m.parquet", b"", "empty"),
    ("BTC-USDT_1m.parquet", b"PAR1 no more", "BTC-USDT_1m.parquet"),
    ("BTC-USDT_1m.csv", b"a,b\n1,2\n", "open_time"),
    ("BTC-USDT_1m.csv", b"", "empty"),
    ("BTC-USDT_1m.txt", b"hello", ".parquet or .csv"),
    ("BTC-USDT.parquet", b"x", "timeframe"),
]


@pytest.mark.parametrize("file", FILES, ids=[f"{name}-{said}" for name, _, said in FILES])
@pytest.mark.parametrize("command", ["validate", "backtest", "run"])
def test_a_file_without_candles_is_refused(
    chorus: Chorus, write: Write, tmp_path: Path, command: str, file: tuple[str, bytes, str]
) -> None:
    name, content, said = file
    path = tmp_path / name
    path.write_bytes(content)
    refused(chorus(command, write(GOOD), "--replay", path), str(path), said)


@pytest.mark.parametrize("command", ["validate", "backtest", "run"])
def test_a_truncated_parquet_file_is_refused(
    chorus: Chorus, write: Write, candles: Path, command: str
) -> None:
    candles.write_bytes(candles.read_bytes()[:-200])
    refused(chorus(command, write(GOOD), "--replay", candles), str(candles))


def test_candles_that_are_all_nan_are_refused(chorus: Chorus, write: Write, candles: Path) -> None:
    frame = pl.read_parquet(candles).with_columns(close=pl.lit(float("nan")))
    frame.write_parquet(candles)
    refused(chorus("backtest", write(GOOD), "--replay", candles), str(candles))


def test_replay_of_a_folder_says_to_name_its_files(
    chorus: Chorus, write: Write, tmp_path: Path
) -> None:
    refused(
        chorus("backtest", write(GOOD), "--replay", tmp_path),
        f"--replay {tmp_path}: is a folder; name its files, e.g. {tmp_path}/*.parquet",
    )


def test_every_missing_replay_file_is_named(chorus: Chorus, write: Write) -> None:
    refused(
        chorus("backtest", write(GOOD), "--replay", "a_1m.csv", "b_1m.csv"),
        "--replay a_1m.csv: no such file",
        "--replay b_1m.csv: no such file",
    )


def test_a_run_without_candles_says_how_to_name_some(chorus: Chorus, write: Write) -> None:
    text = GOOD.replace("market:\n", "").replace(
        "  synthetic: {symbols: [{symbol: BTC/USDT}], candles: 200}\n", ""
    )
    refused(chorus("backtest", write(text)), "--replay FILE", "market.synthetic")


@pytest.mark.parametrize("speed", ["fast", "0", "-1", "nan", "inf", ""])
def test_a_speed_that_is_none_is_refused(chorus: Chorus, write: Write, speed: str) -> None:
    refused(chorus("run", write(GOOD), "--speed", speed), "--speed: must be max or a number")


def test_a_report_that_could_not_be_written_is_refused_before_the_run(
    chorus: Chorus, write: Write, tmp_path: Path
) -> None:
    path = write(GOOD)
    refused(chorus("backtest", path, "--report", tmp_path), "is a folder; name a file")
    refused(
        chorus("backtest", path, "--report", tmp_path / "no" / "report.json"),
        f"the folder {tmp_path}/no does not exist",
    )


@pytest.mark.parametrize(
    "args",
    [
        ["--replay", f"{'x' * 4000}_1m.csv"],
        ["--replay", f"BTC/USDT:1m={'x' * 4000}_1m.csv"],
        ["--report", f"{'x' * 4000}_1m.csv"],
        ["--report", f"{'x' * 4000}/{'x' * 4000}_1m.csv"],
    ],
)
def test_a_name_longer_than_any_file_has_is_refused_in_short(
    chorus: Chorus, write: Write, args: list[str]
) -> None:
    result = chorus("backtest", write(GOOD), *args)
    refused(result, f"error: {args[0]} ", "x…x", "_1m.csv (", "File name too long")
    assert len(result.stderr) < 200
    if args[0] == "--replay":
        refused(chorus("validate", write(GOOD), *args), result.stderr)


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("market:", f"market:\n  replay: [{'x' * 4000}_1m.csv]"),
        f"{GOOD}plugin_folders: [{'x' * 4000}]\n",
    ],
)
def test_a_name_longer_than_any_file_has_is_refused_in_a_configuration(
    chorus: Chorus, write: Write, text: str
) -> None:
    for command in ("validate", "backtest"):
        refused(chorus(command, write(text)), "File name too long")


def test_a_configuration_with_a_name_longer_than_any_file_has_is_refused(chorus: Chorus) -> None:
    result = chorus("run", f"{'x' * 4000}.yaml")
    refused(result, f"error: {'x' * 60}…: cannot be read: File name too long")


def test_a_missing_configuration_names_those_there_are(chorus: Chorus, write: Write) -> None:
    path = write(GOOD, "demo.yaml")
    refused(chorus("run", path.with_name("dmeo.yaml")), "no such file", "there is demo.yaml")


def test_an_unknown_indicator_or_type_suggests_the_nearest(chorus: Chorus) -> None:
    refused(chorus("indicators", "mcad"), "'mcad' is not known", "did you mean")
    refused(chorus("strategies", "RULE"), "did you mean 'RULES'?")


def test_environment_variables_are_checked(chorus: Chorus, write: Write) -> None:
    refused(
        chorus("validate", write(GOOD), CHORUS_LOG_LEVEL="loud"),
        "environment variable CHORUS_LOG_LEVEL: must be 'debug', 'info', 'warning' or 'error' "
        "(found 'loud')",
    )
    refused(chorus("strategies", CHORUS_PLUGIN_FOLDERS="/nowhere"), "/nowhere", "does not exist")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run"], "Missing argument 'CONFIG'"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["run", "x.yaml", "--sped", "2"], "No such option"),
        (["backtest", "x.yaml", "y.yaml"], "unexpected extra argument"),
    ],
)
def test_wrong_options_are_explained(chorus: Chorus, args: list[str], said: str) -> None:
    result = chorus(*args)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_broken_plugin_is_named_where_its_type_is_missed(
    chorus: Chorus, write: Write, tmp_path: Path
) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "grid.py").write_text("import nothing_like_this\n")
    path = write(OF_PLUGIN.replace("ODD", "GRID"))
    refused(chorus("validate", path), f"{tmp_path}/plugins/grid.py:1:", "nothing_like_this")


PLUGIN = """\
from strategies import Strategy, StrategyMetadata


class Odd(Strategy):
    metadata = StrategyMetadata(type="ODD")

    @classmethod
    def indicator_specs(cls, config, parameters):
        print("asked")
        {body}

    def on_candle(self, candle):
        pass
"""

OF_PLUGIN = """\
market: {synthetic: {symbols: [{symbol: BTC/USDT}], candles: 200}}
strategies:
  - {id: a, type: ODD, symbol: BTC/USDT, timeframe: 1m}
plugin_folders: [plugins]
"""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ZeroDivisionError('oops')", ":10: indicator_specs raised ZeroDivisionError: oops"),
        ("raise SystemExit", ":10: indicator_specs raised SystemExit"),
        ("return None", ": indicator_specs must return a mapping of names to indicators"),
        ("return {'rsi': 14}", "(indicators.spec), returned 'rsi': 14"),
    ],
)
@pytest.mark.parametrize("command", ["validate", "backtest", "run"])
def test_indicators_a_plugin_cannot_name_are_its_own_fault(
    chorus: Chorus, write: Write, command: str, body: str, said: str
) -> None:
    path = write(OF_PLUGIN)
    plugin = path.parent / "plugins" / "odd.py"
    plugin.parent.mkdir()
    plugin.write_text(PLUGIN.format(body=body))
    result = chorus(command, path)
    assert (result.exit_code, result.stdout) == (2, "")
    place = f"error: {path}:3:5: strategies[0]: strategy 'a': {plugin}"
    assert result.stderr.startswith(f"asked\n{place}")
    assert said in result.stderr


def test_a_defect_is_reported_without_a_traceback_unless_asked_for(
    chorus: Chorus, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*args: object) -> None:
        raise ZeroDivisionError("oh no")

    monkeypatch.setattr("api.cli.preflight.open_market", explode)
    result = chorus("backtest", write(GOOD))
    assert result.exit_code == 1
    assert "unexpected ZeroDivisionError: oh no" in result.stderr
    assert "CHORUS_DEBUG=1" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Traceback" in chorus("backtest", write(GOOD), CHORUS_DEBUG="1").stderr


def console(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", "from api.cli import main; main()", *(str(arg) for arg in args)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "CHORUS_DEBUG": "", "COLUMNS": "120"},
    )


@pytest.mark.parametrize(
    "args",
    [
        ["validate", "typo.yaml"],
        pytest.param(["backtest", "nope.yaml"], marks=pytest.mark.slow),
        pytest.param(["run", "run.yaml", "--replay", "nope.parquet"], marks=pytest.mark.slow),
    ],
)
def test_the_real_program_ends_with_code_2_and_one_block_on_standard_error(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, args: list[str]
) -> None:
    write(GOOD)
    write(GOOD.replace("rsi < 30", "rsii < 30"), "typo.yaml")
    monkeypatch.chdir(tmp_path)
    done = console(*args)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().split("\n")) == 1


def test_a_pipe_that_closes_early_is_no_error() -> None:
    program = f"{sys.executable} -c 'from api.cli import main; main()' indicators | head -2"
    done = subprocess.run(  # noqa: S602 - the shell's pipe is what is tested
        program, shell=True, capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr
