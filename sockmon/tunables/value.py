"""What may be written to a sysctl or limit: `parse` returns the one spelling of a value in bounds, or raises
InvalidValue.

The kernel reads `010` as 8, keeps the second number if a pair is given only one, and accepts -1 for limits that it
makes no sense for; `parse` rejects all of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sockmon.errors import InvalidValue
from sockmon.format import plural
from sockmon.port_lists import Ranges, find_ranges, format_ranges, merged
from sockmon.text import sanitize
from sockmon.tunables.tunable import Tunable

MAX_VALUE_CHARS = 400_000
"""A list of every single port takes 382,000."""
MAX_QUOTED_CHARS = 60
_INT_MAX = 2**31 - 1
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_LIMIT = re.compile(rf"{_NUMBER.pattern}|unlimited")
_PORTS = re.compile(r"[0-9]+(?:-[0-9]+)?(?:,[0-9]+(?:-[0-9]+)?)*")
_MISTAKES = (
    (r"\Z", "is empty"),
    (r"-[0-9]+\Z", "is negative"),
    (r"[+-]", "has a sign"),
    (r"0[xX]", "is hexadecimal"),
    (r"0[0-9]+\Z", "begins with 0, which the kernel reads as octal"),
    (r"[0-9]{20,}\Z", "has too many digits"),
    (r"[0-9]+[eE][0-9+-]", "has an exponent"),
    (r"[0-9]+([.,_'][0-9]+)+\Z", "has a separator between its digits"),
)
UNLIMITED = "unlimited"
NO_LIMIT = "max"
"""How a cgroup writes that it has no limit."""
_SIZE = re.compile(rf"({_NUMBER.pattern})([KMGTkmgt]?)")
RLIM_INFINITY = 2**64 - 1
"""The kernel's number for `unlimited`, larger than any other."""


def parse(tunable: Tunable, text: str, key: str = "") -> str:
    """Return `text` as it is written to the kernel; raise InvalidValue with field, value, reason and allowed
    values.

    `key`: if it is not the row's first one."""
    at = _ErrorContext(tunable, key or tunable.key)
    if len(text) > MAX_VALUE_CHARS:
        raise at.bad(text, "is too long")
    if any((char < " " and char != "\t") or char == "\x7f" for char in text):
        raise at.bad(text, "has a line feed or another control character")
    text = text.strip(" \t")
    if tunable.kind == "ports":
        return format_ranges(_ports(at, text))
    if tunable.kind == "limit":
        return _limit(at, text)
    if tunable.kind == "cgroup limit":
        return _cgroup_limit(at, text)
    parts = re.split(r"[ \t]+", text)
    if tunable.kind in ("number", "switch"):
        return str(_single(at, text, parts))
    if len(parts) != len(tunable.field_names):
        raise at.bad(text, f"has {plural(len(parts), 'number')}, expected {len(tunable.field_names)}")
    values = [_number(at, part, field) for part, field in zip(parts, tunable.field_names, strict=True)]
    for number in range(1, len(values)):
        if values[number] < values[number - 1]:
            earlier, later = tunable.field_names[number - 1 : number + 1]
            raise at.bad(parts[number], f"is less than the {earlier}", later)
    return " ".join(map(str, values))


def boot_value_problem(tunable: Tunable, text: str) -> str:
    """Return why the kernel may reject or change `text`, which a boot file has; empty if it accepts it, even if it
    is outside our own bounds."""
    if tunable.kind == "number" and _NUMBER.fullmatch(text) and int(text) <= max(tunable.maximum, _INT_MAX):
        return ""
    try:
        parse(tunable, text)
    except InvalidValue as error:
        return error.reason
    return ""


def parse_numbers(text: str) -> list[int]:
    """Return the numbers of a value as the kernel prints it; empty if it has something else."""
    try:
        return [int(part) for part in text.split()]
    except ValueError:
        return []


def parse_limits(text: str) -> tuple[int, int] | None:
    """Return soft and hard limit of `1024:4096`; None if it is not such a pair."""
    found = [
        RLIM_INFINITY if part == UNLIMITED else int(part) for part in text.split(":") if _LIMIT.fullmatch(part)
    ]
    return (found[0], found[1]) if len(found) == 2 else None


def parse_cgroup_limit(text: str) -> int | None:
    """Return the limit of a cgroup; None for `max`."""
    return None if text == NO_LIMIT else int(text)


def with_hard_limit(text: str, old: str) -> str:
    """Return a soft limit alone, `4096`, with the hard limit of `old`, which is raised if it is lower."""
    before = parse_limits(old)
    if ":" in text or before is None:
        return text
    return f"{text}:{text if _bound(text) > before[1] else old.partition(':')[2]}"


def equal(tunable: Tunable, one: str, other: str) -> bool:
    """Return whether both values mean the same to the kernel."""
    if tunable.kind == "ports":
        return find_ranges(one) == find_ranges(other)
    return one.split() == other.split()


