"""Whatever the order in which messages arrive, the ledger is that of the sequential run."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backtest import Backtest
from engine.catalog import Catalog
from engine.config import RunConfig
from engine.sequencing.coordinator import Coordinator
from engine.sequencing.records import Registered, Traded, Withdrawn
from engine.trading import Ledger, Registration
from tests.engine.sequencing.network import Network, Placement
from tests.engine.sequencing.oracle import Obedient, Retelling, market_of, sequential
from tests.engine.sequencing.runs import LATE, a_run, a_run_on_files
from tests.examples import examples

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
@examples(2, fewest=1)
@given(seed=seeds)
def test_any_interleaving_of_messages_gives_the_ledger_of_the_sequential_run(
    policy: str, placement: str, catalog: Catalog, seed: int
) -> None:
    assert_same_ledger(a_run(policy), catalog, seed, PLACEMENTS[placement])


disturbed = pytest.mark.parametrize("placement", ["dedicated", "mixed"])


def played(
    policy: str, placement: str, catalog: Catalog, seed: int, *, moves: float = 0.0, **chances: Any
) -> Network:
    """Play a disturbed run; instances move only where there is more than their own process."""
    moves = moves if placement == "mixed" else 0.0
    network = Network(a_run(policy), catalog, seed, PLACEMENTS[placement], moves=moves, **chances)
    network.play()
    return network


@pytest.mark.slow
@policies
@disturbed
@examples(2, fewest=1)
@given(seed=seeds)
def test_processes_that_die_and_instances_that_move_leave_the_same_ledger(
    policy: str, placement: str, catalog: Catalog, seed: int
) -> None:
    expected = sequential(a_run(policy), catalog)
    network = played(policy, placement, catalog, seed, kills=0.05, moves=0.05)
    assert network.counts["runner"]
    assert network.counts["coordinator"]
    assert network.counts["move"] >= 100 * network.changes.moves
    assert network.manager.ledger.sha256() == expected.manager.ledger.sha256()
    found = network.finish()
    for name, instance in expected.instances.items():
        assert network.manager.ledger.sha256_of(name) == expected.manager.ledger.sha256_of(name)
        assert found[name].snapshot() == instance.snapshot()


DISTURBED: dict[str, dict[str, Any]] = {
    "commands and late joins": {"moves": 0.03, "late": LATE},
    "leaving and coming back": {"moves": 0.03, "leaves": 0.03, "stores": 0.2},
    "stored states": {"moves": 0.03, "late": LATE, "stores": 0.2},
    "records that are lost": {
        "kills": 0.02,
        "orders_given": 0.05,
        "stores": 0.3,
        "disasters": 0.02,
    },
    "followers and halts": {"moves": 0.03, "leaves": 0.03, "operates": 0.05, "stores": 0.2},
    "followers and records that are lost": {"kills": 0.02, "operates": 0.05, "disasters": 0.02},
}


@pytest.mark.slow
@policies
@disturbed
@pytest.mark.parametrize("by", DISTURBED)
@examples(2, fewest=1)
@given(seed=seeds)
def test_whatever_happens_everything_is_as_in_a_sequential_run_that_is_told_the_same(
    by: str, policy: str, placement: str, catalog: Catalog, seed: int
) -> None:
    chances = {"kills": 0.05, "orders_given": 0.02, **DISTURBED[by]}
    network = played(policy, placement, catalog, seed, **chances)
    if "late" in chances:
        assert network.counts["join"] == len(LATE)
    if "leaves" in chances:
        assert network.counts["join"] >= network.counts["leave"] > 0
    if "stores" in chances:
        assert network.counts["used"]
    told = assert_as_sequential(network)
    assert b"".join(network.operating.read) == written(network.manager.ledger)
    assert network.operating.executed == executed(network.coordinator)
    if "operates" in chances:
        assert network.operating.counts["follow"]
    if by == "commands and late joins":
        assert sum(each.obeyed for each in told.values()) > 10
        assert any(each.joined for each in told.values())


def executed(coordinator: Coordinator) -> list[bytes]:
    """Return all lines on executions."""
    return coordinator.executions_from(0, 1_000_000, with_roster=False).lines


def written(ledger: Ledger) -> bytes:
    """Return all lines of a ledger, as its hash has them."""
    lines = b"".join(ledger.lines_from(0, ledger.lines))
    assert hashlib.sha256(lines).hexdigest() == ledger.sha256()
    return lines


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["independent", "net"])
@examples(2, fewest=1)
@given(seed=seeds)
def test_the_records_give_the_same_ledger_again_at_whatever_place_they_end(
    policy: str, catalog: Catalog, seed: int
) -> None:
    network = played(policy, "dedicated", catalog, seed, operates=0.05)
    network.finish()
    lines, records = written(network.manager.ledger), network.deaths.memory.records
    all_executed = executed(network.coordinator)
    operated = [n for n, r in enumerate(records) if isinstance(r, Registered | Withdrawn | Traded)]
    cuts = {len(records), *operated[-12:], *network.random.sample(range(len(records)), 12)}
    for cut in sorted(cuts):
        manager = network.new_manager()
        again = Coordinator(manager, reign=1)
        again.restore(network.published, records[:cut])
        assert again.lines == manager.ledger.lines
        assert lines.startswith(written(manager.ledger))
        repeated = executed(again)
        assert all_executed[: len(repeated)] == repeated
    assert manager.trading() == network.manager.trading()
    assert manager.account_states() == network.manager.account_states()
    assert written(manager.ledger) == lines


@pytest.mark.slow
@policies
def test_followers_of_real_strategies_do_what_these_do(policy: str, catalog: Catalog) -> None:
    config = a_run(policy)
    alone, backtest = sequential(config, catalog), Backtest(config, catalog, market_of(config))
    account = config.accounts[0].model_copy(update={"id": "other"})
    names = [strategy.id for strategy in config.strategies]
    for strategy in config.strategies:
        follower = Registration.of_follower(
            f"~{strategy.id}", strategy, account, leverage=strategy.leverage, risk=strategy.risk
        )
        backtest.manager.register(follower)
    assert backtest.run(every=10_000, watch=lambda: True)
    ledger = backtest.manager.ledger
    for name in names:
        assert ledger.sha256_of(name) == alone.manager.ledger.sha256_of(name)
        theirs = [msgspec.structs.asdict(record.fill) for record in ledger.fills(f"~{name}")]
        assert [
            {**fill, **{k: fill[k][1:] for k in ("instance", "fill_id", "order_id")}}
            for fill in theirs
        ] == [msgspec.structs.asdict(record.fill) for record in ledger.fills(name)]
        assert theirs or name in LATE


def assert_as_sequential(network: Network) -> dict[str, Obedient]:
    """Compare with a sequential run in which everybody is told the same at the same steps."""
    found = {name: instance.snapshot() for name, instance in network.finish().items()}
    retelling = Retelling(network.config, network.catalog, network.market)
    retelling.run(network.published, network.deaths.memory.records)
    assert network.manager.ledger.sha256() == retelling.manager.ledger.sha256()
    told = retelling.told
    present = {name: each.instance for name, each in told.items() if each.instance is not None}
    assert found == {name: instance.snapshot() for name, instance in present.items()}
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
@examples(4, fewest=1)
@given(seed=seeds)
def test_streams_that_orders_are_not_matched_on_give_the_ledger_of_the_sequential_run(
    is_mixed: bool, catalog: Catalog, two_files: list[str], seed: int
) -> None:
    mixed = {"mixed": ["stops", "fine", "two_streams"], "trail": ["trail"], "one": ["coarse"]}
    assert_same_ledger(a_run_on_files(two_files), catalog, seed, mixed if is_mixed else None)
