"""Quantities as people write them: durations and sizes."""

import re
from datetime import timedelta
from typing import Final

__all__ = ["parse_duration", "parse_size", "show_duration", "show_size"]

_DURATION: Final = re.compile(r"([0-9]{1,9})(s|min|h|d|w)\Z")
_UNITS: Final = {
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}

_SIZE: Final = re.compile(r"([0-9]{1,15})(k|M|G)?\Z")
_FACTORS: Final = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3}
_SHOWN: Final = (("kB", 1e3), ("MB", 1e6))


def parse_duration(text: str) -> timedelta:
    """Return the duration that `text` names, "14d" say. Raises ValueError."""
    found = _DURATION.match(text)
    if found is None:
        raise ValueError(f"expected a duration such as 30s, 5min, 12h, 14d or 2w, got {text!r}")
    try:
        return int(found[1]) * _UNITS[found[2]]
    except OverflowError:
        raise ValueError(f"expected a duration of fewer years, got {text!r}") from None


def parse_size(text: str) -> int:
    """Return the octets that `text` names, "10M" say. Raises ValueError."""
    found = _SIZE.match(text)
    if found is None:
        raise ValueError(f"expected a number of octets such as 500k, 10M or 1G, got {text!r}")
    return int(found[1]) * _FACTORS[found[2] or ""]


def show_size(octets: float) -> str:
    """Return a size in two digits or three: "1.2 MB"."""
    if octets < 999.5:
        return f"{octets:.0f} B"
    amount, unit = next(
        ((octets / factor, unit) for unit, factor in _SHOWN if octets / factor < 999.5), (octets / 1e9, "GB")
    )
    return f"{amount:.0f} {unit}" if amount >= 99.5 else f"{amount:.1f} {unit}"


def show_duration(seconds: float) -> str:
    """Return a duration as a clock has it: "0:07", "1:02:03"."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
