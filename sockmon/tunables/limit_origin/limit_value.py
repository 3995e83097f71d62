"""Limits as units and limits.conf write them (rlimit_parse() in src/basic/rlimit-util.c, pam_limits.c). Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from sockmon.model.limit_origin import Resource
from sockmon.model.snapshot import UNLIMITED


class Names(NamedTuple):
    """What one limit is called in each place."""

    proc: str
    """The row of /proc/PID/limits."""
    directive: str
    """Of a unit; with `Default` before it, of system.conf."""
    oci: str
    """In the config.json of a container."""
    ulimit: str
    """The option of ulimit."""
    unit: str


NAMES: dict[Resource, Names] = {
    "nofile": Names("Max open files", "LimitNOFILE", "RLIMIT_NOFILE", "n", "descriptors"),
    "nproc": Names("Max processes", "LimitNPROC", "RLIMIT_NPROC", "u", "tasks"),
    "memlock": Names("Max locked memory", "LimitMEMLOCK", "RLIMIT_MEMLOCK", "l", "bytes"),
}
_RESOURCES: dict[str, Resource] = {"nofile": "nofile", "nproc": "nproc", "memlock": "memlock"}
_SUFFIXES = {"": 1, "B": 1, **{letter: 1024 ** (place + 1) for place, letter in enumerate("KMGTPE")}}
_SIZE = re.compile(r"([0-9]+)(?:\.([0-9]+))?\s*([BKMGTPE]?)")
_NUMBER = re.compile(r"[+]?(0x[0-9a-fA-F]+|0b[01]+|0o[0-7]+|[0-9]+)")
_INFINITE = (1 << 64) - 1


def resource_of(key: str) -> Resource:
    """Return the resource of a key such as `nofile@1044`; raise KeyError for any other."""
    return _RESOURCES[key.partition("@")[0]]


def parse_directive(resource: Resource, text: str) -> tuple[int, int] | None:
    """Return soft and hard of `LimitNOFILE=SOFT:HARD` or `=BOTH`; None if systemd ignores the line."""
    parts = text.split(":")
    values = [_parse_one(resource, part) for part in parts]
    if len(values) > 2 or None in values:
        return None
    soft, hard = values[0], values[-1]
    assert soft is not None
    assert hard is not None
    return None if _order(soft) > _order(hard) else (soft, hard)


def parse_pam(resource: Resource, text: str, nr_open: int | None) -> int | None:
    """Return the number of a line of limits.conf; None if pam_limits ignores the line, or if it means
    fs.nr_open and that is not known."""
    value = text.lower()
    if value in ("-", "-1", "unlimited", "infinity"):
        return nr_open if resource == "nofile" else UNLIMITED
    digits = re.match(r"\s*\+?([0-9]+)", value)
    if digits is None:
        return None
    number = int(digits[1])
    if resource == "memlock":
        return UNLIMITED if number >= _INFINITE // 1024 else number * 1024
    return UNLIMITED if number >= _INFINITE else number


def lower(one: int, other: int) -> int:
    """Return the lower of two limits."""
    return one if _order(one) <= _order(other) else other


def is_higher(one: int, other: int) -> bool:
    """Return whether `one` is the higher limit."""
    return _order(one) > _order(other)


def _order(limit: int) -> int:
    return _INFINITE if limit == UNLIMITED else limit


def _parse_one(resource: Resource, text: str) -> int | None:
    if text == "infinity":
        return UNLIMITED
    if resource == "memlock":
        match = _SIZE.fullmatch(text)
        if match is None:
            return None
        factor = _SUFFIXES[match[3]]
        fraction = int(match[2] or 0) * factor // 10 ** len(match[2] or "")
        return _in_range(int(match[1]) * factor + fraction)
    match = _NUMBER.fullmatch(text.lstrip())
    if match is None:
        return None
    digits = match[1]
    # strtoull() with base 0 reads a leading zero as octal.
    octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit()
    try:
        return _in_range(int(digits, 8) if octal else int(digits, 0))
    except ValueError:
        return None


def _in_range(number: int) -> int | None:
    return number if number < _INFINITE else None
