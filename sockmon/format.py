"""Numbers as text, for the screen, `check` and the docs.

Unknown (None) is `?` if there must be a number, `–` if there may be none; never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

UNKNOWN = "?"
NOTHING = "–"
NEVER = "—"


def count(value: int | None) -> str:
    """Return a number with separators: `28232` → `28,232`."""
    return UNKNOWN if value is None else f"{value:,}"


def plural(number: int, noun: str, nouns: str = "") -> str:
    """Return a number with its noun, `1 process` or `1,234 processes`; `nouns` is an irregular plural."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {nouns or noun + ('es' if noun.endswith(('s', 'x', 'ch')) else 's')}"


def full_in(seconds: float) -> str:
    """Return `full in ~4 min`, or `full now` below a second."""
    return "full now" if seconds < 1 else f"full in {eta(seconds)}"


def limit(value: int | None) -> str:
    """Return a limit with separators; RLIM_INFINITY (-1) is `∞`."""
    return "∞" if value == -1 else count(value)


def short(value: float | None) -> str:
    """Return a number in at most five cells: `28900` → `28.9k`."""
    if value is None:
        return UNKNOWN
    if abs(value) < 10_000:
        return f"{value:.0f}"
    for unit, factor in (("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)):
        scaled = value / factor
        if abs(scaled) < 99.95:
            return f"{scaled:.1f}{unit}"
        if abs(scaled) < 999.5:
            return f"{scaled:.0f}{unit}"
    return f"{value:.0e}"


def ratio(value: float | None) -> str:
    """Return a share in per cent: `0.82` → `82 %`. It rounds down, so that 100 % means full."""
    if value is None:
        return UNKNOWN
    percent = value * 100
    if 0 < percent < 1:
        return "<1 %"
    return f"{int(min(percent + 1e-9, 9999.0))} %"


def duration(seconds: float | None) -> str:
    """Return a length of time in one unit: `240.0` → `4 min`."""
    if seconds is None:
        return NOTHING
    for unit, factor, until in (("s", 1, 90), ("min", 60, 5_400), ("h", 3_600, 172_800)):
        if seconds < until:
            return f"{seconds / factor:.0f} {unit}"
    days = seconds / 86_400
    return f"{days:.0f} d" if days < 1_000 else ">999 d"


def eta(seconds: float | None) -> str:
    """Return the time left until a limit: `now`, `~4 min`, or `—` if nothing grows."""
    if seconds is None:
        return NEVER
    return "now" if seconds < 1 else f"~{duration(seconds)}"


def age(seconds: float | None) -> str:
    """Return an age: `3 s`."""
    return UNKNOWN if seconds is None else duration(max(seconds, 0.0))


def rate(value: float | None) -> str:
    """Return growth per second with its sign: `0.7` → `+0.7/s`; `0/s` if it does not change."""
    if value is None:
        return NOTHING
    text = pace(value)
    return text if value < 0 or text == "0/s" else f"+{text}"


def pace(value: float | None) -> str:
    """Return events per second, without a sign: `470` → `470/s`."""
    if value is None:
        return NOTHING
    if abs(value) < 0.05:
        return "0/s"
    return f"{value:.1f}/s" if abs(value) < 10 else f"{short(value)}/s"


def size(value: int | None) -> str:
    """Return bytes in binary units, in at most six cells: `1536` → `1.5 K`."""
    if value is None:
        return UNKNOWN
    scaled = float(value)
    for unit in ("B", "K", "M", "G", "T"):
        if scaled < 9.95 and unit != "B":
            return f"{scaled:.1f} {unit}"
        if scaled < 999.5:
            return f"{scaled:.0f} {unit}"
        scaled /= 1024
    return f"{scaled:.0f} P"


def megabytes(size: float) -> str:
    """Return bytes for a sentence: `62_900_000` → `62.9 MB`."""
    return f"{size / 1e6:,.1f} MB" if size < 99.95e6 else f"{size / 1e6:,.0f} MB"


def first_names(names: Sequence[str], at_most: int = 5) -> str:
    """Return the first of `names`, and how many more there are: `a, b, c, d, e and 7 more`."""
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return f"{', '.join(names[:at_most])}{more}"


def utc(time: str) -> str:
    """Return `2026-11-28 15:04:05 UTC` for a time in UTC and ISO 8601, as a Report has it."""
    return f"{datetime.fromisoformat(time.replace('Z', '+00:00')):%Y-%m-%d %H:%M:%S} UTC"
