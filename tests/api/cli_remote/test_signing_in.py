"""Keys on the command line: where they come from, and where they never go."""

from __future__ import annotations

import logging
import os
import stat
from functools import partial
from pathlib import Path

import pytest

from api.cli.remote.address import Address
from api.cli.remote.keyring import Key, Keyring
from engine.errors import ConfigError
from tests.api.cli_remote.conftest import PASSWORD, Desk, started


def kept(desk: Desk) -> Path:
    return Keyring(desk.home / "chorus" / "keys").file_of(Address.of(desk.url))


def test_a_key_is_kept_for_its_service_and_readable_by_its_owner_only(desk: Desk) -> None:
    (line,) = desk.lines("login", who=None, typed=f"{desk.keys['ann']}\n")
    assert line == f"signed in at {desk.url} as trader; the key is kept in {kept(desk)}"
    assert stat.S_IMODE(kept(desk).stat().st_mode) == 0o600
    assert stat.S_IMODE(kept(desk).parent.stat().st_mode) == 0o700
    assert desk.json("ps", who=None) == {"items": [], "next": None}
    elsewhere = desk.call("ps", "--url", desk.url.replace("127.0.0.1", "localhost"), who=None)
    assert (elsewhere.exit_code, "`chorus login`" in elsewhere.stderr) == (2, True)
    assert desk.json("logout", who=None) == {"removed": True}
    assert desk.json("logout", who=None) == {"removed": False}
    assert desk.call("ps", who=None).exit_code == 2


def test_the_next_key_takes_the_place_of_the_one_before(desk: Desk) -> None:
    for name in ("ann", "admin"):
        desk.lines("login", who=None, typed=desk.keys[name])
    assert [user["name"] for user in desk.json("users", who=None)["items"]] == ["admin", "ann"]
    assert [path.name for path in kept(desk).parent.iterdir()] == [kept(desk).name]


@pytest.mark.parametrize("typed", ["", "\n", "chorus_0_wrong\n", "a b\n", "ключ\n"])
def test_only_a_key_that_is_accepted_is_kept(desk: Desk, typed: str) -> None:
    result = desk.call("login", who=None, typed=typed)
    assert result.exit_code == 2
    assert not kept(desk).exists()
    assert not typed.strip() or typed.strip() not in result.output


def test_a_key_others_may_read_is_not_used(desk: Desk) -> None:
    desk.lines("login", who=None, typed=desk.keys["ann"])
    kept(desk).chmod(0o640)
    result = desk.call("ps", who=None)
    assert result.exit_code == 2
    assert "must be readable by its owner only (mode 0600), has 0640" in result.stderr
    desk.lines("login", who=None, typed=desk.keys["ann"])
    assert stat.S_IMODE(kept(desk).stat().st_mode) == 0o600


def test_a_file_overrides_the_environment_which_overrides_what_is_kept(
    desk: Desk, tmp_path: Path
) -> None:
    desk.user("bob")
    desk.lines("login", who=None, typed=desk.keys["ann"])
    file = tmp_path / "key"
    file.write_text(f"{desk.keys['admin']}\n")

    def names(*args: object, who: str | None) -> list[str]:
        return [user["name"] for user in desk.json("users", *args, who=who)["items"]]

    assert names(who=None) == ["ann"]
    assert names(who="bob") == ["bob"]
    assert names("--key-file", file, who="bob") == ["admin", "ann", "bob"]
    desk.lines("login", "--key-file", file, who=None)
    assert names(who=None) == ["admin", "ann", "bob"]
    missing = desk.call("ps", "--key-file", tmp_path / "none")
    assert (missing.exit_code, "cannot be read" in missing.stderr) == (2, True)
    file.write_text("\n")
    assert "holds no key" in desk.call("ps", "--key-file", file).stderr


def test_a_token_is_as_good_as_a_key(desk: Desk) -> None:
    desk.keys["token"] = desk.services.users.issue_token(desk.admin)
    assert desk.json("users", who="token")["items"][0]["name"] == "admin"
    desk.place.log.publish("fills", {})
    first = desk.place.log.newest()
    desk.place.log.publish("fills", {"n": 2})
    (event,) = desk.lines("watch", "--count", "1", "--after", first, "--json", who="token")
    assert '"n":2' in event


@pytest.mark.parametrize("who", ["chorus_0123456789abcdef_0123", "no.such.token", None])
def test_whoever_is_not_known_is_told_how_to_give_a_key(desk: Desk, who: str | None) -> None:
    for args in (["ps"], ["watch"], ["logs", "one", "-f"]):
        result = desk.call(*args, who=who)
        assert (result.exit_code, result.stdout) == (2, "")
        for way in ("`chorus login`", "CHORUS_KEY", "--key-file FILE"):
            assert way in result.stderr
        assert not who or who not in result.stderr


