"""What is asked for is what will be played, or refused with the field."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from engine.catalog.definitions import Draft
from engine.config import RunConfig
from engine.errors import ChorusError, ConfigError, NotFoundError, StoreError
from engine.jobs import BacktestStrategy, Datasets, NewBacktest
from engine.store import Store
from engine.timeframes import TIMEFRAMES
from tests.conftest import build_run, build_strategy
from tests.engine.jobs.conftest import ADMIN, ANN, BOB, EMA, MARKET, RUN, Room
from tests.examples import examples
from tests.stores import an_empty_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """What is checked is the same on every database."""
    with an_empty_store(tmp_path / "chorus.db") as opened:
        yield opened


def config_of(room: Room, job_id: str) -> dict[str, Any]:
    return room.backtests.get(job_id, ADMIN).config


def test_a_whole_run_is_kept_as_it_was_said(room: Room) -> None:
    run = build_run([build_strategy(0), build_strategy(1)])
    said = run.model_dump(mode="json", by_alias=True, exclude_unset=True)
    kept = config_of(room, room.ask(config=said))
    assert RunConfig.model_validate(kept["config"]) == run
    assert set(kept["code"]) == {"RULES"}


def test_one_strategy_alone_is_a_run(room: Room) -> None:
    kept = config_of(room, room.ask(config={"strategies": [EMA], "market": MARKET}))
    assert kept["config"]["strategies"][0]["id"] == "one"
    (room.folder / "BTC-USDT_1m.csv").touch()
    kept = config_of(room, room.ask(config=EMA, datasets=["BTC-USDT_1m.csv"]))
    assert (kept["config"]["name"], kept["datasets"]) == ("one", ["BTC-USDT_1m.csv"])


def test_strategies_are_made_from_definitions_and_stand_beside_others(room: Room) -> None:
    defaults = {"timeframe": "5m", "parameters": {"slow_period": 40}}
    mine = room.definitions.create(
        Draft(key="mine", strategy_type="EMA_CROSS", defaults=defaults), ANN
    )
    fields = {"symbol": "BTC/USDT", "parameters": {"fast_period": 7}}
    made = BacktestStrategy(id="two", definition=mine.id, config=fields)
    kept = config_of(room, room.ask(strategies=[made]))
    one, two = RunConfig.model_validate(kept["config"]).strategies
    assert (one.id, two.id, two.type, two.timeframe) == ("one", "two", "EMA_CROSS", "5m")
    assert two.parameters == {"fast_period": 7, "slow_period": 40}
    assert kept["definitions"] == {"two": {"id": mine.id, "version": 1}}
    with pytest.raises(NotFoundError):
        room.ask(BOB, strategies=[made])
    room.definitions.enable(mine.id, ANN, is_enabled=False)
    with pytest.raises(ConfigError, match=r"strategies.0.definition: 'mine' is disabled"):
        room.ask(strategies=[made])


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the run with one field changed."""
    first, *rest = path.split(".")
    if not rest:
        return {**RUN, first: value}
    inner = RUN["strategies"][0] if first == "strategy" else RUN.get(first, {})
    new = {**inner, rest[0]: value}
    return {**RUN, "strategies": [new]} if first == "strategy" else {**RUN, first: new}


SYNTHETIC = MARKET["synthetic"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("strategies", [], "needs at least one strategy"),
        ("strategies", "x", r"config.strategies: "),
        ("strategies", [EMA, EMA], "strategy ids must be unique"),
        ("strategies", [{**EMA, "id": f"s{n}"} for n in range(5)], "may be 4 in one backtest"),
        ("strategies", [{**EMA, "enabled": False}], "every one is disabled"),
        ("fancy", 1, r"config.fancy: "),
        ("name", 201 * "x", "name: may have 200 letters, has 201"),
        ("pluginFolders", ["plugins"], r"config.pluginFolders: cannot be said over the API"),
        ("market.replay", ["/etc/passwd"], r"config.market.replay: .* name `datasets` instead"),
        ("market.streams", ["paper:BTC/USDT:1m"], r"config.market.streams: cannot be said"),
        ("market.synthetic", None, "datasets: either these or config.market.synthetic"),
        (
            "market.synthetic",
            {**SYNTHETIC, "candles": 20_001},
            "all symbols together may have 20,000, have 20,001",
        ),
        ("market.synthetic", {**SYNTHETIC, "start": "soon"}, "soon"),
        (
            "market.synthetic",
            {**SYNTHETIC, "symbols": 2 * SYNTHETIC["symbols"]},
            "is there twice",
        ),
        ("strategy.symbol", "XRP/USDT", r"config.strategies: stream 'paper:XRP/USDT:15m' has no"),
        ("strategy.venue", "other", r"config.strategies: .*market plays venue 'paper'"),
        ("strategy.type", "EMA_CRSS", r"config.strategies.0: .*did you mean 'EMA_CROSS'"),
        ("strategy.parameters", {"fast_perod": 1}, r"config.strategies.0: .*fast_period"),
        ("strategy.parameters", {"fast_period": "x"}, r"config.strategies.0: .*fast_period"),
        ("strategy.account", "mine", "account 'mine' is not defined"),
        ("strategy.timeframes", [*list(TIMEFRAMES)[:7]], "may have 6 streams"),
        ("accounts", [{"id": "a", "balances": {"EUR": 1}}], r"config.strategies.0: .*paid in USDT"),
    ],
)
def test_what_cannot_run_is_refused_with_the_field(
    room: Room, path: str, value: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        room.ask(config=changed(path, value))
    assert room.backtests.page(ANN).items == []


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"symbol": "BTC/USDT", "timeframe": "7q"}, r"strategies.0: config.timeframe"),
        ({"symbol": "BTC/USDT", "timeframe": "1m", "id": "x"}, r"strategies.0.config: id is said"),
        ({"symbol": "BTC/USDT"}, r"strategies.0: .*needs a `timeframe`"),
    ],
)
def test_what_cannot_be_made_from_a_definition_is_refused(
    room: Room, config: dict[str, Any], message: str
) -> None:
    made = BacktestStrategy(id="two", definition="builtin-ema_cross", config=config)
    with pytest.raises(ConfigError, match=message):
        room.ask(strategies=[made])


