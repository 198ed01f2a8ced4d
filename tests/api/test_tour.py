"""What the README promises a new user of the service is what it gets."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.servers import not_installed
from tests.service_process import ServiceProcess

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()

pytestmark = [pytest.mark.actors, pytest.mark.slow]

_SIGNAL_WITHIN_S = 60.0


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    """Start the demo, its strategies in one process and in a hurry."""
    config = tmp_path / "demo.yaml"
    demo = (ROOT / "configs" / "demo.yaml").read_text()
    config.write_text(f"{demo}\nplacement: {{isolation: pooled, hosts: 1}}\n")
    with ServiceProcess(config, tmp_path / "data", "--speed", "600") as running:
        yield running


def tour() -> str:
    """Return the commands of the README's tour that end by themselves."""
    section = README.partition("## Ten minutes with the service")[2].partition("\n## ")[0]
    return re.findall(r"^```bash\n(.*?)^```", section, re.DOTALL | re.MULTILINE)[0]


def as_it_is(service: ServiceProcess) -> dict[str, dict[str, Any]]:
    """Return what is wanted of every strategy, and what it has done so far."""
    with service.client() as client:
        found = {}
        for each in client.get("/strategies", params={"limit": 1000}).json()["items"]:
            del each["state"]
            fills = client.get(f"/strategies/{each['id']}/fills", params={"limit": 1000}).json()
            found[each["id"]] = {**each, "fills": [fill["id"] for fill in fills["items"]]}
        return found


def test_the_tour_works_and_a_restart_finds_everything(service: ServiceProcess) -> None:
    if shutil.which("curl") is None:
        not_installed("curl, which the tour needs")
    script = tour().replace("export CHORUS_KEY=chorus_…", "")
    script = script.replace("http://127.0.0.1:8642", service.address)
    script = script.replace("curl -s ", "curl -s --fail-with-body ")
    done = subprocess.run(  # noqa: S603 - our own README
        ["bash", "-euo", "pipefail", "-c", script],  # noqa: S607 - a shell, as in the README
        env={**os.environ, "CHORUS_KEY": service.key},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    await_signal(service)
    before = as_it_is(service)
    mine = before["my_dips"]
    assert mine["config"]["parameters"]["entry_z"] == 1.2
    assert (mine["desired"], mine["version"]) == ("running", 4)
    service.stop()
    service.start()
    after = as_it_is(service)
    assert after.keys() == before.keys()
    for name, known in before.items():
        assert set(known.pop("fills")) <= set(after[name].pop("fills"))
        assert after[name] == known


def await_signal(service: ServiceProcess) -> None:
    """Follow the WebSocket until the strategy of the tour has signalled."""
    address = service.address.replace("http", "ws", 1)
    with connect(
        f"{address}/api/v1/stream", additional_headers={"X-API-Key": service.key}
    ) as socket:
        socket.send(
            json.dumps({"type": "subscribe", "topics": ["signals"], "strategies": ["my_dips"]})
        )
        while True:
            message = json.loads(socket.recv(timeout=_SIGNAL_WITHIN_S))
            if message["type"] == "events":
                assert all(event["strategy"] == "my_dips" for event in message["events"])
                return
