"""What strategies did, and where they trade, by command line."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from api.cli.remote.output import Field, Printer
from tests.api.cli_remote.conftest import Desk, started
from tests.api.server.engine import FakeEngine
from tests.engine.history.conftest import a_fill, a_position, a_signal, an_order

ORDER = "r1|one|paper:BTC/USDT:15m|41|0"


@pytest.fixture
def busy(desk: Desk) -> Desk:
    """Return a desk whose strategy ``one`` has done a little of everything."""
    account = started(desk)["accountId"]
    own = {"strategy_id": "one", "account_id": account}
    with desk.services.history._store.write() as session:
        for n in range(3):
            order = ORDER if n == 0 else f"o{n}"
            status = "open" if n == 2 else "filled"
            session.add(an_order(order, created_ms=n, status=status, **own))
            session.flush()
            profit = Decimal(-5) if n else None
            session.add(a_fill(f"{order}#1", at_ms=n, realized=profit, **own))
            session.add(a_signal(f"g{n}", strategy_id="one", at_ms=n))
        session.add(a_position(**own))
    return desk


SHOWN = [
    ("orders", ["o2", "o1", ORDER]),
    ("orders --strategy one --status open", ["o2"]),
    ("orders --account paper --symbol BTC/USDT --side buy", ["o2", "o1", ORDER]),
    ("orders --limit 2", ["o2", "o1"]),
    ("fills", ["o2#1", "o1#1", f"{ORDER}#1"]),
    ("fills --side sell", []),
    ("fills --from 1970-01-01T00:00:00.001Z", ["o2#1", "o1#1"]),
    ("fills --to 1970-01-01T00:00:00.001+00:00", [f"{ORDER}#1"]),
    ("signals one --code accepted", ["g2", "g1", "g0"]),
    ("signals one --limit 0", ["g2", "g1", "g0"]),
]


def test_lists_show_what_was_done(busy: Desk) -> None:
    for command, ids in SHOWN:
        found = busy.json(*command.split())
        assert [item["id"] for item in found["items"]] == ids, command
        assert len(busy.lines(*command.split())) == len(ids) + 1


def test_lists_say_it_for_people(busy: Desk) -> None:
    fill = dict(zip(*(line.split("\t") for line in busy.lines("fills")[:2]), strict=True))
    assert fill["at"] == "1970-01-01 00:00:00"
    assert (fill["side"], fill["realized"], fill["order"]) == ("buy", "-5.00", "o2")
    head, position = (line.split("\t") for line in busy.lines("positions"))
    assert head[0] == "strategy"
    assert position[0] == "one"
    assert busy.json("positions", "--all", "--symbol", "ETH/USDT")["items"] == []


REFUSED = [
    ("signals two", "strategy 'two'"),
    ("orders --from yesterday", "query.from: "),
    ("orders --account nowhere", "account 'nowhere'"),
    ("ps --sort beauty", "sort"),
    ("orders --side up", "Invalid value for '--side'"),
    ("alerts acknowledge 77", "77"),
    ("trading halt --account nowhere", "account 'nowhere'"),
    ("accounts open x USDT", "CURRENCY=AMOUNT"),
    ("accounts open x USDT=much", "balances.USDT"),
    ("accounts open x USDT=1 --venue Binance!", "venue"),
    ("accounts set-credentials paper apiKey apiKey", "NAME: one is given twice"),
    ("accounts set-credentials nowhere apiKey", "account 'nowhere'"),
    ("accounts set-credentials paper apiKey", "apiKey: nothing was given"),
    ("accounts set-credentials paper", "standard input: needs a JSON object of texts"),
    ("accounts forget-credentials nowhere", "account 'nowhere'"),
    ("definitions trusted-keys", "admin"),
    ("definitions trust desk abc", "admin"),
    ("set one", "NAME=VALUE: nothing is to be changed"),
    ("set one --visibility secret", "Invalid value for '--visibility'"),
    ("bots pause nobody", "bot"),
    ("bots follow one --capital 5 --account nowhere", "account 'nowhere'"),
    ("backtests show nothing", "backtest"),
    ("backtests run /nowhere.yaml", "/nowhere.yaml"),
    ("definitions import /nowhere.json", "/nowhere.json: cannot be read"),
    ("users role nobody --role viewer", "user 'nobody'"),
    ("keys revoke nothing", "key"),
    ("keys create k --expires soon", "expires"),
]


def test_what_cannot_be_is_refused_with_what_is_wrong(busy: Desk) -> None:
    for command, said in REFUSED:
        result = busy.call(*command.split())
        assert (result.exit_code, result.stdout) == (2, ""), command
        assert said in result.stderr
        assert "Traceback" not in result.stderr


def test_alerts_are_listed_until_somebody_has_looked(busy: Desk) -> None:
    owner = busy.json("users")["items"][0]["id"]
    busy.services.alerts.raise_alert(
        "error", "it broke", "strategy 'one': broke", strategy_id="one", owner_id=owner
    )
    (alert,) = busy.json("alerts", "--level", "error", "--strategy", "one")["items"]
    assert busy.lines("alerts")[1].split("\t")[2:5] == ["error", "one", "it broke"]
    assert busy.lines("alerts", "acknowledge", alert["id"]) == [
        f"alert {alert['id']}: acknowledged"
    ]
    assert busy.json("alerts")["items"] == []
    assert len(busy.json("alerts", "--all")["items"]) == 1


def test_trading_is_halted_and_resumed(busy: Desk, engine: FakeEngine) -> None:
    (account,) = busy.json("accounts")["items"]
    assert busy.lines("trading", "halt", "--account", "paper") == ["paper: halted"]
    assert engine.modes[account["id"]] == "halted"
    assert busy.lines("trading")[1].split("\t")[:2] == ["paper", "halted"]
    assert busy.json("trading", "reduce", "--account", account["id"])["mode"] == "reduce"
    assert busy.json("trading", "resume", "--account", "paper")["mode"] == "running"
    refused = busy.call("trading", "halt")
    assert (refused.exit_code, "ask an admin" in refused.stderr) == (2, True)
    assert busy.lines("trading", "halt", who="admin") == ["all accounts: halted"]
    assert busy.json("trading")["accounts"][0]["mode"] == "halted"


def test_accounts_are_opened_and_disabled(desk: Desk) -> None:
    made = desk.json("accounts", "open", "spot", "USDT=10000", "BTC=0.5")
    assert made["balances"] == {"USDT": "10000", "BTC": "0.5"}
    assert desk.lines("accounts", "disable", "spot") == ["spot: disabled"]
    assert [line.split("\t")[4] for line in desk.lines("accounts")[1:]] == ["enabled", "disabled"]
    assert desk.json("accounts", "enable", made["id"])["isEnabled"] is True


SECRET = "s3cr3t-words"  # noqa: S105 - of a test


def test_credentials_are_read_and_never_shown(desk: Desk) -> None:
    live = desk.json("accounts", "open", "live", "USDT=10", "--venue", "okx")
    assert (live["venue"], live["hasCredentials"]) == ("okx", False)
    kept = desk.call(
        "accounts", "set-credentials", "live", "apiKey", "apiSecret", typed=f"id\n{SECRET}\n"
    )
    assert (kept.exit_code, kept.stdout) == (0, "live: credentials are kept\n")
    assert opened(desk, live["id"]) == {"apiKey": "id", "apiSecret": SECRET}
    pem = {"privateKey": f"-----BEGIN\n{SECRET}\n-----END"}
    command = ("accounts", "set-credentials", live["id"])
    shown = desk.json(*command, typed=json.dumps(pem))
    assert (shown["hasCredentials"], SECRET in json.dumps(shown)) == (True, False)
    assert opened(desk, live["id"]) == pem
    for typed in (f'{{"a": "{SECRET}"', f'["{SECRET}"]', f'{{"a": ["{SECRET}"]}}', SECRET):
        refused = desk.call(*command, typed=typed, CHORUS_DEBUG="1")
        assert (refused.exit_code, SECRET in refused.output) == (2, False)
    assert opened(desk, live["id"]) == pem
    forgotten = desk.lines("accounts", "forget-credentials", "live")
    assert forgotten == ["live: has no credentials"]
    assert desk.json("accounts")["items"][1]["hasCredentials"] is False
    on_paper = desk.call("accounts", "set-credentials", "paper", "apiKey", typed=f"{SECRET}\n")
    assert on_paper.exit_code == 2
    assert "needs none" in on_paper.stderr
    assert SECRET not in on_paper.output


def opened(desk: Desk, account: str) -> dict[str, str]:
    """Return the credentials of an account as they are kept."""
    accounts = desk.services.accounts
    sealed = accounts.get(account, desk.admin).credentials
    assert sealed is not None
    return dict(accounts._vault.open(account, sealed))


def test_a_strategy_is_offered_to_others_and_no_more(desk: Desk) -> None:
    started(desk)
    said = desk.lines("set", "one", "--visibility", "public")
    assert said[-1] == "one: is public"
    assert desk.listed("one")["visibility"] == "public"
    found = desk.json("set", "one", "allow_short=true", "--visibility", "private")
    assert (found["visibility"], found["config"]["parameters"]["allow_short"]) == ("private", True)
    assert len(desk.lines("set", "one", "allow_short=false")) == 1


def test_bots_follow_pause_and_go(desk: Desk) -> None:
    started(desk)
    desk.lines("set", "one", "--visibility", "public")
    desk.user("bob")
    bot = desk.json("bots", "follow", "one", "--capital", "250", who="bob")["id"]
    assert desk.lines("bots", "pause", bot, who="bob") == [f"{bot}: paused"]
    assert desk.json("bots", "--strategy", "one", "--status", "active", who="bob")["items"] == []
    assert desk.lines("bots", "resume", bot, who="bob") == [f"{bot}: active"]
    assert desk.lines("bots", who="bob")[1].split("\t")[:3] == [bot, "one", "active"]
    refused = desk.call("remove", "one")
    assert (refused.exit_code, "follow" in refused.stderr) == (2, True)
    desk.lines("remove", "one", "--force")
    assert desk.lines("bots", "remove", bot, who="bob") == [f"{bot}: removed"]


def test_definitions_travel_as_files(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "ema.chorus.json"
    desk.lines("definitions", "export", "ema_cross", file)
    document = json.loads(file.read_text())
    assert document["content"]["key"] == "ema_cross"
    assert json.loads("\n".join(desk.lines("definitions", "export", "ema_cross"))) == document
    again = desk.call("definitions", "export", "ema_cross", file)
    assert (again.exit_code, "is there already" in again.stderr) == (2, True)
    assert desk.lines("definitions", "import", file, "--key", "mine") == ["mine: created"]
    assert desk.json("definitions", "import", file, "--key", "mine")["outcome"] == "unchanged"
    assert desk.lines("definitions", "disable", "mine") == ["mine: disabled"]
    assert desk.json("definitions", "enable", "mine")["isEnabled"] is True
    keys = [item["key"] for item in desk.json("definitions", "--type", "EMA_CROSS")["items"]]
    assert keys == ["ema_cross", "mine"]
    assert "defaults" in desk.json("definitions", "show", "mine")
    document["content"]["name"] = "forged"
    file.write_text(json.dumps(document))
    forged = desk.call("definitions", "import", file)
    assert (forged.exit_code, "sha256" in forged.stderr) == (2, True)


def test_keys_of_other_installations_are_trusted_and_no_more(desk: Desk) -> None:
    own = desk.json("definitions", "signing-key")
    assert desk.lines("definitions", "signing-key")[0] == f"publicKey: {own['publicKey']}"
    made = desk.json("definitions", "trust", "other desk", own["publicKey"], who="admin")
    assert made["id"] == own["fingerprint"]
    shown = desk.lines("definitions", "trusted-keys", who="admin")[1].split("\t")
    assert shown[:3] == ["other desk", own["fingerprint"], own["publicKey"]]
    again = desk.call("definitions", "trust", "other desk", own["publicKey"], who="admin")
    assert again.exit_code == 2
    gone = desk.lines("definitions", "distrust", "other desk", who="admin")
    assert gone == ["other desk: is trusted no more"]
    assert desk.json("definitions", "trusted-keys", who="admin")["items"] == []
    refused = desk.call("definitions", "distrust", "other desk", who="admin")
    assert (refused.exit_code, "trusted key 'other desk'" in refused.stderr) == (2, True)


def test_strategy_files_are_looked_at_anew(desk: Desk) -> None:
    found = desk.json("sync", who="admin")
    assert found["added"] == found["changed"] == found["removed"] == []
    assert desk.lines("sync", who="admin") == [f"{found['unchanged']} unchanged"]


def test_backtests_are_asked_for_and_canceled(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(
        "market: {synthetic: {symbols: [{symbol: BTC/USDT}], candles: 200}}\n"
        "strategies:\n"
        "  - {id: one, type: EMA_CROSS, symbol: BTC/USDT, timeframe: 1m}\n"
    )
    asked = desk.json("backtests", "run", file, "--name", "fast")
    assert desk.json("backtests", "show", asked["id"])["status"] == "waiting"
    assert f"id: {asked['id']}" in desk.lines("backtests", "show", asked["id"])
    assert desk.lines("backtests")[1].split("\t")[:3] == [asked["id"], "fast", "waiting"]
    canceled = desk.lines("backtests", "cancel", asked["id"])
    assert canceled == [f"{asked['id']}: canceled"]


def test_a_terminal_gets_a_table_that_fits() -> None:
    fields = [
        Field("id", lambda item: item["id"]),
        Field("profit", lambda item: Text(item["profit"], style="red"), right=True),
        Field("long story", lambda item: item["story"], rank=1),
    ]
    items = [{"id": "one", "profit": "-5.00", "story": "x" * 80}]
    for width, is_told in ((120, True), (60, False)):
        console = Console(force_terminal=True, width=width, record=True, file=io.StringIO())
        Printer(is_json=False, console=console).items("things", fields, items)
        shown = console.export_text(styles=False)
        assert ("one" in shown, "-5.00" in shown) == (True, True)
        assert ("x" * 80 in shown) is is_told
        assert max(map(len, shown.splitlines())) <= width


def test_whoever_may_not_see_a_strategy_does_not_see_that_it_is_there(busy: Desk) -> None:
    busy.user("bob")
    for command in ("show one", "stop one", "signals one"):
        result = busy.call(*command.split(), who="bob")
        assert result.exit_code == 2
        assert "strategy 'one': there is none" in result.stderr
