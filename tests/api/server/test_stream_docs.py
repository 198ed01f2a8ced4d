"""What docs/event-stream.md shows works, and what it says is so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.server import Services
from api.server.stream import StreamLimits
from engine.events import TOPICS, MemoryEventLog
from tests.api.server.streaming import Place, a_server
from tests.servers import not_installed
from tests.waiting import until

PAGE = (Path(__file__).parents[3] / "docs" / "event-stream.md").read_text(encoding="utf-8")


@pytest.fixture
def place(services: Services, log: MemoryEventLog) -> Iterator[Place]:
    with a_server(services, log, StreamLimits()) as place:
        yield place


@pytest.fixture
def key(services: Services) -> str:
    found = services.users.ensure_admin()
    assert found is not None
    return found


def snippet(language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


def test_the_client_follows_through_a_lost_connection(
    place: Place, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    known: dict[str, Any] = {}
    exec(compile(snippet("python"), "event-stream.md", "exec"), known)  # noqa: S102 - our page
    start = place.log.newest()
    place.log.publish("fills", {"n": 0})
    events = known["follow"](f"ws://127.0.0.1:{place.port}", key, ["fills"], start)
    assert next(events)["data"] == {"n": 0}
    for client in list(place.hub._clients):
        client._loop.call_soon_threadsafe(client.stop)
    until(lambda: not len(place.hub))
    for n in (1, 2):
        place.log.publish("fills", {"n": n})
    assert [next(events)["data"]["n"] for _ in range(2)] == [1, 2]
    events.close()


def test_curl_shows_what_happens(place: Place, key: str) -> None:
    if shutil.which("curl") is None:
        not_installed("curl, which the page names")
    place_of = {"CHORUS_URL": f"http://127.0.0.1:{place.port}", "CHORUS_KEY": key}
    shell = ["/bin/sh", "-c", f"exec {snippet('sh').strip()} --silent --noproxy '*'"]
    environment = {**os.environ, **place_of}
    with subprocess.Popen(shell, stdout=subprocess.PIPE, text=True, env=environment) as curl:  # noqa: S603 - from our page
        until(lambda: place.hub and place.services.broadcaster._subscribers)
        place.log.publish("fills", {"price": "1"})
        assert curl.stdout is not None
        said = next(line for line in curl.stdout if line.startswith("data: "))
        curl.kill()
    assert '"data":{"price":"1"}' in said


def test_every_topic_and_limit_is_on_the_page() -> None:
    limits = StreamLimits()
    for topic in TOPICS:
        assert f"`{topic}`" in PAGE
    assert f"{limits.topics} topics and {limits.strategies}\nstrategies" in PAGE
    assert f"{limits.connections_per_user} connections, all users {limits.connections}" in PAGE
    assert f"more than {limits.queue} events" in PAGE
    assert f"taken for {limits.send_within_s:g} s" in PAGE
    assert f"every {limits.heartbeat_s:g} s" in PAGE
    assert f"every {limits.recheck_s:g} s" in PAGE
    assert f"more than {limits.message_bytes // 1024} KiB" in PAGE
    assert f"within {limits.hello_within_s:g} s" in PAGE
    assert f"wait\n{limits.gather_s * 1000:g} ms" in PAGE
