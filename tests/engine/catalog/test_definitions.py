"""Definitions keep every version, and are seen and changed by whom they may be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from sqlalchemy import select

from engine.access import CHORUS, Caller
from engine.catalog import Catalog, default_folders, discover
from engine.catalog.built_ins import seed_built_ins
from engine.catalog.definitions import Change, Definitions, Draft
from engine.errors import ChorusError, ConfigError, ConflictError, ForbiddenError, NotFoundError
from engine.store import AuditEntry, Store, User

ANN, BOB, ADMIN = (
    Caller("u-ann", "trader"),
    Caller("u-bob", "trader"),
    Caller("u-admin", "admin"),
)
RULES = {
    "timeframe": "15m",
    "indicators": {"rsi": {"period": 14}},
    "rules": {"entry": {"condition": "rsi < floor"}, "exit": {"condition": "rsi > 70"}},
    "parameters": {"floor": 30},
}
CATALOG = discover(default_folders())


@pytest.fixture
def store(store: Store) -> Store:
    with store.write() as session:
        for caller in (ANN, BOB, ADMIN):
            session.add(
                User(id=caller.user_id, name=caller.user_id, role=caller.role, created_ms=0)
            )
    return store


@pytest.fixture
def definitions(store: Store) -> Definitions:
    clock = count(1_000)
    return Definitions(store, lambda: CATALOG, lambda: next(clock))


def a_draft(**changes: Any) -> Draft:
    fields = {"key": "dips", "strategy_type": "RULES", "defaults": RULES, **changes}
    return Draft(**fields)


def test_what_was_said_is_found_again(definitions: Definitions) -> None:
    made = definitions.create(a_draft(name="Buy dips", note="first"), ANN)
    found = definitions.get(made.id, ANN)
    assert (found.key, found.name, found.newest, found.version) == ("dips", "Buy dips", 1, 1)
    (version,) = definitions.versions(made.id, ANN)
    assert (version.number, version.defaults, version.note) == (1, RULES, "first")
    assert version.schema == CATALOG.get("RULES").cls.get_parameters_schema()


def test_every_version_stays_as_it_was(definitions: Definitions) -> None:
    made = definitions.create(a_draft(), ANN)
    lower = {**RULES, "parameters": {"floor": 20}}
    definitions.update(made.id, Change(defaults=lower, note="lower"), ANN)
    definitions.update(made.id, Change(name="only a name"), ANN)
    back = definitions.roll_back(made.id, 1, ANN)
    assert (back.newest, back.version, back.name) == (3, 4, "only a name")
    versions = definitions.versions(made.id, ANN)
    assert [v.defaults["parameters"]["floor"] for v in versions] == [30, 20, 30]
    assert [v.is_rollback for v in versions] == [True, False, False]
    assert versions[0].sha256 == versions[2].sha256 != versions[1].sha256
    assert definitions.version(made.id, 2, ANN).note == "lower"
    with pytest.raises(NotFoundError, match="has no version 9"):
        definitions.roll_back(made.id, 9, ANN)


def test_only_those_who_may_see_a_definition_find_it(definitions: Definitions) -> None:
    made = definitions.create(a_draft(), ANN)
    seed_built_ins(definitions, CATALOG)
    for ask in (
        lambda: definitions.get(made.id, BOB),
        lambda: definitions.versions(made.id, BOB),
        lambda: definitions.version(made.id, 1, BOB),
        lambda: definitions.update(made.id, Change(name="x"), BOB),
        lambda: definitions.enable(made.id, BOB, is_enabled=False),
        lambda: definitions.roll_back(made.id, 1, BOB),
    ):
        with pytest.raises(NotFoundError):
            ask()
    assert made.id not in [d.id for d in definitions.page(BOB).items]
    definitions.update(made.id, Change(visibility="public"), ANN)
    assert definitions.get(made.id, BOB).key == "dips"
    for definition_id in (made.id, "builtin-rules"):
        with pytest.raises(ForbiddenError, match="belongs to somebody else"):
            definitions.update(definition_id, Change(name="x"), BOB)
    assert definitions.update(made.id, Change(name="x"), ADMIN).name == "x"


def test_one_of_two_who_change_the_same_has_to_read_it_again(definitions: Definitions) -> None:
    made = definitions.create(a_draft(), ANN)

    def rename(number: int) -> str:
        try:
            definitions.update(made.id, Change(name=f"n{number}"), ANN, if_version=1)
        except ConflictError as error:
            return str(error).partition(";")[0]
        return ""

    with ThreadPoolExecutor(4) as pool:
        refusals = sorted(pool.map(rename, range(8)))
    assert refusals == ["", *["definition 'dips': has version 2 by now, not 1"] * 7]


def test_a_key_is_taken_once(definitions: Definitions) -> None:
    definitions.create(a_draft(), ANN)
    with pytest.raises(ConflictError, match="'dips': the key is taken"):
        definitions.create(a_draft(), BOB)


def test_lists_are_filtered_and_sorted(definitions: Definitions) -> None:
    seed_built_ins(definitions, CATALOG)
    made = definitions.create(a_draft(), ANN)
    definitions.enable(made.id, ANN, is_enabled=False)
    keys = [d.key for d in definitions.page(ANN, sort="-key").items]
    assert keys == sorted(keys, reverse=True)
    assert {d.key for d in definitions.page(ANN, strategy_type="EMA_CROSS").items} == {"ema_cross"}
    assert [d.key for d in definitions.page(ANN, enabled=False).items] == ["dips"]
    first = definitions.page(ANN, limit=2)
    rest = definitions.page(ANN, after=first.next)
    assert len(first.items) + len(rest.items) == len(keys)
    with pytest.raises(ConfigError, match="sort: must be one of"):
        definitions.page(ANN, sort="owner_id")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy_type": "RULEZ"}, "did you mean 'RULES'"),
        ({"schema": {"type": "objekt"}}, r"schema: is no JSON Schema \(Draft 7\)"),
        (
            {"schema": {"properties": {"floor": {"maximum": 10}}}},
            r"defaults.parameters.floor: .*maximum",
        ),
        ({"defaults": {**RULES, "id": "x"}}, "defaults: id can only be said of a strategy"),
        ({"defaults": {**RULES, "type": "EMA_CROSS"}}, "defaults.type: must be 'RULES'"),
        ({"defaults": {**RULES, "timeframe": "7q"}}, "defaults.*timeframe"),
        ({"defaults": {**RULES, "parameters": {"floor": "thirty"}}}, "parameters.floor"),
        ({"defaults": {**RULES, "parameters": {"low": 30}}}, "'low' already means something"),
        ({"defaults": {**RULES, "indicators": {"rsi": {"period": 0}}}}, "indicators"),
        ({"key": "no spaces"}, "key: .*got 'no spaces'"),
        ({"key": ""}, "key: "),
    ],
)
def test_what_cannot_run_is_refused_with_the_field(
    definitions: Definitions, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ChorusError, match=message):
        definitions.create(a_draft(**changes), ANN)
    made = definitions.create(a_draft(), ANN)
    known = {name: changes[name] for name in ("schema", "defaults") if name in changes}
    if known:
        with pytest.raises(ChorusError, match=message):
            definitions.update(made.id, Change(**known), ANN)
        assert definitions.get(made.id, ANN).version == 1


def test_the_catalogue_is_asked_each_time(store: Store) -> None:
    empty = Definitions(store, lambda: Catalog({}, []), lambda: 0)
    with pytest.raises(ConfigError, match="there are none"):
        empty.create(a_draft(), CHORUS)


def test_every_change_is_in_the_audit_log_and_nothing_else(
    definitions: Definitions, store: Store
) -> None:
    made = definitions.create(a_draft(), ANN)
    definitions.update(made.id, Change(name="Dips", visibility="public"), ANN)
    for refused in (Change(schema={"type": "objekt"}), Change(defaults={"id": "x"})):
        with pytest.raises(ConfigError):
            definitions.update(made.id, refused, ANN)
    with pytest.raises(ForbiddenError):
        definitions.update(made.id, Change(name="x"), BOB)
    definitions.enable(made.id, ADMIN, is_enabled=False)
    definitions.roll_back(made.id, 1, ANN)
    with store.read() as session:
        entries = list(session.scalars(select(AuditEntry).order_by(AuditEntry.id)))
    assert [(e.user_id, e.action, e.object_id) for e in entries] == [
        ("u-ann", "create", made.id),
        ("u-ann", "update", made.id),
        ("u-admin", "update", made.id),
        ("u-ann", "roll back", made.id),
    ]
    assert entries[1].change == {"name": ["dips", "Dips"], "visibility": ["private", "public"]}
