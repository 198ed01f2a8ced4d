"""What the manager remembers is true, and of use where its folder is now."""

from __future__ import annotations

import shutil
from pathlib import Path

from actors.members import Member
from actors.memory import ManagerMemory
from engine.config import RunConfig, StrategyConfig

ONE = StrategyConfig.model_validate(
    {"id": "one", "type": "MINE", "symbol": "BTC/USDT", "timeframe": "1m"}
)
A_RUN = RunConfig.model_construct(name="run")


def remembered(folder: Path) -> Member:
    return ManagerMemory(folder / "run", sync=False).members(A_RUN, {})["one"]


def test_parameters_that_may_have_been_changed_are_remembered_as_such(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    member = Member(ONE, "file", "pooled")
    member.is_unsure = True
    ManagerMemory(tmp_path / "run", sync=False).store({"one": member})
    assert remembered(tmp_path).is_unsure


def test_who_left_is_built_again_with_the_parameters_it_had(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    member = Member(ONE, "file", "pooled")
    assert member.text == Member(ONE, "file", "pooled").text
    member.parameters = {"pace": 2}
    member.leave()
    ManagerMemory(tmp_path / "run", sync=False).store({"one": member})
    again = remembered(tmp_path)
    assert again.config.parameters == again.parameters == {"pace": 2}
    assert again.text == member.text


def test_code_that_was_moved_with_the_run_is_found(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for name in ("run", "code"):
        (data / name).mkdir(parents=True)
    file = data / "code" / "mine-0123.py"
    file.write_text("")
    memory = ManagerMemory(data / "run", sync=False)
    memory.store({"one": Member(ONE, str(file), "pooled")})
    assert remembered(data).plugin_file == str(file)
    shutil.copytree(data, elsewhere)
    assert remembered(elsewhere).plugin_file == str(file)  # where it was, while it is there
    shutil.rmtree(data)
    assert remembered(elsewhere).plugin_file == str(elsewhere / "code" / "mine-0123.py")
