from datetime import timedelta

import pytest

from mailwire.cli.quantities import parse_duration, parse_size, show_duration, show_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", timedelta(seconds=30)),
        ("5min", timedelta(minutes=5)),
        ("12h", timedelta(hours=12)),
        ("14d", timedelta(days=14)),
        ("2w", timedelta(days=14)),
        ("0d", timedelta(0)),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "14", "d", "-1d", "1m", "1.5d", "14 d", "14d ", "9999999999d", "\uff11d", "999999999w"]
)
def test_what_is_no_duration_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("0", 0), ("512", 512), ("500k", 500_000), ("10M", 10**7), ("1G", 10**9)]
)
def test_a_size_is_a_number_and_a_factor(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5M", "1K", "1 M", "1MB", "1" * 16])
def test_what_is_no_size_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number of octets"):
        parse_size(text)


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_400, "99.4 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (123_456_789, "123 MB"),
        (5_000_000_000_000, "5000 GB"),
    ],
)
def test_a_size_is_shown_in_a_few_digits(octets: float, expected: str) -> None:
    assert show_size(octets) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(0, "0:00"), (7.9, "0:07"), (61, "1:01"), (3723, "1:02:03")])
def test_a_duration_is_shown_as_on_a_clock(seconds: float, expected: str) -> None:
    assert show_duration(seconds) == expected
