"""The examples of the language reference run."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from engine.config import RulesConfig, StrategyConfig
from engine.rules import compile_rules

REFERENCE = (Path(__file__).parents[3] / "docs" / "rules.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", REFERENCE, re.MULTILINE | re.DOTALL)


def test_the_first_example_is_a_whole_strategy() -> None:
    config = StrategyConfig.model_validate(yaml.safe_load(blocks("yaml")[0]))
    assert config.type == "RULES"
    assert config.rules is not None
    program = compile_rules(config.id, config.indicators, config.rules, config.parameters)
    assert list(program.conditions) == ["entry", "exit"]


def test_the_example_conditions_compile() -> None:
    (text,) = blocks("text")
    declared = yaml.safe_load(blocks("yaml")[1])["indicators"]
    first = yaml.safe_load(blocks("yaml")[0])["indicators"]
    more: dict[str, dict[str, object]] = {"adx": {}, "bb": {}, "mfi": {}}
    examples = text.strip().split("\n")
    assert len(examples) == 6
    for example in examples:
        rules = RulesConfig.model_validate({"entry": {"condition": example}})
        compile_rules("s", {**first, **declared, **more}, rules, {"distance": 0.02})
