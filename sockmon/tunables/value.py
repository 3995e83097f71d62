"""What may be written to a sysctl or a limit: text becomes the one way to write a value in bounds, or BadValue.

The kernel reads `010` as 8, keeps the rest of a pair that is given one number, and takes -1 where it means
nothing; none of that gets past `parse`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sockmon.errors import BadValue
from sockmon.model.clean import clean
from sockmon.tunables.tunable import Tunable

LONGEST = 400_000
"""Characters: every port by itself takes 382,000."""
SHOWN = 60
_INT_MAX = 2**31 - 1
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_LIMIT = re.compile(rf"{_NUMBER.pattern}|unlimited")
_PORTS = re.compile(r"[0-9]+(?:-[0-9]+)?(?:,[0-9]+(?:-[0-9]+)?)*")
_MISTAKES = (
    (r"\Z", "is empty"),
    (r"-[0-9]+\Z", "is negative"),
    (r"[+-]", "has a sign"),
    (r"0[xX]", "is hexadecimal"),
    (r"0[0-9]+\Z", "begins with 0, which the kernel takes for octal"),
    (r"[0-9]{20,}\Z", "has too many digits"),
    (r"[0-9]+[eE][0-9+-]", "has an exponent"),
    (r"[0-9]+([.,_'][0-9]+)+\Z", "has a separator between its digits"),
)
Ranges = list[tuple[int, int]]
"""(first, last), both included, ascending, with a gap between any two."""
UNLIMITED = "unlimited"
ENDLESS = 2**64 - 1
"""What `unlimited` is to the kernel (RLIM_INFINITY): more than any number."""


def parse(tunable: Tunable, text: str, key: str = "") -> str:
    """`text` as the kernel shall get it, with single spaces; `key` where it is not the row's first.

    Raises BadValue, which names the field, the value, the reason and what is allowed."""
    at = _Place(tunable, key or tunable.key)
    if len(text) > LONGEST:
        raise at.bad(text, "is too long")
    if any((char < " " and char != "\t") or char == "\x7f" for char in text):
        raise at.bad(text, "has a line feed or another control character")
    text = text.strip(" \t")
    if tunable.kind == "ports":
        return compressed(_ports(at, text))
    if tunable.kind == "limit":
        return _limit(at, text)
    parts = re.split(r"[ \t]+", text)
    if tunable.kind in ("number", "switch"):
        return str(_single(at, text, parts))
    if len(parts) != len(tunable.fields):
        raise at.bad(text, f"is {_count(parts)}, where {len(tunable.fields)} belong")
    values = [_number(at, part, field) for part, field in zip(parts, tunable.fields, strict=True)]
    for number in range(1, len(values)):
        if values[number] < values[number - 1]:
            earlier, later = tunable.fields[number - 1 : number + 1]
            raise at.bad(parts[number], f"is less than the {earlier}", later)
    return " ".join(map(str, values))


def misread(tunable: Tunable, text: str) -> str:
    """Why the kernel may refuse `text`, or make another value of it, whoever wrote it; empty: it takes it as it
    stands, perhaps beyond bounds of our own."""
    if tunable.kind == "number" and _NUMBER.fullmatch(text) and int(text) <= max(tunable.most, _INT_MAX):
        return ""
    try:
        parse(tunable, text)
    except BadValue as error:
        return error.reason
    return ""


def numbers(text: str) -> list[int]:
    """The numbers of a value as the kernel prints it; empty where it is none."""
    try:
        return [int(part) for part in text.split()]
    except ValueError:
        return []


def limits(text: str) -> tuple[int, int] | None:
    """Soft and hard limit of `1024:4096`; None where it is none."""
    found = [ENDLESS if part == UNLIMITED else int(part) for part in text.split(":") if _LIMIT.fullmatch(part)]
    return (found[0], found[1]) if len(found) == 2 else None


def with_hard(text: str, old: str) -> str:
    """`4096`, a soft limit alone, with the hard one of `old`, which is raised where it is lower."""
    before = limits(old)
    if ":" in text or before is None:
        return text
    return f"{text}:{text if _bound(text) > before[1] else old.partition(':')[2]}"


def ranges(text: str) -> Ranges:
    """The ports of a list as the kernel prints it, merged; what is no port is left out."""
    found = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if _NUMBER.fullmatch(first) and (not last or _NUMBER.fullmatch(last)):
            found.append((int(first), int(last or first)))
    return merged(span for span in found if span[0] <= span[1])


def merged(spans: Iterable[tuple[int, int]]) -> Ranges:
    """The same ports in as few ranges as there can be."""
    found: Ranges = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def compressed(spans: Iterable[tuple[int, int]]) -> str:
    """`8080,30000-32767`, as the kernel prints it; empty for none."""
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in merged(spans))


def within(spans: Iterable[tuple[int, int]], low: int, high: int) -> int:
    """How many of the ports lie in low..high."""
    return sum(max(0, min(last, high) - max(first, low) + 1) for first, last in merged(spans))


def same(tunable: Tunable, one: str, other: str) -> bool:
    """True where both mean the same to the kernel."""
    if tunable.kind == "ports":
        return ranges(one) == ranges(other)
    return one.split() == other.split()


def allowed(tunable: Tunable) -> str:
    """What `parse` takes, in words."""
    if tunable.kind == "switch":
        return ", ".join(f"{value} ({meaning})" for value, meaning in tunable.allowed.items())
    bounds = f"{tunable.least:,} to {tunable.most:,}"
    if tunable.kind == "limit":
        none = f", or {UNLIMITED}" if tunable.unlimited else ""
        return f"SOFT:HARD, or the soft limit alone, {bounds}{none}"
    if tunable.kind == "ports":
        return f"ports and ranges of {bounds}, such as 8080,30000-32767, or nothing"
    if tunable.kind == "number":
        steps = f", in steps of {tunable.step}" if tunable.step > 1 else ""
        return f"{bounds}{steps}, in plain digits"
    return f"{len(tunable.fields)} numbers with a space between, {', '.join(tunable.fields)}, ascending, {bounds}"


class _Place:
    """Which sysctl it is that a value does not fit."""

    def __init__(self, tunable: Tunable, key: str) -> None:
        self.tunable = tunable
        self.key = key

    def bad(self, value: str, reason: str, field: str = "") -> BadValue:
        return BadValue(self.key, field, clean(value[: SHOWN * 2], SHOWN), reason, allowed(self.tunable))


def _single(at: _Place, text: str, parts: list[str]) -> int:
    if len(parts) != 1:
        raise at.bad(text, f"is {_count(parts)}, where one belongs")
    if at.tunable.kind == "number":
        return _number(at, text, "")
    value = _decimal(at, text, "")
    if value not in at.tunable.allowed:
        raise at.bad(text, "is none of the values that mean something")
    return value


def _limit(at: _Place, text: str) -> str:
    """`SOFT:HARD`, or the soft limit alone."""
    parts = text.split(":")
    if len(parts) > 2:
        raise at.bad(text, f"is {_count(parts)}, where two belong")
    for part, field in zip(parts, at.tunable.fields, strict=False):
        if part != UNLIMITED or not at.tunable.unlimited:
            _number(at, part, field)
    if len(parts) == 2 and _bound(parts[0]) > _bound(parts[1]):
        raise at.bad(parts[0], "is more than the hard limit", "soft limit")
    return text


def _bound(text: str) -> int:
    return ENDLESS if text == UNLIMITED else int(text)


def _count(parts: list[str]) -> str:
    return "one number" if len(parts) == 1 else f"{len(parts)} numbers"


def _number(at: _Place, text: str, field: str) -> int:
    value = _decimal(at, text, field)
    if value < at.tunable.least:
        raise at.bad(text, f"is less than {at.tunable.least:,}", field)
    if value > at.tunable.most:
        raise at.bad(text, f"is more than {at.tunable.most:,}", field)
    if value % at.tunable.step:
        raise at.bad(text, f"is no multiple of {at.tunable.step}, to which the kernel rounds up", field)
    return value


def _decimal(at: _Place, text: str, field: str) -> int:
    if _NUMBER.fullmatch(text):
        return int(text)
    reasons = (reason for pattern, reason in _MISTAKES if re.match(pattern, text, re.ASCII))
    raise at.bad(text, next(reasons, "is not a number in plain digits"), field)


def _ports(at: _Place, text: str) -> Ranges:
    if text and not _PORTS.fullmatch(text):
        raise at.bad(text, "is not a list of ports with commas between and no spaces")
    return merged(_spans(at, text))


def _spans(at: _Place, text: str) -> Iterator[tuple[int, int]]:
    for part in text.split(",") if text else ():
        low, dash, high = part.partition("-")
        first = _number(at, low, "port")
        last = _number(at, high, "port") if dash else first
        if last < first:
            raise at.bad(part, "ends before it begins", "port")
        yield first, last
