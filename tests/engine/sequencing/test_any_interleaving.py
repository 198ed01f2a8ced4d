"""Whatever the order in which messages arrive, the ledger is that of the sequential run."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.catalog import Catalog
from engine.config import RunConfig
from tests.engine.sequencing.network import (
    Network,
    Obedient,
    Placement,
    market_of,
    sequential,
    sequential_as,
)
from tests.engine.sequencing.runs import LATE, a_run, a_run_on_files

POLICIES = ["independent", "net", "priority", "first"]
PLACEMENTS: dict[str, Placement | None] = {
    "dedicated": None,
    "mixed": {
        "even": ["plain", "stops", "slow", "late"],
        "fast": ["fast"],
        "odd": ["trail", "two_streams", "later"],
    },
    "all in one": {
        "all": ["plain", "stops", "fast", "slow", "trail", "two_streams", "late", "later"]
    },
    "same stream": {
        "same": ["plain", "stops", "fast", "late"],
        "slow": ["slow"],
        "trail": ["trail"],
        "lonely": ["two_streams"],
        "later": ["later"],
    },
}
seeds = st.integers(0, 2**32)
policies = pytest.mark.parametrize("policy", POLICIES)


@policies
def test_the_sequential_run_trades_enough_to_mean_something(policy: str, catalog: Catalog) -> None:
    backtest = sequential(a_run(policy), catalog)
    fills = {name: backtest.manager.ledger.fills(name) for name in backtest.instances}
    assert all(len(of_one) >= 2 for name, of_one in fills.items() if name not in LATE)
    roles = {record.fill.role for of_one in fills.values() for record in of_one}
    assert {"entry", "exit", "stop_loss", "take_profit", "trailing_stop"} <= roles


def assert_same_ledger(
    config: RunConfig, catalog: Catalog, seed: int, placement: Placement | None = None
) -> None:
    expected = sequential(config, catalog)
    network = Network(config, catalog, seed, placement)
    network.play()
    for name in expected.instances:
        assert network.manager.ledger.fills(name) == expected.manager.ledger.fills(name)
    assert network.manager.ledger.sha256() == expected.manager.ledger.sha256()


@policies
@pytest.mark.parametrize("placement", PLACEMENTS)
@settings(max_examples=4, deadline=None)
@given(seed=seeds)
def test_any_interleaving_of_messages_gives_the_ledger_of_the_sequential_run(
    policy: str, placement: str, catalog: Catalog, seed: int
) -> None:
    assert_same_ledger(a_run(policy), catalog, seed, PLACEMENTS[placement])


@pytest.mark.slow
@policies
@pytest.mark.parametrize("placement", ["dedicated", "mixed"])
@settings(max_examples=3, deadline=None)
@given(seed=seeds)
def test_processes_that_die_and_instances_that_move_leave_the_same_ledger(
    policy: str, placement: str, catalog: Catalog, seed: int
) -> None:
    config = a_run(policy)
    expected = sequential(config, catalog)
    moves = 0.05 if placement == "mixed" else 0.0
    network = Network(config, catalog, seed, PLACEMENTS[placement], kills=0.05, moves=moves)
    network.play()
    assert network.counts["runner"]
    assert network.counts["coordinator"]
    assert network.counts["move"] >= 100 * moves
    assert network.manager.ledger.sha256() == expected.manager.ledger.sha256()
    found = network.finish()
    for name, instance in expected.instances.items():
        assert network.manager.ledger.sha256_of(name) == expected.manager.ledger.sha256_of(name)
        assert found[name].snapshot() == instance.snapshot()


@pytest.mark.slow
@policies
@pytest.mark.parametrize("placement", ["dedicated", "mixed"])
@settings(max_examples=3, deadline=None)
@given(seed=seeds)
def test_commands_and_late_joins_come_at_the_same_step_for_whoever_comes_back(
    policy: str, placement: str, catalog: Catalog, seed: int
) -> None:
    is_mixed = placement == "mixed"
    network = Network(
        a_run(policy),
        catalog,
        seed,
        PLACEMENTS[placement],
        kills=0.05,
        orders_given=0.02,
        moves=0.03 if is_mixed else 0.0,
        late=LATE,
    )
    network.play()
    assert network.counts["join"] == len(LATE)
    told = assert_as_sequential(network)
    assert sum(len(network.membership(name).commands) for name in told) > 10
    assert any(each.joined for each in told.values())


@pytest.mark.slow
@policies
@pytest.mark.parametrize("placement", ["dedicated", "mixed"])
@settings(max_examples=3, deadline=None)
@given(seed=seeds)
def test_who_goes_on_from_a_stored_state_is_who_lived_through_everything(
    policy: str, placement: str, catalog: Catalog, seed: int
) -> None:
    is_mixed = placement == "mixed"
    network = Network(
        a_run(policy),
        catalog,
        seed,
        PLACEMENTS[placement],
        kills=0.05,
        orders_given=0.02,
        moves=0.03 if is_mixed else 0.0,
        late=LATE,
        stores=0.2,
    )
    network.play()
    assert network.counts["used"]
    assert_as_sequential(network)


@pytest.mark.slow
@policies
@pytest.mark.parametrize("placement", ["dedicated", "mixed"])
@settings(max_examples=3, deadline=None)
@given(seed=seeds)
def test_a_stored_state_is_not_believed_what_the_records_have_lost(
    policy: str, placement: str, catalog: Catalog, seed: int
) -> None:
    network = Network(
        a_run(policy),
        catalog,
        seed,
        PLACEMENTS[placement],
        kills=0.02,
        orders_given=0.05,
        stores=0.3,
        disasters=0.02,
    )
    network.play()
    assert network.counts["used"]
    assert_as_sequential(network)


def assert_as_sequential(network: Network) -> dict[str, Obedient]:
    """Compare with a sequential run in which everybody is told the same at the same steps."""
    found = {name: instance.snapshot() for name, instance in network.finish().items()}
    manager, told = sequential_as(network)
    assert network.manager.ledger.sha256() == manager.ledger.sha256()
    assert found == {name: each.instance.snapshot() for name, each in told.items()}
    assert not any(each.due for each in told.values())
    return told


def test_the_run_on_files_that_disagree_has_stops_hit_where_only_one_file_shows_it(
    catalog: Catalog, two_files: list[str]
) -> None:
    config = a_run_on_files(two_files)
    market = market_of(config)
    assert market.uncovered == {"paper:AAA/USDT:5m"}
    ledger = sequential(config, catalog).manager.ledger
    shown = {candle.close_time: candle for _, candle in market.history("paper:AAA/USDT:5m")}
    stopped = [record.fill for record in ledger.fills("stops") if record.fill.role == "stop_loss"]
    hidden = [
        fill
        for fill in stopped
        if (candle := shown.get(fill.time)) is not None
        and not candle.low <= float(fill.price) <= candle.high
    ]
    assert len(stopped) > 10
    assert hidden


@pytest.mark.slow
@pytest.mark.parametrize("is_mixed", [False, True])
@settings(max_examples=6, deadline=None)
@given(seed=seeds)
def test_streams_that_orders_are_not_matched_on_give_the_ledger_of_the_sequential_run(
    is_mixed: bool, catalog: Catalog, two_files: list[str], seed: int
) -> None:
    mixed = {"mixed": ["stops", "fine", "two_streams"], "trail": ["trail"], "one": ["coarse"]}
    assert_same_ledger(a_run_on_files(two_files), catalog, seed, mixed if is_mixed else None)
