"""Durations as Go writes them, rates as tc(8) writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.engine import MS, NS, US, S, format_duration, parse_duration, parse_rate


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        ("0s", 0),
        ("1ns", NS),
        ("7us", 7 * US),
        ("7µs", 7 * US),
        ("200ms", 200 * MS),
        ("1s", S),
        ("1.5s", 1500 * MS),
        ("0.000000001s", 1),
        ("0.1us", 100),
        ("2m", 120 * S),
        ("1m30s", 90 * S),
        ("1h", 3600 * S),
        ("1h2m3s4ms5us6ns", 3723 * S + 4 * MS + 5 * US + 6),
        ("1.25h", 4500 * S),
        (" 3s ", 3 * S),
        ("999999h", 999999 * 3600 * S),
        ("5m0s", 300 * S),
    ],
)
def test_good_durations(text: str, ns: int) -> None:
    parsed = parse_duration(text)
    assert parsed == ns
    assert type(parsed) is int


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", '"5" needs a unit (write 5s or 5ms)'),
        ("1.5", '"1.5" needs a unit (write 1.5s or 1.5ms)'),
        ("-5s", '"-5s" is negative: a duration cannot be'),
        ("", '"" is not a duration (write for example 10s, 1.5s, 200ms, 50us or 1m30s)'),
        ("s", '"s" is not a duration (write for example 10s, 1.5s, 200ms, 50us or 1m30s)'),
        ("1 s", '"1 s" is not a duration (write for example 10s, 1.5s, 200ms, 50us or 1m30s)'),
        ("1s500", '"1s500" is not a duration (write for example 10s, 1.5s, 200ms, 50us or 1m30s)'),
        ("1d", '"1d" is not a duration (write for example 10s, 1.5s, 200ms, 50us or 1m30s)'),
        ("10S", '"10S" is not a duration (write for example 10s, 1.5s, 200ms, 50us or 1m30s)'),
        ("1,5s", '"1,5s" is not a duration (write for example 10s, 1.5s, 200ms, 50us or 1m30s)'),
        ("1e3s", '"1e3s" is not a duration (write for example 10s, 1.5s, 200ms, 50us or 1m30s)'),
        ("٣s", '"٣s" is not a duration (write for example 10s, 1.5s, 200ms, 50us or 1m30s)'),
        (5, "5 needs a unit (write 5s or 5ms)"),
        (0.5, "0.5 needs a unit (write 0.5s or 0.5ms)"),
        (None, "None is not a duration (write for example 10s, 1.5s, 200ms, 50us or 1m30s)"),
        (True, "True is not a duration (write for example 10s, 1.5s, 200ms, 50us or 1m30s)"),
    ],
)
def test_bad_durations(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as error:
        parse_duration(text)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (999, "999ns"),
        (1000, "1us"),
        (1500, "1.5us"),
        (100 * US, "100us"),
        (200 * MS, "200ms"),
        (S, "1s"),
        (10 * S, "10s"),
        (1500 * MS, "1.5s"),
        (S + 1, "1.000000001s"),
        (3600 * S, "3600s"),
        (432_000 * S, "432000s"),
        (-1500 * MS, "-1.5s"),
    ],
)
def test_formatted_durations(ns: int, text: str) -> None:
    assert format_duration(ns) == text


@given(st.integers(0, 10**18))
def test_a_formatted_duration_reads_back(ns: int) -> None:
    assert parse_duration(format_duration(ns)) == ns


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1bit", 1),
        ("100kbit", 100_000),
        ("100Mbit", 10**8),
        ("2.5gbit", 2_500_000_000),
        ("10Gbit", 10**10),
        ("1Tbit", 10**12),
        ("10 Gbit", 10**10),
    ],
)
def test_good_rates(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "10", "10G", "0bit", "0.5bit", "-1Mbit", "Mbit", "10Gbit/s", None, 10])
def test_bad_rates(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a link rate \(write for example 100Mbit or 10Gbit\)"):
        parse_rate(text)


def test_bps_is_refused_because_tc_reads_bytes() -> None:
    with pytest.raises(ValueError, match="bps are bytes to tc"):
        parse_rate("100Mbps")
