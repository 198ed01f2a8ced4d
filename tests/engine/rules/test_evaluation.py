"""What each construct of the language means, on candles short enough to check by eye.

`answers` also checks that the arrays give the same answers.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

Answers = Callable[..., list[bool]]
T, F = True, False


def test_a_crossing_needs_a_step_from_at_or_below_to_above(answers: Answers) -> None:
    closes = [1, 2, 3, 3, 2, 2, 3, 1]
    assert answers("crosses_above(close, 2)", closes) == [F, F, T, F, F, F, T, F]
    assert answers("crosses_below(close, 2)", closes) == [F, F, F, F, F, F, F, T]
    assert answers("crosses_below(close, 2)", [3, 2, 1]) == [F, F, T]
    assert answers("crosses_below(close, 2)", [3, 1]) == [F, T]
    assert answers("crosses_above(2, close)", [3, 1]) == [F, T]


def test_a_crossing_sees_consecutive_candles_even_if_and_stops_before_it(answers: Answers) -> None:
    closes = [1, 1, 3, 1, 3]
    assert answers("volume > 2 and crosses_above(close, 2)", closes) == [F, F, T, F, T]
    assert answers("open[1] > 2 and crosses_above(close, 2)", closes) == [F] * 5
    assert answers("open[1] < 2 and crosses_above(close, 2)", closes) == [F, F, T, F, T]


def test_two_series_cross_where_their_difference_changes_sign(answers: Answers) -> None:
    indicators = {"fast": {"type": "sma", "period": 1}, "slow": {"type": "sma", "period": 3}}
    closes = [5, 4, 3, 2, 6, 7, 1, 0]
    # slow: - - 4 3 3.67 5 4.67 2.67
    assert answers("crosses_above(fast, slow)", closes, indicators) == [F, F, F, F, T, F, F, F]
    assert answers("crosses_below(fast, slow)", closes, indicators) == [F, F, F, F, F, F, T, F]


def test_the_opposite_of_a_crossing_holds_only_where_all_its_inputs_are_defined(
    answers: Answers,
) -> None:
    indicators = {"slow": {"type": "sma", "period": 3}}
    closes = [5, 4, 3, 2, 6, 7]
    above = answers("crosses_above(close, slow)", closes, indicators)
    assert above == [F, F, F, F, T, F]
    not_above = answers("not crosses_above(close, slow)", closes, indicators)
    assert not_above == [F, F, F, T, F, T]


@pytest.mark.parametrize("comparison", ["<", "<=", ">", ">=", "==", "!="])
def test_undefined_is_neither_true_nor_false(answers: Answers, comparison: str) -> None:
    indicators = {"slow": {"type": "sma", "period": 3}}
    rule = f"slow {comparison} 2"
    assert answers(rule, [2, 2], indicators) == [F, F]
    assert answers(f"not ({rule})", [2, 2], indicators) == [F, F]
    assert answers(f"{rule} or true", [2, 2], indicators) == [T, T]
    assert answers(f"{rule} or not ({rule})", [2, 2, 2], indicators) == [F, F, T]
    assert answers(f"not ({rule} and false)", [2, 2], indicators) == [T, T]


def test_dividing_by_zero_is_undefined(answers: Answers) -> None:
    assert answers("1 / close > 0", [0, 2]) == [F, T]
    assert answers("not (1 / close > 0)", [0, 2]) == [F, F]
    assert answers("close / (close - close) == 0 or 0 / 0 != 1", [1, 2]) == [F, F]


def test_overflow_is_infinite_not_an_error(answers: Answers) -> None:
    assert answers("close * 1e308 > 1e308", [1, 10]) == [F, T]
    assert answers("close * 1e308 - close * 1e308 == 0", [1, 10]) == [T, F]


def test_history_reaches_back_and_is_undefined_before_the_first_candle(answers: Answers) -> None:
    closes = [1, 2, 3, 4]
    assert answers("close[1] == close - 1", closes) == [F, T, T, T]
    assert answers("close[2] < 3", closes) == [F, F, T, T]
    assert answers("close[1][1] == close[2]", closes) == [F, F, T, T]
    assert answers("(close + open[1])[1] == 3", closes) == [F, F, T, F]
    assert answers("close[0] == close", closes) == [T] * 4


def test_history_of_a_condition_asks_what_held_then(answers: Answers) -> None:
    closes = [1, 3, 1, 1]
    assert answers("(close > 2)[1]", closes) == [F, F, T, F]
    assert answers("not (close > 2)[1]", closes) == [F, T, F, T]
    assert answers("crosses_above(close, 2)[1]", closes) == [F, F, T, F]
    assert answers("(crosses_above(close, 2)[1] and close == 1)[1]", closes) == [F, F, F, T]


def test_rising_means_each_of_the_last_steps_went_up(answers: Answers) -> None:
    closes = [1, 2, 3, 3, 4, 5, 6]
    assert answers("rising(close, 1)", closes) == [F, T, T, F, T, T, T]
    assert answers("rising(close, 2)", closes) == [F, F, T, F, F, T, T]
    assert answers("not rising(close, 2)", closes) == [F, F, F, T, T, F, F]
    assert answers("falling(close, 2)", [4, 3, 2, 2, 1]) == [F, F, T, F, F]
    assert answers("rising(close, 1)[1]", closes) == [F, F, T, T, F, T, T]


def test_rising_over_a_series_that_becomes_defined_later(answers: Answers) -> None:
    indicators = {"slow": {"type": "sma", "period": 2}}
    closes = [1, 2, 3, 4, 3]
    assert answers("rising(slow, 2)", closes, indicators) == [F, F, F, T, F]
    assert answers("not rising(slow, 2)", closes, indicators) == [F, F, F, F, T]


def test_highest_and_lowest_include_the_present_candle(answers: Answers) -> None:
    closes = [3, 1, 2, 5, 4, 0]
    assert answers("close >= highest(close, 3)", closes) == [F, F, F, T, F, F]
    assert answers("close <= lowest(close, 3)", closes) == [F, F, F, F, F, T]
    assert answers("highest(close, 1) == close", closes) == [T] * 6


def test_a_breakout_compares_with_the_extreme_one_candle_before(answers: Answers) -> None:
    assert answers("close > highest(high, 2)[1]", [1, 2, 3, 3, 1, 2, 9]) == [F, F, T, F, F, F, T]


def test_one_undefined_value_makes_the_extreme_undefined_while_it_is_in_the_window(
    answers: Answers,
) -> None:
    closes = [1, 2, 0, 4, 5, 6]
    assert answers("highest(1 / close, 2) > 0", closes) == [F, T, F, F, T, T]


def test_extremes_agree_with_a_plain_search_on_every_length(answers: Answers) -> None:
    closes = [float(7 * i % 11) for i in range(59)] + [99.0]
    for length in (1, 2, 3, 10, 11, 59, 60, 61):
        expected = [
            row + 1 >= length and closes[row] == max(closes[row + 1 - length : row + 1])
            for row in range(60)
        ]
        assert answers(f"close == highest(close, {length})", closes) == expected


def test_min_max_abs_and_arithmetic(answers: Answers) -> None:
    assert answers("max(close, 2, 3) == 3", [1, 3, 4]) == [T, T, F]
    assert answers("min(close, 2) == close", [1, 2, 3]) == [T, T, F]
    assert answers("abs(close - 2) == 1", [1, 2, 3]) == [T, F, T]
    assert answers("-close + 2 * 3 - 4 / 2 == 3", [1, 2]) == [T, F]
    assert answers("min(1 / close, 5) < 9 or max(7, 1 / close) > 0", [0, 1]) == [F, T]


def test_a_chain_of_comparisons_holds_if_each_does(answers: Answers) -> None:
    assert answers("1 < close <= 3", [1, 2, 3, 4]) == [F, T, T, F]
    assert answers("not (1 < close <= 3)", [1, 2, 3, 4]) == [T, F, F, T]


def test_average_prices_are_those_of_the_candle(answers: Answers) -> None:
    columns = {
        "open": [1.0, 1.0],
        "high": [9.0, 9.0],
        "low": [3.0, 3.0],
        "close": [3.0, 7.0],
        "volume": [5.0, 0.0],
    }
    assert answers("hl2 == 6", columns) == [T, T]
    assert answers("hlc3 == 5", columns) == [T, F]
    assert answers("ohlc4 == 5 and volume == 0", columns) == [F, T]
    assert answers("open < close", columns) == [T, T]


def test_named_outputs_and_their_usual_other_names_are_read(answers: Answers) -> None:
    indicators = {"bb": {"period": 2, "stdDev": 1}}
    closes = [1, 3, 5, 5]
    assert answers("bb.upper > bb.middle and bb.lower < bb.middle", closes, indicators) == [
        F,
        T,
        T,
        F,
    ]
    assert answers("bb == bb.upper", closes, indicators) == [F, T, T, T]
    assert answers("bb.mid == bb.middle", closes, indicators) == [F, T, T, T]


def test_parameters_are_numbers_and_conditions_by_name(answers: Answers) -> None:
    parameters = {"level": 2, "on": True, "off": False}
    assert answers("close > level and on", [1, 3], None, parameters) == [F, T]
    assert answers("close > level or off", [1, 3], None, parameters) == [F, T]
    assert answers("not off and not (close > level)", [1, 3], None, parameters) == [T, F]
    assert answers("close == highest(close, level)", [3, 2, 4], None, parameters) == [F, F, T]


def test_an_indicator_may_read_another(answers: Answers) -> None:
    indicators = {
        "base": {"type": "sma", "period": 1},
        "twice": {"type": "sma", "period": 2, "source": "base"},
    }
    assert answers("twice == 2", [1, 3, 1], indicators) == [F, T, T]
