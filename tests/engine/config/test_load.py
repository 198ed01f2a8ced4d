from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.config import (
    InvalidConfigError,
    RunConfig,
    StrategyConfig,
    load_run,
    load_run_with_places,
)
from engine.errors import ConfigError

ONE = {"id": "a", "type": "X", "symbol": "A/B", "timeframe": "1m"}


def written(folder: Path, content: Any, name: str = "run.yaml") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def problems(folder: Path, content: Any, name: str = "run.yaml") -> list[str]:
    path = written(folder, content, name)
    with pytest.raises(InvalidConfigError) as caught:
        load_run(path)
    assert len(str(caught.value).split("\n")) == len(caught.value.problems)
    return [str(p).removeprefix(f"{path}:") for p in caught.value.problems]


def test_one_strategy_alone_is_a_run_named_after_it(tmp_path: Path) -> None:
    config = load_run(written(tmp_path, ONE, "x.json"))
    assert config.name == "a"
    assert [s.id for s in config.strategies] == ["a"]


def test_a_list_of_strategies_is_a_run_named_after_the_file(tmp_path: Path) -> None:
    config = load_run(written(tmp_path, [ONE, {**ONE, "id": "b"}], "both.json"))
    assert config.name == "both"
    assert [s.id for s in config.strategies] == ["a", "b"]


def test_a_run_without_a_name_is_named_after_its_file(tmp_path: Path) -> None:
    assert load_run(written(tmp_path, {"strategies": [ONE]}, "nightly.yaml")).name == "nightly"
    assert load_run(written(tmp_path, {"name": "x", "strategies": [ONE]})).name == "x"


def test_camel_case_and_snake_case_mean_the_same(tmp_path: Path) -> None:
    camel = load_run(written(tmp_path, {**ONE, "risk": {"stopLoss": 0.02}}, "c.json"))
    snake = load_run(written(tmp_path, {**ONE, "risk": {"stop_loss": 0.02}}, "s.json"))
    assert camel == snake
    assert camel.strategies[0].risk.stop_loss == Decimal("0.02")


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    content = {
        "market": {"replay": ["data/a_1m.csv", "A/B:1m=b.csv", "/abs/c_1m.csv"]},
        "plugin_folders": ["mine", "/abs"],
        "strategies": [ONE],
    }
    config = load_run(written(tmp_path, content))
    assert config.market.replay == (
        f"{tmp_path}/data/a_1m.csv",
        f"A/B:1m={tmp_path}/b.csv",
        "/abs/c_1m.csv",
    )
    assert config.plugin_folders == (f"{tmp_path}/mine", "/abs")


def test_a_wrong_value_is_shown_with_line_column_and_requirement(tmp_path: Path) -> None:
    text = """\
strategies:
  - id: a
    type: X
    symbol: A/B
    timeframe: 1m
    risk:
      stopLoss: -0.02
"""
    assert problems(tmp_path, text) == [
        "7:7: strategies[0].risk.stopLoss: must be greater than 0 (found -0.02)"
    ]


def test_all_problems_are_named_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
market: {speed: fast}
accounts:
  - {id: p, balances: {USDT: -1}}
strategies:
  - {id: a b, type: X, symbol: A/B, timeframe: 1x}
  - 5
  - {id: z, type: X, symbol: A/B, timeframe: 5, account: nope}
  - {id: z, type: X, timeframe: 5m, sizing: {mode: fixed_notional}}
