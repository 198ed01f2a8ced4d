"""What is exported arrives as it was, or not at all; and only from whom it is trusted."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from sqlalchemy import select

from engine.access import Caller
from engine.catalog import default_folders, discover
from engine.catalog.canonical import canonical
from engine.catalog.definitions import Change, Definitions, Draft
from engine.catalog.exchange import Content, Document, Exchange
from engine.catalog.signing import Signer
from engine.errors import (
    ChorusError,
    ConfigError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
)
from engine.store import AuditEntry, Store, User
from tests.examples import examples
from tests.stores import an_empty_store

ANN, BOB, EVE, ADMIN = (
    Caller("u-ann", "trader"),
    Caller("u-bob", "trader"),
    Caller("u-eve", "viewer"),
    Caller("u-admin", "admin"),
)
CATALOG = discover(default_folders())
RULES = {
    "timeframe": "15m",
    "indicators": {"rsi": {"period": 14}},
    "rules": {"entry": {"condition": "rsi < floor"}, "exit": {"condition": "rsi > 70"}},
    "parameters": {"floor": 30},
    "risk": {"stopLoss": "0.02"},
}


class House:
    """One installation: a store and a key of its own."""

    def __init__(self, store: Store, seed: bytes) -> None:
        clock = count(1_000)
        with store.write() as session:
            for caller in (ANN, BOB, EVE, ADMIN):
                session.add(
                    User(id=caller.user_id, name=caller.user_id, role=caller.role, created_ms=0)
                )
        self.store = store
        self.definitions = Definitions(store, lambda: CATALOG, lambda: next(clock))
        self.exchange = Exchange(store, self.definitions, Signer(seed * 32), lambda: next(clock))

    def made(self, caller: Caller = ANN, **changes: Any) -> str:
        fields = {"key": "dips", "strategy_type": "RULES", "defaults": RULES, **changes}
        return self.definitions.create(Draft(**fields), caller).id

    def exported(self, caller: Caller = ANN, **changes: Any) -> Document:
        return self.exchange.export(self.made(caller, **changes), caller)


@pytest.fixture
def here(store: Store) -> House:
    return House(store, b"h")


@pytest.fixture
def there(tmp_path: Path) -> Any:
    with an_empty_store(tmp_path / "there.db") as store:
        yield House(store, b"t")


def content_with(content: Content, **changes: Any) -> Content:
    return msgspec.structs.replace(content, **changes)


def test_what_is_exported_arrives_elsewhere_with_the_same_hash(here: House, there: House) -> None:
    document = there.exported(name="Buy dips", description="When low.")
    here.exchange.trusted.add("there", there.exchange.public_key.text, ADMIN)
    imported = here.exchange.load(document, BOB)
    row = imported.definition
    assert (imported.outcome, row.owner_id, row.visibility) == ("created", "u-bob", "private")
    assert (row.key, row.name, row.newest) == ("dips", "Buy dips", 1)
    again = here.exchange.export(row.id, BOB)
    assert (again.content, again.sha256) == (document.content, document.sha256)
    assert again.signature.public_key != document.signature.public_key
    note = here.definitions.version(row.id, 1, BOB).note
    assert note == f"imported; signed by {there.exchange.public_key.fingerprint[:16]}"


NAMES = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=3, max_size=9)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-(2**53) + 1, 2**53 - 1, allow_nan=False)
PARAMETERS = st.dictionaries(NAMES.map("p_".__add__), NUMBERS | st.booleans(), max_size=4)


@given(said=st.tuples(TEXTS, TEXTS), parameters=PARAMETERS, key=NAMES)
@examples(60, suppress_health_check=list(HealthCheck))
def test_whatever_is_exported_arrives_with_the_same_hash(
    here: House, there: House, said: tuple[str, str], parameters: Any, key: str
) -> None:
    if not here.exchange.trusted.has(there.exchange.public_key.fingerprint):
        here.exchange.trusted.add("there", there.exchange.public_key.text, ADMIN)
    key = f"{key}{here.definitions._clock()}"
    defaults = {**RULES, "parameters": {**parameters, "floor": 30}}
    document = there.exported(key=key, name=said[0], description=said[1], defaults=defaults)
    # As a file: text, and read again.
    received = msgspec.json.decode(msgspec.json.encode(document), type=Document)
    imported = here.exchange.load(received, ANN)
    again = here.exchange.export(imported.definition.id, ANN)
    assert again.sha256 == document.sha256
    assert here.exchange.load(again, ANN).outcome == "unchanged"


def test_importing_twice_changes_nothing(here: House) -> None:
    document = here.exported()
    before = here.definitions.page(ADMIN).items[0].version
    for caller in (ANN, ADMIN):
        for mode in ("create", "new_version"):
            assert here.exchange.load(document, caller, mode=mode).outcome == "unchanged"
    assert here.definitions.page(ADMIN).items[0].version == before
    with here.store.read() as session:
        assert len(session.scalars(select(AuditEntry)).all()) == 1


def test_many_who_import_the_same_at_once_make_it_once(here: House) -> None:
    document = here.exported()
    key = "copied"
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: here.exchange.load(document, ANN, key=key), range(6)))
    assert sorted(each.outcome for each in found) == ["created", *["unchanged"] * 5]
    assert len(here.definitions.page(ANN).items) == 2


def test_what_has_changed_is_imported_as_a_new_version_of_ones_own(here: House) -> None:
    definition_id = here.made()
    document = here.exchange.export(definition_id, ANN)
    lower = {**RULES, "parameters": {"floor": 20}}
    here.definitions.update(definition_id, Change(defaults=lower, name="Lower"), ANN)
    with pytest.raises(ConflictError, match=r"says something else here; .*mode=new_version"):
        here.exchange.load(document, ANN)
    imported = here.exchange.load(document, ANN, mode="new_version")
    row = imported.definition
    assert (imported.outcome, row.newest, row.name) == ("new_version", 3, "dips")
    assert here.exchange.export(definition_id, ANN).sha256 == document.sha256


def test_a_key_of_somebody_elses_is_taken(here: House) -> None:
    private, public = here.exported(), here.exported(key="open", visibility="public")
    for mode in ("create", "new_version"):
        with pytest.raises(ConflictError, match="'dips': the key is taken by somebody else"):
            here.exchange.load(private, BOB, mode=mode)
    # What one sees and is the same need not be there twice.
    assert here.exchange.load(public, BOB).outcome == "unchanged"
    owner = here.definitions.id_of("open")
    here.definitions.update(str(owner), Change(name="Other"), ANN)
    with pytest.raises(ConflictError, match="'open': the key is taken"):
        here.exchange.load(public, BOB, mode="new_version")
    assert here.exchange.load(private, BOB, key="mine").definition.key == "mine"


def test_a_definition_keeps_its_type(here: House) -> None:
    document = here.exported()
    here.made(key="cross", strategy_type="EMA_CROSS", defaults={})
    with pytest.raises(ConflictError, match="is of the type EMA_CROSS, and stays so"):
        here.exchange.load(document, ANN, key="cross", mode="new_version")


def test_who_may_only_look_exports_what_it_sees_and_imports_nothing(here: House) -> None:
    document = here.exported(visibility="public")
    definition_id = here.definitions.id_of("dips")
    assert here.exchange.export(str(definition_id), EVE) == document
    with pytest.raises(ForbiddenError, match="to import a definition"):
        here.exchange.load(document, EVE, key="x")
    with pytest.raises(NotFoundError):
        here.exchange.export(here.made(key="private"), BOB)


def test_only_what_is_trusted_is_imported_and_admins_decide(here: House, there: House) -> None:
    document = there.exported()
    with pytest.raises(ConfigError, match=r"is not trusted here; .*trusted-keys") as refused:
        here.exchange.load(document, ADMIN)
    key = there.exchange.public_key
    assert key.text in str(refused.value)
    trusted = here.exchange.trusted
    for ask in (
        lambda: trusted.add("there", key.text, ANN),
        lambda: trusted.page(ANN),
        lambda: trusted.remove(key.fingerprint, ANN),
    ):
        with pytest.raises(ForbiddenError, match="needs the role admin"):
            ask()
    added = trusted.add("there", key.text, ADMIN)
    assert added.id == key.fingerprint
    with pytest.raises(ConflictError, match="is trusted already"):
        trusted.add("again", key.text, ADMIN)
    assert [row.name for row in trusted.page(ADMIN).items] == ["there"]
    assert here.exchange.load(document, ANN).outcome == "created"
    trusted.remove(key.fingerprint, ADMIN)
    with pytest.raises(ConfigError, match="is not trusted here"):
        here.exchange.load(document, ANN)
    with pytest.raises(NotFoundError):
        trusted.remove(key.fingerprint, ADMIN)
    with here.store.read() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.kind == "trusted_keys"))
        assert [entry.action for entry in entries] == ["create", "delete"]


@pytest.mark.parametrize(
    ("name", "key", "message"),
    [("", "A" * 43 + "=", "name: must say whose"), ("x", "no", "publicKey: "), ("\0", "A", "NUL")],
)
def test_what_is_no_key_is_not_trusted(here: House, name: str, key: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        here.exchange.trusted.add(name, key, ADMIN)


FAULTS: dict[str, tuple[Callable[[Document], Document], str]] = {
    "format": (lambda d: msgspec.structs.replace(d, format="other/2"), "format: must be"),
    "hash": (lambda d: msgspec.structs.replace(d, sha256="0" * 64), "sha256: the content has"),
    "content": (
        lambda d: msgspec.structs.replace(d, content=content_with(d.content, name="other")),
        "sha256: the content has",
    ),
    "algorithm": (
        lambda d: msgspec.structs.replace(
            d, signature=msgspec.structs.replace(d.signature, algorithm="none")
        ),
        "signature.algorithm: must be 'Ed25519'",
    ),
    "key": (
        lambda d: msgspec.structs.replace(
            d,
            signature=msgspec.structs.replace(
                d.signature, public_key=Signer(b"m" * 32).public.text
            ),
        ),
        "signature: was not made by key",
    ),
    "signature": (
        lambda d: msgspec.structs.replace(
            d, signature=msgspec.structs.replace(d.signature, value="A" * 86 + "==")
        ),
        "signature: was not made by key",
    ),
    "size": (
        lambda d: msgspec.structs.replace(
            d, content=content_with(d.content, description="x" * 300_000)
        ),
        "larger than 262,144 bytes",
    ),
    "number": (
        lambda d: msgspec.structs.replace(
            d, content=content_with(d.content, defaults={"x": 2**60})
        ),
        "content.defaults.x: a number must be",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_document_that_is_not_as_it_was_is_refused(here: House, name: str) -> None:
    change, message = FAULTS[name]
    document = here.exported()
    with pytest.raises(ConfigError, match=message):
        here.exchange.load(change(document), ANN, key="x")
    assert len(here.definitions.page(ADMIN).items) == 1


@given(data=st.data())
@examples(400, suppress_health_check=list(HealthCheck))
def test_no_byte_of_the_content_can_be_changed(data: st.DataObject) -> None:
    document, exchange = _one_document()
    text = canonical(msgspec.to_builtins(document.content), name="x")
    place = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda each: each != text[place]))
    changed = text[:place] + bytes([byte]) + text[place + 1 :]
    try:
        content = msgspec.json.decode(changed, type=Content)
        same = json.loads(changed) == json.loads(text)
    except (msgspec.DecodeError, ValueError):
        return  # no document at all any more
    assert not same
    with pytest.raises(ConfigError):
        exchange._checked(msgspec.structs.replace(document, content=content))


_MADE: list[tuple[Document, Exchange]] = []


def _one_document() -> tuple[Document, Exchange]:
    """Return a document without any store, and who would read it."""
    if not _MADE:
        content = Content(
            key="dips",
            name="Buy dips é😀",
            description='Line\nand "quotes"',
            strategy_type="RULES",
            schema={"type": "object", "properties": {"floor": {"minimum": 0.5}}},
            defaults=RULES,
        )
        signer = Signer(b"s" * 32)
        exchange = Exchange(None, None, signer, lambda: 0)  # type: ignore[arg-type]  # not asked
        _MADE.append((exchange._document(content), exchange))
    return _MADE[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy_type": "RULEZ"}, "did you mean 'RULES'"),
        ({"schema": {"type": "objekt"}}, r"schema: is no JSON Schema"),
        ({"schema": {"$ref": "http://127.0.0.1/x"}}, r"schema.\$ref: must name"),
        ({"schema": {"properties": {"a": {"pattern": "(?=a)"}}}}, "look-around"),
        ({"schema": {"properties": {"floor": {"maximum": 10}}}}, "defaults.parameters.floor"),
        ({"defaults": {**RULES, "id": "x"}}, "id can only be said of a strategy"),
        ({"defaults": {**RULES, "code": "import os"}}, "defaults.code"),
        ({"defaults": {**RULES, "parameters": {"floor": "__import__('os')"}}}, "floor"),
        ({"key": "no spaces"}, "key: "),
        ({"name": "a\0"}, "content.name: holds a NUL"),
    ],
)
def test_what_could_not_run_here_is_refused_whoever_has_signed_it(
    here: House, changes: dict[str, Any], message: str
) -> None:
    content = content_with(here.exported().content, **{"key": "other", **changes})
    with pytest.raises(ChorusError, match=message):
        here.exchange.load(here.exchange._document(content), ADMIN)
    assert [row.key for row in here.definitions.page(ADMIN).items] == ["dips"]


def test_the_private_key_is_in_no_document(here: House) -> None:
    text = msgspec.json.encode(here.exported()).decode()
    assert "aGhoaG" not in text  # the seed in Base64
    assert "6868686868" not in text
