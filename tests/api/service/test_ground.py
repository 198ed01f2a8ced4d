"""What a service stands on says what is wrong with it, and stands all the same."""

from __future__ import annotations

from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import pytest

from api.service.ground import Feed, open_ground, open_store
from api.service.plan import ServicePlan
from engine.access import Caller
from engine.config import RunConfig
from engine.credentials import FILE, Vault
from engine.deployments import Accounts
from engine.store import User

ANN = Caller("ann", "trader")
MONEY = {"USDT": Decimal(1)}
SECRET = {"apiKey": "hunter2"}
NEW_KEY = b"n" * 32


def test_credentials_are_encrypted_anew_with_a_new_key_and_a_lost_one_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = RunConfig.model_validate(
        {"strategies": [{"id": "a", "type": "EMA_CROSS", "symbol": "BTC/USDT", "timeframe": "1m"}]}
    )
    plan = ServicePlan(config=config, folder=tmp_path)
    file = tmp_path / FILE

    with open_store(plan) as store, ExitStack() as stack:

        def opened() -> Accounts:
            return open_ground(plan, Feed(), store, stack).accounts

        with store.write() as session:
            session.add(User(id="ann", name="ann", role="trader", created_ms=0))
        opened().create("live", MONEY, ANN, account_id="live", venue="some", credentials=SECRET)
        with file.open("ab") as keys:
            keys.write(NEW_KEY)
        renewed = opened().get("live", ANN).credentials
        assert renewed is not None
        assert Vault(NEW_KEY).open("live", renewed) == SECRET
        assert "credentials" not in caplog.text
        file.unlink()
        assert opened().get("live", ANN).credentials == renewed
    assert "credentials of account 'live': were encrypted with key" in caplog.text
    assert "hunter2" not in caplog.text
