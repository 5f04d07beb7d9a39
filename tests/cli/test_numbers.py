"""A number out of its bounds, or none, is refused in words."""

from __future__ import annotations

import pytest

FROM_0_TO_1 = "must be a number from 0 to 1, such as 0.5."


@pytest.mark.parametrize(
    ("args", "option", "value", "says"),
    [
        (["query", "rain"], "--min-probability", "5", FROM_0_TO_1),
        (["query", "rain"], "--min-probability", "50%", FROM_0_TO_1),
        (["query", "rain"], "--fdr", "-0.1", FROM_0_TO_1),
        (["query", "rain", "--spans"], "--threshold", "nan", FROM_0_TO_1),
        (["query", "rain"], "-k", "0", "must be 1 or more, or all."),
        (["locate", "rain", "a.wav"], "--threshold", "1,5", FROM_0_TO_1),
        (["locate", "rain", "a.wav"], "--speed", "0", "must be a number from 0.001 to 1, such as 0.5."),
        (["locate", "rain", "a.wav"], "--track", "0", "must be a whole number, 1 or more."),
        (["label", ".", "--labels", "rain"], "--min-probability", "", FROM_0_TO_1),
        (["duplicates"], "--threshold", "99%", FROM_0_TO_1),
        (["verify"], "--sample", "1.5", "must be a whole number, 1 or more."),
        (["serve"], "--idle", "5m", "must be a number, 0 or more."),
        (["serve"], "--http", "http", "must be a whole number from 0 to 65535."),
    ],
)
def test_a_number_that_an_option_does_not_take(run_cli, args, option, value, says):
    outcome = run_cli(*args, option, value)
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err == f"pe-search: {option}: {value!r} {says}\n"