@pytest.mark.parametrize("text", ["\0", "\ud800", float("nan"), float("inf"), 300_000 * "x"])
def test_what_no_database_holds_is_refused(room: Room, text: Any) -> None:
    rules = {
        "id": "one",
        "symbol": "BTC/USDT",
        "timeframe": "1m",
        "rules": {"entry": {"condition": "close > 1"}},
        "parameters": {"odd": text},
    }
    with pytest.raises(ChorusError) as refused:
        room.ask(config={"market": MARKET, "strategies": [rules]})
    assert isinstance(refused.value, ConfigError)


@pytest.mark.parametrize("timeframe", list(TIMEFRAMES))
def test_every_timeframe_may_be_a_dataset(room: Room, timeframe: str) -> None:
    name = f"BTC-USDT_{timeframe}.parquet"
    (room.folder / name).touch()
    room.ask(config={**EMA, "timeframe": timeframe}, datasets=[name])


def test_datasets_are_the_files_of_one_folder(tmp_path: Path, room: Room) -> None:
    names = ["BTC-USDT_1m.parquet", "eth-btc_1h.csv", "BTC-USDT-PERP_5m.CSV"]
    for name in names:
        (room.folder / name).write_text("xyz")
    for name in ("notes.txt", "x_1m.csv", "BTC-USDT_7q.csv", "BTC-USDT.csv", "A=B-C_1m.csv"):
        (room.folder / name).touch()
    (room.folder / "SOL-USDT_1m.csv").mkdir()
    (tmp_path / "ABC-USDT_1m.csv").touch()
    found = Datasets(room.folder).all()
    assert [(each.name, each.symbol, each.timeframe, each.size_bytes) for each in found] == [
        ("BTC-USDT-PERP_5m.CSV", "BTC/USDT-PERP", "5m", 3),
        ("BTC-USDT_1m.parquet", "BTC/USDT", "1m", 3),
        ("eth-btc_1h.csv", "eth/btc", "1h", 3),
    ]
    for name in ("../ABC-USDT_1m.csv", str(tmp_path / "ABC-USDT_1m.csv"), "", "notes.txt"):
        with pytest.raises(ConfigError, match=r"datasets: there is no .*BTC-USDT_1m.parquet"):
            Datasets(room.folder).named([name])


def test_no_two_datasets_hold_the_same(room: Room) -> None:
    for name in ("BTC-USDT_1m.csv", "btc-usdt_1m.parquet"):
        (room.folder / name).touch()
    with pytest.raises(ConfigError, match="both hold btc/usdt 1m; name one"):
        room.ask(config=EMA, datasets=["BTC-USDT_1m.csv", "btc-usdt_1m.parquet"])
    with pytest.raises(ConfigError, match="both hold BTC/USDT 1m; name one"):
        room.ask(config=EMA, datasets=2 * ["BTC-USDT_1m.csv"])


def test_datasets_and_a_synthetic_market_exclude_each_other(room: Room) -> None:
    (room.folder / "BTC-USDT_1m.csv").touch()
    with pytest.raises(ConfigError, match="give one of them"):
        room.ask(datasets=["BTC-USDT_1m.csv"])


def test_without_a_folder_there_are_none(tmp_path: Path) -> None:
    assert Datasets(None).all() == []
    with pytest.raises(ConfigError, match="is no folder"):
        Datasets(tmp_path / "nothing")
    gone = tmp_path / "gone"
    gone.mkdir()
    datasets = Datasets(gone)
    gone.rmdir()
    with pytest.raises(StoreError, match="data folder: cannot be read"):
        datasets.all()


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    field=st.sampled_from(
        [*RunConfig.model_fields, "strategy.risk", "strategy.parameters", "market.synthetic"]
    ),
    value=_VALUES,
)
def test_whatever_is_asked_for_is_kept_or_refused(room: Room, field: str, value: Any) -> None:
    with suppress(ConfigError):  # and no other error
        room.backtests._requests.checked(NewBacktest(config=changed(field, value)), ANN)
