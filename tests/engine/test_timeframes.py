"""Timeframes: arithmetic on boundaries, checked against the calendar."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.timeframes import (
    TIMEFRAMES,
    closed_interval,
    cron_expression,
    divides,
    drift,
    floor_time,
    format_time,
    interval_key,
    is_boundary,
    next_close,
    parse_time,
    timeframe_minutes,
    timeframe_ms,
)

timeframes = st.sampled_from(list(TIMEFRAMES))
NAMES = ["1m", "3m", "5m", "10m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d"]
times = st.integers(min_value=0, max_value=4_102_444_800_000)  # 1970 to 2100


def test_the_thirteen_timeframes_are_known_shortest_first() -> None:
    assert list(TIMEFRAMES) == NAMES
    assert list(TIMEFRAMES.values()) == sorted(TIMEFRAMES.values())
    assert timeframe_minutes("12h") == 720
    assert timeframe_ms("1d") == 86_400_000


@pytest.mark.parametrize("wrong", ["", "2m", "60m", "1H", "1w", "m1", None, 5, ["1m"]])
def test_an_unknown_timeframe_is_refused_with_the_list_of_known_ones(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"is not known; use one of 1m, 3m, .*1d"):
        timeframe_ms(wrong)


@settings(deadline=None)
@given(times, timeframes)
def test_an_instant_lies_in_the_interval_that_its_boundaries_enclose(
    time: int, timeframe: str
) -> None:
    length = timeframe_ms(timeframe)
    opened, closes = floor_time(time, timeframe), next_close(time, timeframe)
    assert opened <= time < closes
    assert closes - opened == length
    assert is_boundary(opened, timeframe)
    assert is_boundary(time, timeframe) == (opened == time)


@settings(deadline=None)
@given(times, timeframes)
def test_boundaries_are_those_of_the_utc_day(time: int, timeframe: str) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    minutes = timeframe_minutes(timeframe)
    index = int((moment - midnight).total_seconds() // 60) // minutes
    expected = midnight + timedelta(minutes=index * minutes)
    assert floor_time(time, timeframe) == int(expected.timestamp() * 1000)


@settings(deadline=None)
@given(times, timeframes)
def test_the_last_closed_interval_ends_where_the_present_one_begins(
    time: int, timeframe: str
) -> None:
    opened, closed = closed_interval(time, timeframe)
    assert closed == floor_time(time, timeframe)
    assert closed - opened == timeframe_ms(timeframe)
    assert closed_interval(closed - 1, timeframe) == (
        opened - timeframe_ms(timeframe),
        opened,
    )


@settings(deadline=None)
@given(times, times, timeframes)
def test_two_instants_share_a_key_exactly_when_they_share_an_interval(
    one: int, other: int, timeframe: str
) -> None:
    same = floor_time(one, timeframe) == floor_time(other, timeframe)
    assert (interval_key(one, timeframe) == interval_key(other, timeframe)) == same
    inside = next_close(one, timeframe) - 1
    assert interval_key(one, timeframe) == interval_key(inside, timeframe)


def test_interval_keys_read_like_times() -> None:
    time = parse_time("2024-02-29T13:44:59.999Z")
    assert interval_key(time, "1m") == "1m:2024-02-29T13:44Z"
    assert interval_key(time, "15m") == "15m:2024-02-29T13:30Z"
    assert interval_key(time, "1d") == "1d:2024-02-29T00:00Z"


def test_every_timeframe_has_a_cron_expression() -> None:
    assert {timeframe: cron_expression(timeframe) for timeframe in TIMEFRAMES} == {
        "1m": "* * * * *",
        "3m": "*/3 * * * *",
        "5m": "*/5 * * * *",
        "10m": "*/10 * * * *",
        "15m": "*/15 * * * *",
        "30m": "*/30 * * * *",
        "1h": "0 * * * *",
        "2h": "0 */2 * * *",
        "4h": "0 */4 * * *",
        "6h": "0 */6 * * *",
        "8h": "0 */8 * * *",
        "12h": "0 */12 * * *",
        "1d": "0 0 * * *",
    }


def _cron_fires(expression: str, moment: datetime) -> bool:
    minute, hour, *_ = expression.split()

    def matches(field: str, value: int) -> bool:
        if field == "*":
            return True
        return value % int(field[2:]) == 0 if field.startswith("*/") else value == int(field)

    return matches(minute, moment.minute) and matches(hour, moment.hour)


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_cron_fires_at_every_boundary_of_a_day_and_at_no_other_minute(timeframe: str) -> None:
    midnight = datetime(2024, 1, 1, tzinfo=UTC)
    for minute in range(1440):
        moment = midnight + timedelta(minutes=minute)
        time = int(moment.timestamp() * 1000)
        assert _cron_fires(cron_expression(timeframe), moment) == is_boundary(time, timeframe)


def test_divides_is_divisibility_of_minutes() -> None:
    for (small, few), (large, many) in product(TIMEFRAMES.items(), repeat=2):
        assert divides(small, large) == (many % few == 0)


def test_drift_is_signed_and_measured_to_the_nearest_boundary() -> None:
    at = parse_time("2024-01-01T00:15:00Z")
    assert (drift(at, "15m").offset_ms, drift(at, "15m").boundary) == (0, at)
    assert drift(at + 700, "15m").offset_ms == 700
    assert drift(at - 700, "15m").offset_ms == -700
    assert drift(at - 700, "15m", tolerance_ms=700).within
    assert not drift(at + 701, "15m", tolerance_ms=700).within
    with pytest.raises(ConfigError, match="0 ms or more, got -1"):
        drift(at, "15m", tolerance_ms=-1)


@settings(deadline=None)
@given(times, timeframes)
def test_drift_never_exceeds_half_an_interval(time: int, timeframe: str) -> None:
    measured = drift(time, timeframe)
    assert measured.boundary + measured.offset_ms == time
    assert is_boundary(measured.boundary, timeframe)
    assert abs(measured.offset_ms) * 2 <= timeframe_ms(timeframe)


@settings(deadline=None)
@given(times)
def test_a_time_written_is_read_back(time: int) -> None:
    text = format_time(time)
    assert text.endswith("Z")
    assert parse_time(text) == time


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-01",
        "2024-01-01T00:00:00Z",
        " 2024-01-01 00:00:00 ",
        "2024-01-01T02:30:00+02:30",
        "2023-12-31T19:00:00-05:00",
        "20240101T000000Z",
    ],
)
def test_iso_texts_of_one_instant_are_equal(text: str) -> None:
    assert parse_time(text) == 1_704_067_200_000


def test_fractions_beyond_the_millisecond_are_cut_off() -> None:
    assert parse_time("2024-01-01T00:00:00.123999Z") == 1_704_067_200_123


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01", "1704067200000", None])
def test_what_is_no_time_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is not ISO 8601; write it like 2024"):
        parse_time(text)


def test_a_number_outside_the_calendar_can_still_be_shown() -> None:
    assert format_time(10**18) == f"{10**18} ms"
    assert format_time(-(10**18)) == f"{-(10**18)} ms"