def describe_allowed(tunable: Tunable) -> str:
    """Return a text about what `parse` accepts."""
    if tunable.kind == "switch":
        return ", ".join(f"{value} ({meaning})" for value, meaning in tunable.allowed.items())
    bounds = f"{tunable.minimum:,} to {tunable.maximum:,}"
    if tunable.kind == "limit":
        none = f", or {UNLIMITED}" if tunable.may_be_unlimited else ""
        return f"SOFT:HARD, or the soft limit alone, {bounds}{none}"
    if tunable.kind == "cgroup limit":
        size = ", or with a suffix K, M, G or T, rounded down to pages" if tunable.unit == "bytes" else ""
        return f"{bounds}{size}, or {NO_LIMIT}"
    if tunable.kind == "ports":
        return f"ports and ranges of {bounds}, such as 8080,30000-32767, or an empty list"
    if tunable.kind == "number":
        steps = f", in steps of {tunable.step}" if tunable.step > 1 else ""
        return f"{bounds}{steps}, as plain digits"
    names = ", ".join(tunable.field_names)
    return f"{len(tunable.field_names)} ascending numbers separated by spaces ({names}), {bounds}"


class _ErrorContext:
    """The tunable and key of a value that is being parsed, for error messages."""

    def __init__(self, tunable: Tunable, key: str) -> None:
        self.tunable = tunable
        self.key = key

    def bad(self, value: str, reason: str, field: str = "") -> InvalidValue:
        return InvalidValue(
            self.key,
            field,
            sanitize(value[: MAX_QUOTED_CHARS * 2], MAX_QUOTED_CHARS),
            reason,
            describe_allowed(self.tunable),
        )


def _single(at: _ErrorContext, text: str, parts: list[str]) -> int:
    if len(parts) != 1:
        raise at.bad(text, f"has {plural(len(parts), 'number')}, expected one")
    if at.tunable.kind == "number":
        return _number(at, text, "")
    value = _decimal(at, text, "")
    if value not in at.tunable.allowed:
        raise at.bad(text, "is not a valid choice")
    return value


def _limit(at: _ErrorContext, text: str) -> str:
    """Return `SOFT:HARD`, or the soft limit alone."""
    parts = text.split(":")
    if len(parts) > 2:
        raise at.bad(text, f"has {plural(len(parts), 'number')}, expected two")
    for part, field in zip(parts, at.tunable.field_names, strict=False):
        if part != UNLIMITED or not at.tunable.may_be_unlimited:
            _number(at, part, field)
    if len(parts) == 2 and _bound(parts[0]) > _bound(parts[1]):
        raise at.bad(parts[0], "is more than the hard limit", "soft limit")
    return text


def _cgroup_limit(at: _ErrorContext, text: str) -> str:
    """Return a number, or `max`. Of bytes the kernel takes whole pages (page_counter_memparse)."""
    if text in (NO_LIMIT, "infinity", UNLIMITED):
        return NO_LIMIT
    size = _SIZE.fullmatch(text)
    if at.tunable.unit != "bytes" or size is None:
        return str(_number(at, text, ""))
    number = int(size[1]) * 1024 ** ("KMGT".index(size[2].upper()) + 1 if size[2] else 0)
    return str(_number(at, str(number - number % at.tunable.step), ""))


def _bound(text: str) -> int:
    return RLIM_INFINITY if text == UNLIMITED else int(text)


def _number(at: _ErrorContext, text: str, field: str) -> int:
    value = _decimal(at, text, field)
    if value < at.tunable.minimum:
        raise at.bad(text, f"is less than {at.tunable.minimum:,}", field)
    if value > at.tunable.maximum:
        raise at.bad(text, f"is more than {at.tunable.maximum:,}", field)
    if value % at.tunable.step:
        raise at.bad(text, f"is not a multiple of {at.tunable.step}, to which the kernel rounds up", field)
    return value


def _decimal(at: _ErrorContext, text: str, field: str) -> int:
    if _NUMBER.fullmatch(text):
        return int(text)
    reasons = (reason for pattern, reason in _MISTAKES if re.match(pattern, text, re.ASCII))
    raise at.bad(text, next(reasons, "is not a number in plain digits"), field)


def _ports(at: _ErrorContext, text: str) -> Ranges:
    if text and not _PORTS.fullmatch(text):
        raise at.bad(text, "is not a list of ports, separated by commas without spaces")
    return merged(_spans(at, text))


def _spans(at: _ErrorContext, text: str) -> Iterator[tuple[int, int]]:
    for part in text.split(",") if text else ():
        low, dash, high = part.partition("-")
        first = _number(at, low, "port")
        last = _number(at, high, "port") if dash else first
        if last < first:
            raise at.bad(part, "ends before it begins", "port")
        yield first, last
