import pytest

from vulcan_cli.errors import UsageError
from vulcan_cli.quantities import (
    format_duration,
    format_size,
    parse_age,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("1.5", 1.5),
        ("45s", 45),
        ("15m", 900),
        ("2h", 7_200),
        ("30d", 2_592_000),
        ("1w", 604_800),
        ("1h30m", 5_400),
        ("1.5H", 5_400),
        (" 15m ", 900),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "m", "-5m", "5 m", "5y", "1e3", "inf", "nan", "5m!", "1h30", "٣m", "9" * 41]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="is no duration"):
        parse_duration(text)


def test_an_age_names_its_unit() -> None:
    assert parse_age(" 30d ") == 2_592_000
    with pytest.raises(UsageError, match=r"^'30' has no unit: write 30d for days$"):
        parse_age("30")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4_096),
        ("10GB", 10**10),
        ("10G", 10**10),
        ("10 gb", 10**10),
        ("512MiB", 2**29),
        ("1.5kB", 1_500),
        ("2TB", 2 * 10**12),
        ("1PiB", 2**50),
        ("7B", 7),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "10XB", "1e9", "inf", "1,5GB", "9" * 41])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="is no size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (59.4, "59s"),
        (59.6, "1m"),
        (3_599, "59m"),
        (3_600, "1h"),
        (11_100, "3h05m"),
        (86_400, "1d"),
        (187_200, "2d04h"),
    ],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_951, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (34_000_000, "34 MB"),
        (10**13, "10 TB"),
        (2 * 10**15, "2 PB"),
    ],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert format_size(size) == text
