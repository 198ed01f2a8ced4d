"""An event tells of an order, a fill or a signal what the API shows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import select

from api.server.routes.fills import FillView
from api.server.routes.orders import OrderView
from api.server.routes.strategy_history import SignalView
from engine.store import Fill, Order, Signal
from tests.engine.recording.ledgers import a_ledger, a_recorder, an_event_log, record_all
from tests.stores import an_empty_store

LEDGER, _ = a_ledger("independent", 3)


def test_the_last_event_of_each_row_is_its_view(tmp_path: Path) -> None:
    log = an_event_log()
    told: dict[str, dict[str, Any]] = {"orders": {}, "fills": {}, "signals": {}}
    with an_empty_store(tmp_path / "chorus.db") as store:
        record_all(a_recorder(store, event_log=log), LEDGER)
        for event in log.read(None, 10**6):
            told[event.topic][event.data["id"]] = event.data
        with store.read() as session:
            for topic, model, view in (
                ("orders", Order, OrderView),
                ("fills", Fill, FillView),
                ("signals", Signal, SignalView),
            ):
                for row in session.scalars(select(model)):
                    data = told[topic].pop(row.id)
                    assert data.pop("strategyId") == row.strategy_id
                    shown = view.of(row).model_dump(mode="json", by_alias=True)
                    shown.pop("strategyId", None)
                    assert data == shown
    assert told == {"orders": {}, "fills": {}, "signals": {}}
