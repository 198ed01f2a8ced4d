"""Plugin files: found without registering, and broken ones never in the way of others."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.catalog import Catalog, default_folders, discover, load_file
from engine.errors import ConfigError, PluginError

GOOD = """
from strategies import Strategy, StrategyMetadata


class {cls}(Strategy):
    metadata = StrategyMetadata(type="{type}", version="{version}")

    def on_candle(self, candle):
        pass
"""


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(text)
    return file


def good(cls: str = "Mine", type_name: str = "MINE", version: str = "1.0") -> str:
    return GOOD.format(cls=cls, type=type_name, version=version)


def broken_of(catalog: Catalog) -> dict[str, str]:
    return {broken.file.name: broken.error for broken in catalog.broken}


def test_a_dropped_file_is_found(tmp_path: Path) -> None:
    write(tmp_path, "mine.py", good())
    catalog = discover([tmp_path])
    assert list(catalog.types) == ["MINE"]
    assert catalog.types["MINE"].metadata.version == "1.0"
    assert catalog.broken == []


def test_the_built_in_types_are_found_and_none_is_broken() -> None:
    catalog = discover(default_folders())
    assert {"EMA_CROSS", "MEAN_REVERSION", "MOMENTUM_BREAKOUT", "RULES"} <= set(catalog.types)
    assert catalog.broken == []
    assert default_folders()[1].name == "custom"


@pytest.mark.parametrize(
    ("text", "error", "line"),
    [
        ("x = 1\ny = 1 / 0\n", "ZeroDivisionError: division by zero", 2),
        ("def f(:\n", "SyntaxError: invalid syntax", 1),
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'", 1),
        ("import sys\n\nsys.exit(3)\n", "SystemExit: 3", 3),
        ("\nraise KeyboardInterrupt\n", "KeyboardInterrupt", 2),
        ("\nraise GeneratorExit('mine')\n", "GeneratorExit: mine", 2),
        ("class Own(BaseException): ...\nraise Own('mine')\n", "Own: mine", 2),
        ("x = 1\n", "needs exactly one subclass of strategies.Strategy, has none", 0),
        (good() + good("Other", "OTHER"), "has Mine, Other", 0),
        (
            (
                "from strategies import Strategy\n\nclass Mine(Strategy):\n"
                "    def on_candle(self, candle):\n        pass\n"
            ),
            "class Mine needs `metadata",
            0,
        ),
        (
            (
                "from strategies import Strategy, StrategyMetadata\n\nclass Mine(Strategy):\n"
                "    metadata = StrategyMetadata(type='MINE')\n"
            ),
            "class Mine needs a method `on_candle`",
            0,
        ),
        (
            (
                good("_Common", "COMMON") + "    @abc.abstractmethod\n    def wish(self): ...\n"
                "\n\nclass Mine(_Common):\n    metadata = StrategyMetadata(type='MINE')\n"
            ).replace("from", "import abc\nfrom", 1),
            "class Mine needs a method `wish`",
            0,
        ),
        (
            good() + "    @classmethod\n    def get_parameters_schema(cls):\n"
            "        return {'type': 'nonsense'}\n",
            "get_parameters_schema is not a JSON Schema (Draft 7): $.type",
            0,
        ),
        (
            good() + "    @classmethod\n    def get_parameters_schema(cls):\n"
            "        return undefined_name\n",
            "get_parameters_schema: NameError: name 'undefined_name' is not defined",
            12,
        ),
        (
            good() + "    @classmethod\n    def get_parameters_schema(cls):\n"
            "        raise SystemExit('mine')\n",
            "get_parameters_schema: SystemExit: mine",
            12,
        ),
    ],
)
def test_a_broken_file_is_reported_with_its_line_and_the_rest_still_load(
    tmp_path: Path, text: str, error: str, line: int
) -> None:
    write(tmp_path, "broken.py", text)
    write(tmp_path, "zz_good.py", good("Fine", "FINE"))
    catalog = discover([tmp_path])
    assert list(catalog.types) == ["FINE"]
    (broken,) = catalog.broken
    assert error in broken.error
    assert broken.line == line
    assert str(broken).startswith(f"{broken.file}:{line}:" if line else f"{broken.file}: ")


def test_a_file_that_is_not_text_is_reported(tmp_path: Path) -> None:
    (tmp_path / "binary.py").write_bytes(b"\x00\xff\xfe")
    assert list(broken_of(discover([tmp_path]))) == ["binary.py"]


@pytest.mark.parametrize("ending", ["", "while True: pass\n"])
def test_a_user_can_still_interrupt_a_slow_plugin(tmp_path: Path, ending: str) -> None:
    slow = "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.01)\n"
    slow += ending or "import select\nselect.select([], [], [], 60)\n"
    file = write(tmp_path, "slow.py", slow)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)  # as Ctrl-C would
    try:
        with pytest.raises(KeyboardInterrupt):
            load_file(file)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_what_a_file_prints_while_it_is_loaded_goes_to_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = "    @classmethod\n    def get_parameters_schema(cls):\n"
    schema += "        print('schema')\n        return {}\n"
    load_file(write(tmp_path, "loud.py", "print('loading')\n" + good() + schema))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "loading\nschema\n"


def test_a_type_name_used_twice_is_reported_and_the_first_one_kept(tmp_path: Path) -> None:
    first = write(tmp_path, "a.py", good())
    write(tmp_path, "b.py", good("Copy"))
    catalog = discover([tmp_path])
    assert catalog.types["MINE"].file == first.resolve()
    assert f"type 'MINE' is already defined by {first.resolve()}" in broken_of(catalog)["b.py"]


def test_a_folder_named_twice_is_searched_once(tmp_path: Path) -> None:
    write(tmp_path, "mine.py", good())
    assert discover([tmp_path, tmp_path]).broken == []


def test_files_of_the_same_name_in_different_folders_do_not_clash(tmp_path: Path) -> None:
    write(tmp_path / "one", "same.py", good("First", "FIRST"))
    write(tmp_path / "two", "same.py", good("Second", "SECOND"))
    catalog = discover([tmp_path / "one", tmp_path / "two"])
    assert [loaded.cls.__name__ for loaded in catalog.types.values()] == ["First", "Second"]


def test_files_that_are_no_plugins_are_left_alone(tmp_path: Path) -> None:
    for name in ("_shared.py", "__init__.py", "base.py", "notes.txt"):
        write(tmp_path, name, "raise ValueError\n")
    catalog = discover([tmp_path])
    assert catalog.types == {}
    assert catalog.broken == []


def test_a_base_class_in_between_is_not_a_type_of_its_own(tmp_path: Path) -> None:
    write(
        tmp_path, "mine.py", good("_Common", "COMMON") + good().replace("(Strategy)", "(_Common)")
    )
    assert list(discover([tmp_path]).types) == ["MINE"]


def test_an_imported_strategy_class_is_not_found_again(tmp_path: Path) -> None:
    text = "from strategies.ema_cross import EmaCross\n" + good()
    write(tmp_path, "mine.py", text)
    assert list(discover([tmp_path]).types) == ["MINE"]


def test_the_same_file_gives_the_same_class_and_an_edited_one_a_new_one(tmp_path: Path) -> None:
    file = write(tmp_path, "mine.py", good())
    first, again = load_file(file), load_file(file)
    assert first.cls is again.cls
    # Same length and, likely, the same second: a bytecode cache would not notice.
    file.write_text(good(version="2.0"))
    edited = load_file(file)
    assert edited.metadata.version == "2.0"
    assert edited.code_hash != first.code_hash
    assert not list(tmp_path.glob("**/*.pyc"))


def test_another_process_loads_the_same_class_by_its_file(tmp_path: Path) -> None:
    file = write(tmp_path, "mine.py", good())
    loaded = load_file(file)
    script = (
        "import sys\nfrom engine.catalog import load_file\n"
        "found = load_file(sys.argv[1])\n"
        "print(found.cls.__module__, found.cls.__qualname__, found.code_hash)"
    )
    result = subprocess.run(  # noqa: S603 - our own interpreter on a file of this test
        [sys.executable, "-c", script, str(file)], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == [loaded.cls.__module__, "Mine", loaded.code_hash]


def test_a_missing_folder_or_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"plugin folder .* does not exist"):
        discover([tmp_path / "nowhere"])
    with pytest.raises(PluginError, match="cannot be read"):
        load_file(tmp_path / "nothing.py")


def test_an_unknown_type_suggests_the_nearest_one() -> None:
    catalog = discover(default_folders())
    with pytest.raises(
        ConfigError, match=r"'ema_crss' is not known \(did you mean 'EMA_CROSS'\?\)"
    ):
        catalog.get("ema_crss")
    assert catalog.get("EMA_CROSS").metadata.type == "EMA_CROSS"
