"""Strategy files, types and definitions from elsewhere, over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from api.server import Services
from engine.access import CHORUS
from engine.catalog.signing import Signer
from tests.api.server.conftest import Ask
from tests.api.server.test_routes import DEFINITIONS, problem

KEYS = "/admin/strategy/trusted-keys"
PLUGIN = """
from decimal import Decimal

from strategies import Compatibility, Strategy, StrategyMetadata


class Idle(Strategy):
    metadata = StrategyMetadata(
        type="IDLE", version="2.1", author="ann", tags=("none",),
        compatibility=Compatibility(symbols=("*/USDT",), min_capital=Decimal("0.10")),
    )

    def on_candle(self, candle): ...
"""


@pytest.fixture
def folder(services: Services, tmp_path: Path) -> Path:
    """Return a folder of strategy files beside those that come with Chorus."""
    folder = tmp_path / "types"
    folder.mkdir()
    services.files._folders = (*services.files._folders, folder)
    return folder


def test_files_are_listed_with_what_is_wrong_with_them(ask: Ask, folder: Path) -> None:
    admin, eve = ask("admin"), ask("eve", role="viewer")
    (folder / "idle.py").write_text(PLUGIN)
    (folder / "bad.py").write_text("import os\neval('1')")
    found = admin.post("/strategies/files/sync").json()
    assert found["added"] == [str(folder / "bad.py"), str(folder / "idle.py")]
    assert (found["changed"], found["removed"]) == ([], [])
    assert found["unchanged"] == 4
    assert "imports 'os'" in found["invalid"][str(folder / "bad.py")]
    (bad,) = eve.get("/strategies/files?valid=false").json()["items"]
    assert (bad["path"], bad["isValid"], bad["isPresent"]) == (found["added"][0], False, True)
    details = eve.get(f"/strategies/files/{bad['id']}").json()
    assert [error.split(": ")[1].split(" ")[0] for error in details["errors"]] == [
        "imports",
        "uses",
    ]
    (folder / "bad.py").unlink()
    (folder / "idle.py").write_text(PLUGIN + "# changed")
    found = admin.post("/strategies/files/sync").json()
    assert (found["removed"], found["changed"]) == ([bad["path"]], [str(folder / "idle.py")])
    first = eve.get("/strategies/files?limit=3&present=true").json()
    rest = eve.get("/strategies/files", params={"present": "true", "after": first["next"]}).json()
    assert len(first["items"] + rest["items"]) == 5


def test_types_are_described_and_found_as_soon_as_their_file_is(ask: Ask, folder: Path) -> None:
    admin, ann = ask("admin"), ask("ann")
    (folder / "idle.py").write_text(PLUGIN)
    problem(ann.get("/strategies/types/IDLE/schema"), 404)
    form = {"key": "idle", "strategyType": "IDLE"}
    problem(ann.post(DEFINITIONS, json=form), 422)
    admin.post("/strategies/files/sync")
    types = {each["type"]: each for each in ann.get("/strategies/types").json()}
    assert {"EMA_CROSS", "RULES", "IDLE"} <= types.keys()
    idle = types["IDLE"]
    assert (idle["version"], idle["author"], idle["tags"]) == ("2.1", "ann", ["none"])
    assert idle["compatibility"]["symbols"] == ["*/USDT"]
    assert idle["compatibility"]["minCapital"] == "0.10"
    details = ann.get(f"/strategies/files/{idle['fileId']}").json()
    assert (details["type"], details["codeHash"]) == ("IDLE", idle["codeHash"])
    assert details["compatibility"] == idle["compatibility"]
    assert ann.post(DEFINITIONS, json=form).status_code == 201


def test_a_type_says_what_it_can_be_told(ask: Ask) -> None:
    ann = ask("ann")
    found = ann.get("/strategies/types/EMA_CROSS/schema").json()
    for schema in (found["parameters"], found["configuration"]):
        Draft7Validator.check_schema(schema)
    config = {"id": "a", "type": "EMA_CROSS", "symbol": "BTC/USDT", "timeframe": "1m"}
    assert Draft7Validator(found["configuration"]).is_valid(config)
    wrong = {**config, "parameters": {"fast_period": 0}}
    assert not Draft7Validator(found["configuration"]).is_valid(wrong)
    missing = problem(ann.get("/strategies/types/EMA_CROS/schema"), 404)
    assert "did you mean 'EMA_CROSS'" in missing["detail"]


def test_a_definition_is_exported_and_comes_back(ask: Ask) -> None:
    ann, bob = ask("ann"), ask("bob")
    answer = ann.get(f"{DEFINITIONS}/builtin-macd_rsi/export")
    assert 'filename="macd_rsi.chorus.json"' in answer.headers["content-disposition"]
    document = answer.json()
    assert document["format"] == "chorus-definition/1"
    again = bob.post(f"{DEFINITIONS}/import", json=document)
    assert (again.status_code, again.json()["outcome"]) == (200, "unchanged")
    made = bob.post(f"{DEFINITIONS}/import?key=mine", json=document)
    assert (made.status_code, made.json()["outcome"]) == (201, "created")
    mine = made.json()["definition"]
    assert (mine["key"], mine["visibility"], made.headers["etag"]) == ("mine", "private", '"1"')
    problem(ann.get(f"{DEFINITIONS}/{mine['id']}"), 404)
    place = f"{DEFINITIONS}/{mine['id']}"
    bob.post(f"{place}/update", json={"name": "Other"})
    problem(bob.post(f"{DEFINITIONS}/import?key=mine", json=document), 409)
    renewed = bob.post(f"{DEFINITIONS}/import?key=mine&mode=new_version", json=document)
    assert (renewed.status_code, renewed.json()["outcome"]) == (200, "new_version")
    problem(ann.post(f"{DEFINITIONS}/import?key=mine&mode=new_version", json=document), 409)
    problem(ask("eve", role="viewer").post(f"{DEFINITIONS}/import?key=x", json=document), 403)


@pytest.mark.parametrize(
    ("place", "value", "path"),
    [
        (["sha256"], "0" * 64, "sha256"),
        (["content", "name"], "Other", "sha256"),
        (["content", "defaults", "risk"], {}, "sha256"),
        (["signature", "value"], "A" * 86 + "==", "signature"),
        (["signature", "publicKey"], "x", "publicKey"),
        (["format"], "chorus-definition/9", "format"),
        (["code"], "import os", "body.code"),
        (["content", "code"], "import os", "body.content.code"),
    ],
)
def test_a_document_that_was_changed_is_refused(
    ask: Ask, place: list[str], value: Any, path: str
) -> None:
    ann = ask("ann")
    document = ann.get(f"{DEFINITIONS}/builtin-macd_rsi/export").json()
    part = document
    for step in place[:-1]:
        part = part[step]
    part[place[-1]] = value
    refused = problem(ann.post(f"{DEFINITIONS}/import?key=x", json=document), 422)
    assert refused["errors"][0]["path"] == path
    assert ann.get(f"{DEFINITIONS}?strategyType=RULES").json()["items"][-1]["key"] != "x"


def test_a_document_of_others_needs_an_admin_who_trusts_them(ask: Ask, services: Services) -> None:
    ann, admin = ask("ann"), ask("admin")
    document = admin.get(f"{DEFINITIONS}/builtin-macd_rsi/export").json()
    own = ann.get("/admin/strategy/signing-key").json()
    assert own["publicKey"] == document["signature"]["publicKey"]
    services.exchange._signer = Signer(b"o" * 32)
    services.exchange.public_key = services.exchange._signer.public
    refused = problem(ann.post(f"{DEFINITIONS}/import?key=mine", json=document), 422)
    assert f"POST /api/v1{KEYS}" in refused["detail"]
    assert own["publicKey"] in refused["detail"]
    form = {"name": "The other desk", "publicKey": own["publicKey"]}
    for answer in (ann.get(KEYS), ann.post(KEYS, json=form), ann.delete(f"{KEYS}/x")):
        problem(answer, 403)
    made = admin.post(KEYS, json=form)
    assert (made.status_code, made.json()["id"]) == (201, own["fingerprint"])
    problem(admin.post(KEYS, json=form), 409)
    problem(admin.post(KEYS, json={**form, "publicKey": "x"}), 422)
    assert [key["name"] for key in admin.get(KEYS).json()["items"]] == ["The other desk"]
    assert ann.post(f"{DEFINITIONS}/import?key=mine", json=document).status_code == 201
    assert admin.delete(f"{KEYS}/{own['fingerprint']}").status_code == 200
    problem(admin.delete(f"{KEYS}/{own['fingerprint']}"), 404)
    problem(ann.post(f"{DEFINITIONS}/import?key=more", json=document), 422)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/strategies/files"),
        ("POST", "/strategies/files/sync"),
        ("GET", "/strategies/files/x"),
        ("GET", "/strategies/types"),
        ("GET", "/strategies/types/RULES/schema"),
        ("GET", f"{DEFINITIONS}/builtin-rules/export"),
        ("POST", f"{DEFINITIONS}/import"),
        ("GET", "/admin/strategy/signing-key"),
        ("GET", KEYS),
        ("POST", KEYS),
        ("DELETE", f"{KEYS}/x"),
    ],
)
def test_nobody_gets_in_without_a_key(ask: Ask, method: str, path: str) -> None:
    problem(ask().request(method, path), 401)


def test_only_admins_look_at_the_files_anew(ask: Ask, folder: Path, services: Services) -> None:
    (folder / "idle.py").write_text(PLUGIN)
    for client in (ask("ann"), ask("eve", role="viewer")):
        problem(client.post("/strategies/files/sync"), 403)
    assert "IDLE" not in services.files.catalog.types
    assert services.files.sync(CHORUS).added == [str(folder / "idle.py")]


def test_going_back_to_a_version_that_never_was_is_refused(ask: Ask) -> None:
    ann = ask("ann")
    made = ann.post(DEFINITIONS, json={"key": "mine", "strategyType": "EMA_CROSS"}).json()
    place = f"{DEFINITIONS}/{made['id']}"
    problem(ann.post(f"{place}/rollback", json={"to": 9}), 404)
    for number in (0, 2**31):
        problem(ann.post(f"{place}/rollback", json={"to": number}), 422)
        problem(ann.get(f"{place}/versions/{number}"), 422)
    stale = ann.post(f"{place}/rollback", json={"to": 1}, headers={"If-Match": '"7"'})
    problem(stale, 412)
