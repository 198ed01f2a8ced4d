"""How a service is asked: what is sent again, what is refused, where a key goes."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from api.cli.remote.address import Address
from api.cli.remote.client import Api
from api.cli.remote.errors import AwayError, RefusedError, SignInError, UnknownAnswerError, refusal
from api.cli.remote.keyring import Key
from engine.errors import ChorusError, ConfigError
from tests.api.cli_remote.scripted import DROP, Answer, Scripted, answering, scripted

KEY = Key("chorus_1_2", "a test")
BUSY = answering(503, "The store is away")


def asking(server: Scripted, pauses: list[float] | None = None) -> Api:
    return Api(Address.of(server.url), KEY, pause=([] if pauses is None else pauses).append)


def chorus(*args: str, **env: str) -> Result:
    settings = {"TERM": "dumb", "NO_COLOR": "1", "CHORUS_DEBUG": "", "CHORUS_KEY": KEY.text, **env}
    return CliRunner(env=settings).invoke(app, args)


Ask = Callable[[Api], object]


@pytest.mark.parametrize("trouble", [DROP, BUSY, Answer(502, "bad gateway"), Answer(504, "")])
@pytest.mark.parametrize("ask", [lambda api: api.get("/me"), lambda api: api.post("/x", {})])
def test_what_may_be_sent_twice_is_sent_again(ask: Ask, trouble: Answer) -> None:
    pauses: list[float] = []
    with scripted([trouble, trouble, Answer(body='{"a": 1}')]) as server:
        with asking(server, pauses) as api:
            assert ask(api) == {"a": 1}
        assert pauses == [0.25, 0.5]
        keys = {headers.get("idempotency-key") for headers in server.headers}
        assert len(keys) == 1
        assert (None in keys) is server.asked[0].startswith("GET")


@pytest.mark.parametrize("ask", [lambda api: api.put("/x", {}), lambda api: api.delete("/x")])
def test_what_may_not_be_sent_twice_is_not(ask: Ask) -> None:
    with scripted([DROP, Answer()]) as server, asking(server) as api:
        with pytest.raises(AwayError, match=r"the connection broke .*; whether it was done"):
            ask(api)
        assert len(server.asked) == 1


def test_it_is_given_up_in_the_end() -> None:
    pauses: list[float] = []
    with scripted([BUSY]) as server, asking(server, pauses) as api:
        with pytest.raises(UnknownAnswerError, match="The store is away"):
            api.get("/me")
        assert (len(server.asked), len(pauses)) == (4, 3)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_key_follows_no_redirect(status: int) -> None:
    with scripted([Answer()]) as elsewhere:
        moved = Answer(status, "", {"Location": f"{elsewhere.url}/api/v1/me"})
        with scripted([moved]) as server:
            with asking(server) as api, pytest.raises(UnknownAnswerError, match=f"{status}"):
                api.get("/me")
            stream = {"Location": f"{elsewhere.url.replace('http', 'ws')}/api/v1/stream"}
            server.answers = [Answer(status, "", stream)]
            result = chorus("watch", "--url", server.url)
            assert (result.exit_code, f"answered {status}" in result.stderr) == (1, True)
        assert elsewhere.asked == []


def test_a_key_is_sent_in_one_header_to_one_place() -> None:
    with scripted([Answer(body='{"items": [], "next": null}')]) as server:
        result = chorus("ps", "--url", server.url)
        assert result.exit_code == 0, result.output
        assert server.asked == ["GET /api/v1/strategies?sort=created&limit=500"]
        assert server.headers[0]["authorization"] == f"Bearer {KEY.text}"
        assert [name for name, value in server.headers[0].items() if KEY.text in value] == [
            "authorization"
        ]


def test_no_proxy_of_the_environment_stands_between_here_and_this_machine() -> None:
    with (
        scripted([Answer(418)]) as proxy,
        scripted([Answer(body='{"items": [], "next": null}')]) as server,
    ):
        names = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
        env = dict.fromkeys(names, proxy.url)
        assert chorus("ps", "--url", server.url, **env).exit_code == 0
        stream = chorus("watch", "--url", server.url, **env)
        assert (stream.exit_code, proxy.asked) == (1, [])


@pytest.mark.parametrize(
    "args", [["ps"], ["stop", "one"], ["set", "one", "a=1"], ["watch"], ["top"]]
)
def test_where_no_service_is_there_is_a_remedy(args: list[str]) -> None:
    # The port is taken, but nobody listens there any more.
    with scripted([Answer()]) as gone:
        url = gone.url
    result = chorus(*args, "--url", url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {url}: no ")
    assert "`chorus up CONFIG`" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("body", ["", "<html>hello</html>", '{"items": 5}', "[1]", '"x"', "\x80"])
def test_what_is_no_service_is_said_to_be_none(body: str) -> None:
    for status in (200, 404, 500):
        with scripted([Answer(status, body)]) as server:
            result = chorus("ps", "--url", server.url)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith(f"error: {server.url}: ")
        assert "Traceback" not in result.stderr
        assert "defect" not in result.stderr


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:8642", "needs http://HOST:PORT"),
        ("ftp://localhost", "needs http://HOST:PORT"),
        ("http://", "needs http://HOST:PORT"),
        ("http://host:port", "needs http://HOST:PORT"),
        ("http://host:99999", "needs http://HOST:PORT"),
        ("http://ann:hunter2@host", "must not hold a name or a password"),
        ("http://host/?key=hunter2", "must end with the host"),
        ("http://ho st\x00/", "--url, or CHORUS_URL"),
    ],
)
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str, said: str) -> None:
    result = chorus("ps", "--url", url) if "\x00" not in url else chorus("ps", "--url", "http://[x")
    assert result.exit_code == 2
    assert "CHORUS_URL" in result.stderr
    assert "hunter2" not in result.output
    assert "Traceback" not in result.output
    assert said in result.stderr or "\x00" in url


@pytest.mark.parametrize(
    ("url", "api", "stream", "is_private"),
    [
        ("http://LOCALHOST:8642/", "http://localhost:8642", "ws://localhost:8642", True),
        ("http://[::1]:8642", "http://[::1]:8642", "ws://[::1]:8642", True),
        ("https://h.example/x/", "https://h.example/x", "wss://h.example/x", True),
        ("http://h.example:80/api/v1", "http://h.example", "ws://h.example", False),
    ],
)
def test_an_address_leads_to_api_and_stream(
    url: str, api: str, stream: str, is_private: bool
) -> None:
    address = Address.of(url)
    assert (address.api, address.stream) == (f"{api}/api/v1", f"{stream}/api/v1/stream")
    assert address.is_private is is_private
    assert Address.of(address.url) == address


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, RefusedError, 2), (401, SignInError, 2), (403, RefusedError, 2),
        (404, RefusedError, 2), (409, RefusedError, 2), (412, RefusedError, 2),
        (422, RefusedError, 2), (429, RefusedError, 2), (500, UnknownAnswerError, 1),
        (507, UnknownAnswerError, 1), (302, UnknownAnswerError, 1),
    ],
)  # fmt: skip
def test_every_status_has_its_kind_and_exit_code(
    status: int, kind: type[ChorusError], code: int
) -> None:
    answer = answering(status, "no \x1b[2Jway")
    error = refusal(status, answer.body, "http://here")
    assert type(error) is kind
    assert isinstance(error, ConfigError) is (code == 2)
    with scripted([answer]) as server:
        result = chorus("stop", "one", "--url", server.url)
    assert result.exit_code == code
    assert "no  [2Jway" in result.stderr


def test_fields_are_named_one_a_line() -> None:
    errors = [
        {"path": "body.config.symbol", "message": "missing"},
        {"path": "config.timeframe", "message": "'7q' is none"},
    ]
    both = refusal(422, answering(422, "No", errors=errors).body, "here")
    assert str(both).splitlines() == [
        "2 problems", "config.symbol: missing", "config.timeframe: '7q' is none",
    ]  # fmt: skip
    one = refusal(422, answering(422, "No", errors=errors[:1]).body, "here")
    assert str(one) == "config.symbol: missing"
    none = refusal(422, answering(422, "No", errors=[{"path": "", "message": "x"}]).body, "here")
    assert str(none) == "No"


def test_who_asks_too_often_hears_when_to_come_back() -> None:
    answer = answering(429, "Too often")
    with scripted([Answer(429, answer.body, {"Retry-After": "7"})]) as server:
        result = chorus("ps", "--url", server.url)
    assert (result.exit_code, "try again in 7 s" in result.stderr) == (2, True)


def test_pages_are_read_as_far_as_wanted() -> None:
    pages = [
        Answer(body=json.dumps({"items": [{"id": n}], "next": str(n) if n < 2 else None}))
        for n in range(3)
    ]
    with scripted(pages) as server, asking(server) as api:
        found = api.items("/things", 2, kind="a", other=None)
        assert ([item["id"] for item in found.items], found.next) == ([0, 1], "1")
        assert server.asked == [
            "GET /api/v1/things?kind=a&limit=2",
            "GET /api/v1/things?kind=a&limit=1&after=0",
        ]
