"""What the kernel makes of a text that is written to a sysctl: the value that it keeps, or the error.

A program writes the value of a line with a line feed. Most keys take the numbers that they need and pass over what
follows a blank; a number that ends in anything else is refused (kernel/sysctl.c). Tests compare
it with the running kernel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from sockmon.port_lists import format_ranges
from sockmon.text import sanitize
from sockmon.tunables import BY_KEY, REMOVED_BY_KEY
from sockmon.tunables.value import boot_value_problem
from sockmon.tuning.boot.kernel_rules import (
    INT_MAX,
    PID_MAX,
    PORT_RANGE,
    PORT_START,
    STARTS_WITH,
    Rule,
    depends_on,
    rule_of,
)
from sockmon.tuning.boot.sysctl_d import key_of

_SPACES = b" \t\n\v\f\r\xa0"
_BLANKS = b" \t\n"
_MAX_DIGITS = 21
"""A longer number is refused (TMPBUFLEN)."""
_PAGE = 4096
_PIDS_FOR_A_PROCESSOR = 8
_BUCKETS_IN_A_PAGE = _PAGE // 8
_MIN_HZ, _MAX_HZ = 100, 1000
"""Ticks in a second: a seconds value must fit an int in ticks, and no file shows how many this kernel has."""
_U8_SINCE = (5, 13)
"""From this version on small switches are one byte; before that, an int without bounds."""


class Kernel(msgspec.Struct, frozen=True):
    """What is known of the kernel that boots."""

    release: tuple[int, int] = (6, 18)
    processors: int = 1
    """How many it can have, also those that are not there now."""
    missing: Mapping[str, str] = msgspec.field(default_factory=dict)
    """By path, why it has no such file."""


class Kept(msgspec.Struct, frozen=True):
    """The kernel accepts the text."""

    value: str | None
    """The value as the kernel prints it; None if it is not certain, and `reason` says why."""
    ignored: str = ""
    """The rest of the text, which the kernel passes over."""
    reason: str = ""


class Refused(msgspec.Struct, frozen=True):
    """The kernel refuses the text."""

    errno: str
    """`EINVAL`, `ENOENT`."""
    reason: str
    partly: bool = False
    """Whether it keeps the numbers before the one that it refuses."""
    value: str | None = None
    """If `partly`, the value after the write; None if it is not certain."""
    by: str = ""
    """The path on whose value the refusal depends; empty if the text alone is refused."""


Outcome = Kept | Refused


def write(path: str, text: bytes, now: Mapping[str, str | None], kernel: Kernel | None = None) -> Outcome:
    """Return what happens when `text` and a line feed are written to `path`, one of `same_number`'s first.

    `now` has the values at that moment, None where one is not certain; what it lacks has not been written."""
    kernel = kernel or Kernel()
    if path in kernel.missing:
        return Refused("ENOENT", f"this kernel has no such file: {kernel.missing[path]}")
    rule = rule_of(path)
    if rule is None:
        return _without_a_rule(path, text)
    if len(text) + 1 >= _PAGE:
        return Kept(None, reason="the kernel reads such a long text in pieces")
    if rule.handler == "ports":
        return _ports(text)
    return _numbers(path, rule, text, now, kernel)


def _without_a_rule(path: str, text: bytes) -> Outcome:
    shown = " ".join(sanitize(text, _PAGE).split())
    row = BY_KEY.get(key_of(path))
    if gone := REMOVED_BY_KEY.get(key_of(path)):
        return Refused("ENOENT", f"this kernel has no such file: {gone.removed}")
    if (row is not None and not boot_value_problem(row, shown)) or re.fullmatch(r"0|[1-9][0-9]{0,8}", shown):
        return Kept(shown)
    return Kept(None, reason="sockmon does not know whether the kernel accepts this text")


def _numbers(path: str, rule: Rule, text: bytes, now: Mapping[str, str | None], kernel: Kernel) -> Outcome:
    found, rest, why = _read_numbers(rule, text + b"\n")
    if why and rule.handler == "u8" and kernel.release < _U8_SINCE and rest:
        return Kept(None, reason=f"kernels before {_U8_SINCE[0]}.{_U8_SINCE[1]} have other bounds")
    if why and (rule.all_or_nothing or not found):
        return Refused("EINVAL", why)
    if rule.handler == "seconds" and any(abs(number) > INT_MAX // _MAX_HZ for number in found):
        return Kept(None, reason="the largest number of seconds depends on how the kernel was built")
    value = _complete(found, rule.count, now.get(path, STARTS_WITH.get(path)))
    if why:
        return Refused("EINVAL", why, partly=True, value=value)
    if path == PID_MAX and found[0] < (least := _PIDS_FOR_A_PROCESSOR * kernel.processors):
        return Refused("EINVAL", f"{found[0]} is less than {least}, {_PIDS_FOR_A_PROCESSOR} for each processor")
    if path.endswith("nf_conntrack_buckets"):
        value = str(-(-found[0] // _BUCKETS_IN_A_PAGE) * _BUCKETS_IN_A_PAGE)
    if path in (PORT_RANGE, PORT_START):
        return _coupled(path, value, rest, now)
    if value is None:
        return Kept(None, reason=f"the line has {len(found)} of {rule.count} numbers: the others stay")
    return Kept(value, _shown(rest))


def _complete(found: list[int], count: int, before: str | None) -> str | None:
    """Return the numbers with those that are not written, which stay as they were."""
    kept = before.split() if before is not None else []
    if len(found) < count and len(kept) != count:
        return None
    return " ".join([*map(str, found), *kept[len(found) :]])


def _coupled(path: str, value: str | None, rest: bytes, now: Mapping[str, str | None]) -> Outcome:
    """Return what ip_local_port_range or ip_unprivileged_port_start makes of `value`: the range must not begin
    below the port start (sysctl_net_ipv4.c)."""
    other = depends_on(path)
    against = now.get(other, STARTS_WITH[other])
    ports = [int(number) for number in (value or "").split()]
    if path == PORT_RANGE and len(ports) == 2 and ports[1] < ports[0]:
        return Refused("EINVAL", "the last port is below the first")
    if value is None or against is None:
        return Kept(None, reason=f"it depends on {key_of(other)}, which is not known")
    limit = int(against.split()[0])
    if path == PORT_RANGE and ports[0] < limit:
        return Refused("EINVAL", f"the range begins below {key_of(PORT_START)}, {limit} at that moment", by=other)
    if path == PORT_START and limit < ports[0]:
        return Refused("EINVAL", f"{key_of(PORT_RANGE)} begins at {limit} at that moment, below it", by=other)
    return Kept(value, _shown(rest))


def _read_numbers(rule: Rule, text: bytes) -> tuple[list[int], bytes, str]:
    """Return the numbers that are kept, the text after them, and why the next one is refused; empty if none is."""
    found: list[int] = []
    rest = text
    while len(found) < rule.count:
        rest = rest.lstrip(_SPACES)
        if not rest:
            break
        number = _number(rest, _BLANKS, signed=rule.handler in ("int", "seconds"))
        if number is None:
            return found, b"", _bad_text(rest)
        value, rest = number
        if why := _out_of_bounds(rule, value):
            return found, rest, why
        found.append(value)
    return found, rest, "" if found else "it has no number"


def _bad_text(rest: bytes) -> str:
    word = re.split(rb"[ \t\n]", rest)[0]
    return f"`{sanitize(word, 40)}` is not a number"


def _number(text: bytes, trailers: bytes, signed: bool = False) -> tuple[int, bytes] | None:
    """Return the number at the start of `text` and the text after it; None if proc_get_long() refuses it."""
    head = text[:_MAX_DIGITS]
    negative = signed and head[:1] == b"-" and len(text) > 1
    found = re.match(rb"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*", head[negative:])
    if found is None:
        return None
    digits = found[0]
    value = int(digits, 16 if digits[:2].lower() == b"0x" else 8 if digits[:1] == b"0" else 10)
    end = negative + len(digits)
    if value >= 2**64 or end == _MAX_DIGITS or (end < len(text) and text[end : end + 1] not in _singles(trailers)):
        return None
    return -value if negative else value, text[end:]


def _singles(text: bytes) -> tuple[bytes, ...]:
    return tuple(text[place : place + 1] for place in range(len(text)))


def _out_of_bounds(rule: Rule, value: int) -> str:
    if rule.handler == "seconds":
        return f"{value} is out of bounds" if abs(value) > INT_MAX // _MIN_HZ else ""
    if value < rule.minimum:
        return f"{value} is less than {rule.minimum}"
    return f"{value} is more than {rule.maximum}" if value > rule.maximum else ""


def _ports(text: bytes) -> Outcome:
    rest, ranges = text + b"\n", []
    rest = rest.lstrip(b"\n")
    while rest:
        first = _number(rest, b"-,\n")
        last = first
        if first is not None and first[1][:1] == b"-":
            last = _number(first[1][1:], b",\n\0")
        if first is None or last is None:
            return Refused("EINVAL", _bad_ports(text))
        if not 0 <= first[0] <= last[0] <= 65535:
            return Refused("EINVAL", f"{first[0]}-{last[0]} is not a range of ports")
        ranges.append((first[0], last[0]))
        rest = last[1][1:].lstrip(b"\n")
    return Kept(format_ranges(ranges))


def _bad_ports(text: bytes) -> str:
    return f"`{sanitize(text, 40)}` is not a list of ports and ranges with commas and without blanks"


def _shown(rest: bytes) -> str:
    return sanitize(rest.strip(_SPACES), 200)