def test_no_secret_is_ever_printed_or_logged(
    desk: Desk, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "key"
    file.write_text(desk.keys["ann"])
    said = ""
    for args, typed in (
        (["login"], desk.keys["ann"]),
        (["login", "--url", "http://127.0.0.1:9"], desk.keys["ann"]),
        (["ps", "--key-file", file], ""),
        (["users", "add", "bob", "--role", "viewer", "--password"], PASSWORD),
        (["users", "password"], f"\n{PASSWORD}"),
        (["users", "password"], f"wrong\n{PASSWORD}"),
        (["keys"], ""),
        (["ps", "--json"], ""),
        (["start", "one", "--definition", "nix"], ""),
        (["watch", "--count", "1", "--after", "nix"], ""),
        (["ps", "--url", f"http://ann:{PASSWORD}@127.0.0.1"], ""),
    ):
        for debug in ("", "1"):
            said += desk.call(*args, typed=typed, CHORUS_DEBUG=debug).output
    for secret in (desk.keys["ann"].split("_")[2], PASSWORD):
        assert secret not in said
        # What the server in this process logs is not the command line's.
        assert not [
            record.name
            for record in caplog.records
            if secret in record.getMessage() and not record.name.startswith("uvicorn")
        ]
    key = Key(desk.keys["ann"], "a test")
    assert (repr(key), str(key)) == ("Key(***)", "Key(***)")


def test_a_key_that_cannot_be_kept_is_said(desk: Desk) -> None:
    desk.home.write_text("a file where the folder belongs")
    result = desk.call("login", who=None, typed=desk.keys["ann"])
    assert (result.exit_code, "cannot be " in result.stderr) == (2, True)


def test_users_are_managed(desk: Desk) -> None:
    run = partial(desk.json, who="admin")
    assert run("users", "add", "bob", "--role", "viewer")["hasPassword"] is False
    assert run("users", "role", "BOB", "--role", "trader")["role"] == "trader"
    assert run("users", "password", "bob", typed=f"{PASSWORD}\n")["hasPassword"] is True
    assert run("users", "disable", "bob")["isDisabled"] is True
    assert run("users", "enable", "bob")["isDisabled"] is False
    head, *rows = (line.split("\t") for line in desk.lines("users", who="admin"))
    assert head[:4] == ["name", "role", "state", "signs in by"]
    assert rows[2][:4] == ["bob", "trader", "enabled", "password, key"]
    assert [user["name"] for user in desk.json("users")["items"]] == ["ann"]
    refused = desk.call("users", "add", "eve", "--role", "admin")
    assert (refused.exit_code, "admin" in refused.stderr) == (2, True)
    assert desk.call("users", "disable", "bob").exit_code == 2
    short = desk.call("users", "password", "bob", who="admin", typed="short\n")
    assert (short.exit_code, "12" in short.stderr) == (2, True)


def test_ones_own_password_takes_the_present_one(desk: Desk) -> None:
    desk.lines("users", "password", typed=f"\n{PASSWORD}\n")
    wrong = desk.call("users", "password", typed=f"\n{PASSWORD} 2\n")
    assert wrong.exit_code == 2
    assert desk.lines("users", "password", typed=f"{PASSWORD}\n{PASSWORD} 2\n") == [
        "ann: password changed"
    ]


def test_a_key_is_shown_once_alone_and_can_be_taken_back(desk: Desk) -> None:
    made = desk.call("keys", "create", "laptop", "--expires", "2100-01-01T00:00:00Z")
    key = made.stdout.strip()
    assert made.stdout == f"{key}\n"
    assert "shown this once" in made.stderr
    desk.keys["laptop"] = key
    started(desk, who="laptop")
    listed = desk.json("keys")["items"]
    assert [each["name"] for each in listed] == ["test", "laptop"]
    public = listed[1]["id"]
    assert desk.lines("keys", "revoke", public) == [f"key {public} (laptop): revoked"]
    assert desk.call("ps", who="laptop").exit_code == 2
    for_ann = desk.json("keys", "create", "desk", "--user", "ann", who="admin")
    assert for_ann["id"] in [each["id"] for each in desk.json("keys")["items"]]
    assert len(desk.json("keys", "--user", "ann", who="admin")["items"]) == 3


def test_a_keyring_needs_no_folder_of_its_own_to_be_there(tmp_path: Path) -> None:
    ring, address = Keyring(tmp_path / "a" / "b"), Address.of("https://example.org/chorus/")
    assert ring.load(address) is None
    ring.save(address, Key(" a-token \n", "a test"))
    found = ring.load(address)
    assert found is not None
    assert found.text == "a-token"
    assert os.sep not in ring.file_of(address).name
    assert ring.load(Address.of("http://example.org/chorus")) is None
    ring.file_of(address).unlink()
    ring.file_of(address).mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        ring.load(address)
