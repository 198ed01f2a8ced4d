"""What is changed, here or by another process, reaches the engine at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.deployment import Deployment
from api.service.deployer import Deployer
from api.service.ground import Feed, Ground, open_ground
from api.service.kept_code import KeptCode
from api.service.plan import ServicePlan
from api.service.rounds import Rounds
from engine.access import Caller
from engine.changes import Change
from engine.config import RunConfig
from engine.deployments import NewStrategy, Served
from engine.deployments.bots import NewSubscription
from engine.store import Store, User
from tests.redis_server import redis_server
from tests.stores import a_seeded_store

ANN = Caller("ann", "trader")
SOON_S = 30.0
AN_HOUR_S = 3600.0
CONFIG = RunConfig.model_validate(
    {"strategies": [{"id": "a", "type": "EMA_CROSS", "symbol": "BTC/USDT", "timeframe": "1m"}]}
)
NEW = NewStrategy(
    id="one",
    definition="builtin-ema_cross",
    account="paper",
    config={"symbol": "BTC/USDT", "timeframe": "1m"},
)

Open = Callable[..., Ground]
"""Opens what another process would stand on, over the same store."""


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Open]:
    file, feed = tmp_path / "chorus.db", Feed()
    feed.served = Served(frozenset({"paper:BTC/USDT:1m"}), {})
    with ExitStack() as stack:
        first = stack.enter_context(a_seeded_store(file))
        with first.write() as session:
            session.add(User(id="ann", name="ann", role="trader", created_ms=0))

        def opened(redis: str = "") -> Ground:
            plan = ServicePlan(config=CONFIG, folder=tmp_path, redis=redis)
            store = stack.enter_context(closing(Store.open(file)))
            return open_ground(plan, feed, store, stack)

        yield opened


class Engine:
    """Is told of strategies, and looks whether it is known by then whose they are."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._told = threading.Condition()
        self._known: dict[str, Deployment] = {}

    def deploy(self, deployments: Sequence[Deployment]) -> dict[str, str]:
        for each in deployments:
            owner = self._ground.ownership.of(each.config.id)
            assert owner is not None
            assert owner.owner_id == "ann"
        with self._told:
            self._known |= {each.config.id: each for each in deployments}
            self._told.notify_all()
        return {}

    def await_told(self, name: str, **parameters: Any) -> None:
        def is_told() -> bool:
            known = self._known.get(name)
            return known is not None and parameters.items() <= known.config.parameters.items()

        with self._told:
            assert self._told.wait_for(is_told, SOON_S), self._known


def deployer_of(ground: Ground, engine: Engine, folder: Path) -> Deployer:
    return Deployer(
        ground.strategies,
        lambda: ground.files.catalog,
        engine.deploy,
        keep=KeptCode(folder / "code").keep,
        on_news=ground.ownership.changed,
    )


def test_another_process_s_change_reaches_the_engine_without_waiting_for_the_next_look(
    another: Open, tmp_path: Path
) -> None:
    with redis_server() as server:
        leader, other = another(server.address), another(server.address)
        assert leader.changed.wait(SOON_S)  # it listens: everything may have changed before
        heard: list[Change] = []
        leader.changes.listen(heard.append)
        engine = Engine(leader)
        deployer = deployer_of(leader, engine, tmp_path)
        with closing(Rounds([deployer.round], leader.changed, every_s=AN_HOUR_S)) as rounds:
            rounds.start()
            other.accounts.create("paper", {"USDT": Decimal(1)}, ANN, account_id="paper")
            other.strategies.create(NEW, ANN)
            engine.await_told("one")
            other.strategies.set_parameters("one", {"allow_short": True}, ANN)
            engine.await_told("one", allow_short=True)
        told = [(each.kind, each.id, each.version) for each in heard]
        assert told == [("account", "paper", 1), ("strategy", "one", 1), ("strategy", "one", 2)]


def test_what_this_process_changes_of_what_is_deployed_wakes_the_rounds(another: Open) -> None:
    ground = another()
    ground.accounts.create("paper", {"USDT": Decimal(1)}, ANN, account_id="paper")
    ground.accounts.create("mine", {"USDT": Decimal(100)}, ANN, account_id="mine")
    assert not ground.changed.is_set()
    assert ground.ownership.of("one") is None
    ground.strategies.create(NEW, ANN)
    assert ground.changed.is_set()
    assert ground.ownership.of("one") is not None
    ground.changed.clear()
    bot = ground.subscriptions.create(
        NewSubscription(strategy="one", account="mine", capital=Decimal(50)), ANN
    )
    assert ground.changed.is_set()
    assert ground.ownership.of(bot.id) is not None


def test_whose_a_strategy_of_another_process_is_is_known_also_without_a_word_of_it(
    another: Open, tmp_path: Path
) -> None:
    leader, other = another(), another()
    assert leader.ownership.of("one") is None
    other.accounts.create("paper", {"USDT": Decimal(1)}, ANN, account_id="paper")
    other.strategies.create(NEW, ANN)
    assert leader.ownership.of("one") is None
    engine = Engine(leader)
    deployer_of(leader, engine, tmp_path).round()
    engine.await_told("one")