"""
    assert problems(tmp_path, text) == [
        "1:10: market.speed: must be 'max' or a number (found 'fast')",
        "3:24: accounts[0].balances.USDT: must be greater than 0 (found -1)",
        (
            "5:6: strategies[0].id: must be 1 to 64 letters, digits, '_', '.' or '-', "
            "and start with a letter or digit (found 'a b')"
        ),
        (
            "5:37: strategies[0].timeframe: timeframe '1x' is not known; "
            "use one of 1m, 3m, 5m, 10m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h, 1d"
        ),
        "6:5: strategies[1]: must be a mapping (found 5)",
        "7:35: strategies[2].timeframe: must be text (put it in quotes) (found 5)",
        "7:49: strategies[2].account: account 'nope' is not defined (defined: p)",
        "8:6: strategies[3].id: 'z' is already used in line 7; ids are unique",
        "8:37: strategies[3].sizing: sizing mode 'fixed_notional' needs a `value`",
    ]


@pytest.mark.parametrize(
    ("field", "suggestion"),
    [
        ("stopLos", "did you mean 'stopLoss'?"),
        ("stop_los", "did you mean 'stop_loss'?"),
        ("stoploss", "did you mean 'stopLoss'?"),
        ("zzz", "known here: maxPositionSize, stopLoss"),
    ],
)
def test_an_unknown_field_gets_the_nearest_known_one(
    tmp_path: Path, field: str, suggestion: str
) -> None:
    (line,) = problems(tmp_path, {**ONE, "risk": {field: 1}}, "a.json")
    assert f"risk.{field}: unknown field" in line
    assert suggestion in line


def test_places_in_a_single_strategy_do_not_mention_the_wrapping(tmp_path: Path) -> None:
    text = "id: a\ntype: X\nsymbol: A/B\ntimeframe: 1m\nriks: {}\n"
    assert problems(tmp_path, text) == ["5:1: riks: unknown field (did you mean 'risk'?)"]


def test_a_list_may_not_use_an_id_twice(tmp_path: Path) -> None:
    text = json.dumps([ONE, ONE]).replace("}, ", "},\n")
    (line,) = problems(tmp_path, text, "a.json")
    assert line == "2:2: [1].id: 'a' is already used in line 1; ids are unique"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("hello\n", "must be a mapping of fields (found just 'hello')"),
        ("null\n", "found nothing"),
        ("[]\n", "add one"),
        ("name: x\n", "needs a field `strategies`"),
        ("strategies: []\n", "needs at least one strategy"),
        ("strategies: 5\n", "must be a list (found 5)"),
        ("strategies:\n", "must be a list (found nothing)"),
        ("{id: a, type: X, timeframe: 1m}", "needs a `symbol`"),
        ("{id: a, type: X, symbol: A/B}", "needs a `timeframe`"),
        ("{id: a, symbol: A/B, timeframe: 1m}", "needs a `type`"),
        ("{id: a, type: X, symbols: [], timeframe: 1m}", "needs a `symbol`"),
        ("{id: a, rules: {exit: {condition: x}}, symbol: A/B, timeframe: 1m}", "shortEntry"),
        ("{id: a, type: X, symbol: A/B, timeframe: 1m, leverage: .inf}", "leverage"),
        ("{id: a, type: X, symbol: A/B, timeframe: 1m, leverage: .nan}", "leverage"),
        ("{id: a, type: X, symbol: A/B, timeframe: 1m, seed: 1.5}", "must be a whole number"),
        ("{id: a, type: X, symbol: A/B, timeframe: 1m, enabled: maybe}", "must be a boolean"),
    ],
)
def test_what_is_no_run_says_what_is_needed(tmp_path: Path, content: str, said: str) -> None:
    lines = problems(tmp_path, content)
    assert said in lines[0]
    assert len(lines) == 1


def test_a_long_wrong_value_is_cut(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, {**ONE, "capital": "x" * 500}, "a.json")
    assert len(line) < 150


def test_a_loaded_run_gives_places_to_later_findings(tmp_path: Path) -> None:
    text = "strategies:\n  - id: a\n    type: X\n    symbol: A/B\n    timeframe: 1m\n"
    path = written(tmp_path, text)
    problem = load_run_with_places(path).problem(("strategies", 0, "symbol"), "is odd")
    assert str(problem) == f"{path}:4:5: strategies[0].symbol: is odd"
    alone = written(tmp_path, ONE, "one.json")
    problem = load_run_with_places(alone).problem(("strategies", 0, "symbol"), "is odd")
    assert str(problem) == f"{alone}:1:26: symbol: is odd"


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_run(tmp_path / "nope.yaml")


def test_the_wanted_streams_are_those_of_enabled_strategies_each_once_in_order() -> None:
    config = RunConfig.model_validate(
        {
            "strategies": [
                {**ONE, "id": "b", "timeframes": ["5m", "1m"], "timeframe": "5m"},
                {**ONE, "id": "off", "timeframe": "1h", "enabled": False},
                ONE,
                {**ONE, "id": "c", "symbol": "C/B"},
            ]
        }
    )
    assert config.wanted_streams == ("paper:A/B:5m", "paper:A/B:1m", "paper:C/B:1m")


def test_the_account_of_a_strategy_is_the_named_one_or_the_first_and_never_another() -> None:
    accounts = [{"id": "one", "balances": {"B": 5}}, {"id": "two", "balances": {"B": 7}}]
    config = RunConfig.model_validate({"accounts": accounts, "strategies": [ONE]})
    named = {
        name: StrategyConfig.model_validate({**ONE, "account": name})
        for name in ("", "two", "three")
    }
    assert config.account_of(named[""]).id == "one"
    assert config.account_of(named["two"]).id == "two"
    for ask in (config.account_of, config.capital_of):
        with pytest.raises(ConfigError, match=r"'a': account 'three' is not defined .*one, two"):
            ask(named["three"])


@pytest.mark.parametrize(
    ("field", "value"),
    [("rules", {"entry": {"condition": "close > 1"}}), ("indicators", {"rsi": {"period": 14}})],
)
def test_what_only_rules_read_is_refused_for_another_type(
    tmp_path: Path, field: str, value: Any
) -> None:
    (problem,) = problems(tmp_path, {"strategies": [{**ONE, field: value}]})
    assert (
        f"strategies[0].{field}: `{field}` belongs to the type RULES, the type 'X' does not read "
        "it; leave it out, or leave out `type`"
    ) in problem
    (problem,) = problems(tmp_path, {"strategies": [{**ONE, field: value, "type": "rule"}]})
    assert "(did you mean 'RULES'?)" in problem
    for fine in ({**ONE, "type": "RULES", field: value}, {**ONE, "indicators": {}, "rules": None}):
        assert load_run(written(tmp_path, fine)).strategies[0].id == "a"


def test_a_strategy_alone_without_id_only_lacks_the_id(tmp_path: Path) -> None:
    alone = {key: value for key, value in ONE.items() if key != "id"}
    (problem,) = problems(tmp_path, alone)
    assert problem.endswith(": needs a field `id`")
    as_run = problems(tmp_path, {**alone, "market": {}})
    assert any("needs a field `strategies`" in problem for problem in as_run)


def test_an_account_that_is_not_defined_has_its_place_in_every_form_of_file(tmp_path: Path) -> None:
    text = "id: a\ntype: X\nsymbol: A/B\ntimeframe: 1m\naccount: nobody\n"
    said = "account 'nobody' is not defined (defined: paper)"
    assert problems(tmp_path, text) == [f"5:1: account: {said}"]
    listed = "".join(f"    {line}\n" for line in text.splitlines()).replace("    ", "  - ", 1)
    assert problems(tmp_path, "strategies:\n" + listed) == [f"6:5: strategies[0].account: {said}"]
    assert problems(tmp_path, listed) == [f"5:5: [0].account: {said}"]
