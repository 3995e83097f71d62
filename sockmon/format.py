"""Numbers as a person reads them; shared by the screen, `check` and the docs.

Unknown (None) is `?` where a number should be, `–` where there is nothing to say, never 0.
"""

from __future__ import annotations

UNKNOWN = "?"
NOTHING = "–"
NEVER = "—"


def count(value: int | None) -> str:
    """`28232` → `28,232`."""
    return UNKNOWN if value is None else f"{value:,}"


def limit(value: int | None) -> str:
    """A limit as a count; RLIM_INFINITY (-1) is `∞`."""
    return "∞" if value == -1 else count(value)


def short(value: float | None) -> str:
    """At most five cells: `28900` → `28.9k`."""
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
    """A share as per cent: `0.82` → `82 %`; rounds down below 1, so that 100 % means full."""
    if value is None:
        return UNKNOWN
    percent = value * 100
    if 0 < percent < 1:
        return "<1 %"
    return f"{min(int(percent + 1e-9), 9999)} %"


def duration(seconds: float | None) -> str:
    """A length of time in its one fitting unit: `240.0` → `4 min`."""
    if seconds is None:
        return NOTHING
    for unit, factor, until in (("s", 1, 90), ("min", 60, 5_400), ("h", 3_600, 172_800)):
        if seconds < until:
            return f"{seconds / factor:.0f} {unit}"
    days = seconds / 86_400
    return f"{days:.0f} d" if days < 1_000 else ">999 d"


def eta(seconds: float | None) -> str:
    """Time left until a limit: `now`, `~4 min`, or `—` where nothing grows."""
    if seconds is None:
        return NEVER
    return "now" if seconds < 1 else f"~{duration(seconds)}"


def age(seconds: float | None) -> str:
    """How old something is: `3 s`."""
    return UNKNOWN if seconds is None else duration(max(seconds, 0.0))


def rate(value: float | None) -> str:
    """Growth per second with its sign: `0.7` → `+0.7/s`; `0/s` is known not to move."""
    if value is None:
        return NOTHING
    text = pace(value)
    return text if value < 0 or text == "0/s" else f"+{text}"


def pace(value: float | None) -> str:
    """Events per second, without a sign: `470` → `470/s`."""
    if value is None:
        return NOTHING
    if abs(value) < 0.05:
        return "0/s"
    return f"{value:.1f}/s" if abs(value) < 10 else f"{short(value)}/s"


def size(value: int | None) -> str:
    """Bytes in binary units, at most six cells: `1536` → `1.5 K`."""
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
