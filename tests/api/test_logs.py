"""What this process logs: one shape for all libraries, and no secret in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from api.logs import configure_logging, without_secrets
from tests.examples import examples

SECRET = "f00dfeedbeef"  # noqa: S105 - of a test


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def records(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_both_ways_to_log_look_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    structlog.get_logger().info("started", strategy_id="a")
    logging.getLogger("api.x").warning("stopped %s", 3, extra={"strategy_id": "b"})
    logging.getLogger("api.x").debug("not shown")
    ours, theirs = records(capsys)
    assert (ours["event"], ours["level"], ours["strategy_id"]) == ("started", "info", "a")
    assert (theirs["event"], theirs["level"], theirs["strategy_id"]) == (
        "stopped 3", "warning", "b",
    )  # fmt: skip
    assert theirs["logger"] == "api.x"
    assert ours["timestamp"].endswith("Z")


def test_configuring_again_shows_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        configure_logging("info", "json")
    logging.getLogger("x").info("once")
    assert len(records(capsys)) == 1


@pytest.mark.parametrize("shape", ["console", "json"])
def test_no_secret_is_shown(capsys: pytest.CaptureFixture[str], shape: Any) -> None:
    configure_logging("debug", shape)
    log, standard = structlog.get_logger(), logging.getLogger("x")
    log.info("redis://:%s@cache/0 is away", SECRET)
    log.info("x", password=SECRET, headers={"Authorization": f"Bearer {SECRET}"})
    log.info("x", request=[{"X-API-Key": f"chorus_0123456789abcdef_{SECRET}"}])
    standard.warning("key chorus_0123456789abcdef_%s", SECRET)
    try:
        raise ValueError(f"token={SECRET}")  # noqa: TRY301 - of a test
    except ValueError:
        standard.exception("failed")
        log.exception("failed")
    shown = capsys.readouterr().err
    assert shown.count("***") >= 7
    assert SECRET not in shown


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(
    event=st.dictionaries(st.text(min_size=1), JSON, max_size=4),
    name=st.sampled_from(["password", "api_key", "X-API-Key", "Authorization", "client_secret"]),
)
@examples(200)
def test_whatever_is_logged_what_has_a_telling_name_is_hidden(
    event: dict[str, Any], name: str
) -> None:
    shown = without_secrets(None, "info", {**event, "nested": [{name: SECRET}], name: SECRET})
    assert SECRET not in json.dumps(shown)
    assert json.dumps(shown, sort_keys=True) == json.dumps(
        without_secrets(None, "info", dict(shown)), sort_keys=True
    )
