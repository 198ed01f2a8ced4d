"""What Prometheus reads, and that dashboard and alert rules ask for nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from api.server import Exposition, Services, create_app
from engine.events import EventLogHealth
from engine.status import EngineStatus, StrategyStatus
from tests.api.server.conftest import GUARDS, Ask
from tests.api.server.engine import FakeEngine, FakeSystem
from tests.api.server.test_system import SEEN

DEPLOY = Path(__file__).parents[3] / "deploy"
NAME = re.compile(r"\bchorus_[a-z_]+\b")

Read = Callable[..., dict[str, Metric]]


def seen(name: str, status: str = "running") -> StrategyStatus:
    return StrategyStatus(
        name, "", "EMA_CROSS", "BTC/USDT", "1m", "ann", status, pnl=1.5, trades=2, errors=1
    )


@pytest.fixture
def read(services: Services, engine: FakeEngine, system: FakeSystem) -> Read:
    """Return what reads the metrics of an engine with three strategies."""
    system.seen = SEEN
    engine.newest = EngineStatus(
        phase="running",
        slice_number=7,
        candles=14,
        total_candles=100,
        candles_per_s=2.0,
        elapsed_s=7.0,
        strategies=[seen("c", "error"), seen("a"), seen("b")],
        latency_ms={"p50": 1.0, "p90": 2.0, "p99": 4.0, "max": 9.0},
    )

    def families(*paths: str, strategies: int = 200, key: str | None = None) -> dict[str, Metric]:
        exposition = Exposition(is_open=True, strategies=strategies)
        app = create_app(services, guards=GUARDS, exposition=exposition)
        client = TestClient(app, base_url="http://chorus", client=("127.0.0.1", 1))
        for path in paths:
            client.get(path, headers={"X-API-Key": key} if key else {})
        answer = client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return {each.name: each for each in text_string_to_metric_families(answer.text)}

    return families


def values(metric: Metric, label: str) -> dict[str, float]:
    return {sample.labels[label]: sample.value for sample in metric.samples}


def test_what_the_engine_does_can_be_read(read: Read) -> None:
    found = read()

    def value(name: str) -> float:
        (sample,) = found[name].samples
        return sample.value

    assert value("chorus_candles") == 14
    assert value("chorus_slices_lag") == 2
    assert [value(f"chorus_{name}") for name in ("signals", "orders", "fills")] == [4, 3, 2]
    assert (value("chorus_engine_up"), value("chorus_recording_up")) == (1, 0)
    assert (value("chorus_recording_lag_lines"), value("chorus_executions_lag_lines")) == (2, 7)
    assert value("chorus_executions_up") == 1
    assert values(found["chorus_strategies"], "status") == {
        "created": 0, "warming": 0, "running": 2, "paused": 0, "stopped": 0, "error": 1,
        "no data": 0,
    }  # fmt: skip
    assert values(found["chorus_decision_latency_seconds"], "quantile") == {
        "0.5": 0.001, "0.9": 0.002, "0.99": 0.004,
    }  # fmt: skip
    assert values(found["chorus_engine_restarts"], "kind") == {"pooled": 2}
    assert values(found["chorus_strategy_up"], "strategy") == {"a": 1, "b": 1, "c": 0}
    assert value("chorus_strategy_exceptions") == 3


def test_no_more_strategies_have_series_than_are_allowed(read: Read) -> None:
    found = read(strategies=2)
    assert values(found["chorus_strategy_pnl"], "strategy") == {"a": 1.5, "b": 1.5}
    assert sum(values(found["chorus_strategies"], "status").values()) == 3


def test_streams_of_candles_are_counted_together(read: Read, system: FakeSystem) -> None:
    dropped = {"candles:a": 2, "candles:b": 3, "metrics": 1}
    system.seen = type(SEEN)(
        started_ms=0, uptime_s=0.0, events=EventLogHealth(available=False, dropped=dropped)
    )
    found = read()
    assert values(found["chorus_events_dropped"], "kind") == {"candles": 5, "metrics": 1}
    assert found["chorus_event_log_up"].samples[0].value == 0
    assert found["chorus_engine_up"].samples[0].value == 0, "it was not heard of so far"


def test_requests_are_counted_by_route_not_by_path(read: Read) -> None:
    place = "/api/v1/strategies"
    found = read(f"{place}/a", f"{place}/b", "/nope", "/nope/2", "http://evil/api/v1/strategies")
    counted = {
        (s.labels["route"], s.labels["status"]): s.value
        for s in found["chorus_http_requests"].samples
        if s.name.endswith("_total")
    }
    assert counted == {
        ("/strategies/{strategy_id}", "401"): 2, ("none", "404"): 2, ("none", "400"): 1,
    }  # fmt: skip


def test_a_method_nobody_knows_makes_no_series_of_its_own(ask: Ask) -> None:
    client = ask("admin")
    for number in range(3):
        client.request(f"X{number}", "/strategies")
    assert client.get("http://chorus/metrics").text.count('method="other"') > 0
    assert 'method="X0"' not in client.get("http://chorus/metrics").text


def test_names_follow_the_conventions(read: Read) -> None:
    for name, metric in read("/api/v1/strategies").items():
        assert name.startswith("chorus_")
        assert metric.documentation
        assert not name.endswith(("_total", "_ms", "_count")), name
        if metric.type == "counter":
            assert all(s.name.endswith(("_total", "_created")) for s in metric.samples)


def used_by_alerts() -> dict[str, str]:
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
    return {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}


def used_by_the_dashboard() -> dict[str, str]:
    dashboard: dict[str, Any] = json.loads((DEPLOY / "grafana/chorus.json").read_text())
    return {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    }


def test_dashboard_and_alerts_ask_for_metrics_that_exist(read: Read) -> None:
    found = read("/api/v1/strategies")
    samples = {s.name for metric in found.values() for s in metric.samples}
    used = {**used_by_alerts(), **used_by_the_dashboard()}
    assert len(used) > 40
    for where, expression in used.items():
        names = set(NAME.findall(expression))
        assert names or expression.startswith('up{job="chorus"}'), where
        assert names <= samples, f"{where}: {names - samples}"
        assert expression.count("(") == expression.count(")"), where


def test_panels_have_ids_and_places_of_their_own() -> None:
    panels = json.loads((DEPLOY / "grafana/chorus.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells), panel["title"]
        taken |= cells


def test_prometheus_reads_the_rules_and_the_service_where_it_is() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    assert [(DEPLOY / "prometheus" / name).exists() for name in config["rule_files"]] == [True]
    (job,) = config["scrape_configs"]
    assert (job["job_name"], job["metrics_path"]) == ("chorus", "/metrics")
    for rule in yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"][0][
        "rules"
    ]:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]
