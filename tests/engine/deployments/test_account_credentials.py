"""Credentials of venues: kept for their account alone, on both databases, and shown nowhere."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select

from engine.credentials import Vault
from engine.deployments import Accounts
from engine.deployments.strategies import NewStrategy
from engine.deployments.subscriptions import NewSubscription, Subscriptions
from engine.errors import ConfigError, ForbiddenError, NotFoundError, StaleError
from engine.store import Account, AuditEntry, Store
from engine.store.base import Base
from tests.engine.deployments.conftest import ADMIN, ANN, BOB, CATALOG, EVE, Desk, furnished

SECRET = {"apiKey": "hunter2-key", "apiSecret": "hunter2-secret"}
MONEY = {"USDT": Decimal(1000)}
KEY = b"k" * 32


@pytest.fixture
def kept(store: Store) -> Desk:
    """Return a desk on either database, where Ann has an account with credentials."""
    desk = furnished(store)
    desk.accounts.create("live", MONEY, ANN, account_id="live", venue="binance", credentials=SECRET)
    return desk


def sealed(desk: Desk, account_id: str = "live") -> bytes:
    found = desk.accounts.get(account_id, ADMIN).credentials
    assert found is not None
    return found


def everything(store: Store) -> bytes:
    """Return all there is in a database."""
    with store.read() as session:
        rows = [
            b"".join(
                value if isinstance(value, bytes) else str(value).encode()
                for row in session.execute(select(table))
                for value in row
            )
            for table in Base.metadata.sorted_tables
        ]
    return b"\n".join(rows)


def test_they_are_encrypted_for_their_account_and_nothing_shows_them(
    kept: Desk, address: str
) -> None:
    assert Vault(KEY).open("live", sealed(kept)) == SECRET
    kept.accounts.set_credentials("live", {"token": "hunter2-third"}, ANN)
    assert Vault(KEY).open("live", sealed(kept)) == {"token": "hunter2-third"}
    assert b"binance" in everything(kept.store)
    assert b"hunter2" not in everything(kept.store)
    assert "hunter2" not in repr(kept.accounts.get("live", ANN))
    if "://" not in address:
        files = list(Path(address).parent.glob("chorus.db*"))
        content = b"".join(file.read_bytes() for file in files)
        assert b"binance" in content
        assert b"hunter2" not in content


def test_that_they_changed_is_on_record_and_nothing_else(kept: Desk) -> None:
    kept.accounts.set_credentials("live", SECRET, ANN)
    kept.accounts.forget_credentials("live", ADMIN)
    kept.accounts.set_credentials("live", SECRET, ANN)
    query = select(AuditEntry).where(AuditEntry.object_id == "live").order_by(AuditEntry.id)
    with kept.store.read() as session:
        entries = list(session.scalars(query))
    assert entries[0].change["has_credentials"] is True
    assert [(each.action, each.user_id, each.change) for each in entries[1:]] == [
        ("set credentials", "u-ann", {"has_credentials": [True, True]}),
        ("forget credentials", "u-admin", {"has_credentials": [True, False]}),
        ("set credentials", "u-ann", {"has_credentials": [False, True]}),
    ]


def test_they_are_forgotten(kept: Desk) -> None:
    row = kept.accounts.forget_credentials("live", ANN, if_version=1)
    assert (row.has_credentials, row.version) == (False, 2)
    assert kept.accounts.get("live", ANN).credentials is None
    assert kept.accounts.forget_credentials("live", ANN).has_credentials is False


def test_others_cannot_touch_them(kept: Desk) -> None:
    before = sealed(kept)
    for caller, refusal in ((BOB, NotFoundError), (EVE, ForbiddenError)):
        with pytest.raises(refusal):
            kept.accounts.set_credentials("live", {"apiKey": "bob's"}, caller)
        with pytest.raises(refusal):
            kept.accounts.forget_credentials("live", caller)
    for change in (
        lambda: kept.accounts.set_credentials("live", {"apiKey": "old"}, ANN, if_version=7),
        lambda: kept.accounts.forget_credentials("live", ANN, if_version=7),
    ):
        with pytest.raises(StaleError):
            change()
    assert sealed(kept) == before
    assert kept.accounts.get("live", ANN).version == 1


def test_what_cannot_be_kept_is_refused(kept: Desk) -> None:
    with pytest.raises(ConfigError, match="credentials: account 'u-ann' is a paper account"):
        kept.accounts.set_credentials("a-ann", SECRET, ANN)
    with pytest.raises(ConfigError, match="credentials: account 'x' is a paper account"):
        kept.accounts.create("x", MONEY, ANN, credentials=SECRET)
    with pytest.raises(ConfigError, match="credentials: need 1 to 20"):
        kept.accounts.set_credentials("live", {}, ANN)
    for venue in ("", "Binance", "x" * 33, "paper\n"):
        with pytest.raises(ConfigError, match="venue: needs 1 to 32"):
            kept.accounts.create("x", MONEY, ANN, venue=venue)
    assert Vault(KEY).open("live", sealed(kept)) == SECRET


def test_moved_to_another_account_they_open_nothing(kept: Desk) -> None:
    kept.accounts.create("bobs", MONEY, BOB, account_id="bobs", venue="binance")
    with kept.store.write() as session:
        session.get_one(Account, "bobs").credentials = sealed(kept)
    assert [problem.split(":")[0] for problem in kept.accounts.renew_credentials()] == [
        "credentials of account 'bobs'"
    ]


def test_a_new_key_encrypts_them_anew_and_a_lost_one_leaves_them(kept: Desk) -> None:
    before = sealed(kept)
    lost = Accounts(kept.store, lambda: 0, Vault(b"x" * 32))
    assert "which is not in 'credentials.key'" in lost.renew_credentials()[0]
    assert kept.accounts.renew_credentials() == []
    assert sealed(kept) == before
    assert Accounts(kept.store, lambda: 0, Vault(b"n" * 32, [KEY])).renew_credentials() == []
    assert Vault(b"n" * 32).open("live", sealed(kept)) == SECRET


def test_nothing_trades_with_them_yet(kept: Desk) -> None:
    config = {"symbol": "BTC/USDT", "timeframe": "15m"}
    made = NewStrategy(id="one", definition="builtin-ema_cross", account="live", config=config)
    refusal = "account: 'live' is of venue 'binance', but this version trades on paper only"
    with pytest.raises(ConfigError, match=refusal):
        kept.strategies.create(made, ANN)
    paper = NewStrategy(id="two", definition="builtin-ema_cross", account="a-ann", config=config)
    kept.strategies.create(paper, ANN)
    bots = Subscriptions(kept.store, catalog=lambda: CATALOG, clock=lambda: 1)
    with pytest.raises(ConfigError, match=refusal):
        bots.create(NewSubscription(strategy="two", account="live", capital=Decimal(100)), ANN)
