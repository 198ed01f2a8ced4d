"""A server that is not there is no reason to test less where everything is checked."""

from __future__ import annotations

import pytest

from tests import redis_server, servers


@pytest.mark.parametrize("said", [None, "", "0", "false"])
def test_what_is_not_installed_skips_a_test(
    monkeypatch: pytest.MonkeyPatch, said: str | None
) -> None:
    monkeypatch.delenv("CI", raising=False)
    if said is not None:
        monkeypatch.setenv("CI", said)
    with pytest.raises(pytest.skip.Exception, match="not installed: curl"):
        servers.not_installed("curl")


def test_in_continuous_integration_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(redis_server, "_program", lambda: None)
    monkeypatch.setattr(servers.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(servers.shutil, "which", lambda name: None)
    monkeypatch.setattr(servers.Path, "glob", lambda *_: [])
    with pytest.raises(pytest.fail.Exception, match="redis-server"), redis_server.redis_server():
        raise AssertionError
    with pytest.raises(pytest.fail.Exception, match="PostgreSQL"), servers.postgres_server():
        raise AssertionError
