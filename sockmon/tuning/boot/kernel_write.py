"""What the kernel makes of a text that is written to a sysctl: the value that it keeps, or the error.

A program writes the value of a line with a line feed. Most keys take the numbers that they need and pass over what
follows a blank; a number that ends in anything else is refused (kernel/sysctl.c). All rules here are
those of Linux 6.18; tests compare them with the running kernel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from sockmon.port_lists import format_ranges
from sockmon.text import sanitize
from sockmon.tunables import BY_KEY, REMOVED_BY_KEY
from sockmon.tunables.value import boot_value_problem
from sockmon.tuning.boot.sysctl_d import key_of

Handler = Literal["int", "u8", "ulong", "seconds", "ports"]
"""How the kernel stores it: proc_dointvec, proc_dou8vec_minmax, proc_doulongvec_minmax, proc_dointvec_jiffies,
proc_do_large_bitmap."""

INT_MAX, LONG_MAX = 2**31 - 1, 2**63 - 1
PORT_RANGE, PORT_START = "net/ipv4/ip_local_port_range", "net/ipv4/ip_unprivileged_port_start"
_PID_MAX, _PIDS_FOR_A_PROCESSOR = "kernel/pid_max", 8
STARTS_WITH = {PORT_RANGE: "32768 60999", PORT_START: "1024"}
"""What the kernel begins with, for keys on which the fate of another write depends."""

_SPACES = b" \t\n\v\f\r\xa0"
_BLANKS = b" \t\n"
_MAX_DIGITS = 21
"""A longer number is refused (TMPBUFLEN)."""
_PAGE = 4096
_MIN_HZ, _MAX_HZ = 100, 1000
"""Ticks in a second: a seconds value must fit an int in ticks, and no file shows how many this kernel has."""
_U8_SINCE = (5, 13)
"""From this version on small switches are one byte; before that, an int without bounds."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What the kernel accepts for one key."""

    handler: Handler = "int"
    minimum: int = -(2**31)
    maximum: int = INT_MAX
    count: int = 1
    all_or_nothing: bool = False
    """Whether numbers before a bad one are not kept either."""


_INT, _SECONDS = Rule(), Rule(handler="seconds")
_NOT_NEGATIVE = Rule(minimum=0)
_U8 = Rule(handler="u8", minimum=0, maximum=255)
_ULONG = Rule(handler="ulong", minimum=0, maximum=2**64 - 1)
_UCOUNT = Rule(handler="ulong", minimum=0, maximum=INT_MAX)
_MEM = Rule(handler="ulong", minimum=0, maximum=2**64 - 1, count=3)

_RULES = {
    PORT_RANGE: Rule(minimum=1, maximum=65535, count=2, all_or_nothing=True),
    PORT_START: Rule(minimum=0, maximum=65535),
    "net/ipv4/ip_local_reserved_ports": Rule(handler="ports", minimum=0, maximum=65535),
    "net/ipv4/ip_autobind_reuse": Rule(handler="u8", minimum=0, maximum=1),
    "net/ipv4/tcp_fin_timeout": _SECONDS,
    "net/ipv4/tcp_tw_reuse": Rule(handler="u8", minimum=0, maximum=2),
    "net/ipv4/tcp_tw_reuse_delay": Rule(minimum=1, maximum=60000),
    "net/ipv4/tcp_max_tw_buckets": _INT,
    "net/ipv4/tcp_timestamps": _U8,
    "net/ipv4/tcp_max_syn_backlog": _INT,
    "net/ipv4/tcp_syncookies": _U8,
    "net/ipv4/tcp_abort_on_overflow": _U8,
    "net/ipv4/tcp_orphan_retries": _U8,
    "net/ipv4/tcp_max_orphans": _INT,
    "net/ipv4/tcp_keepalive_time": _SECONDS,
    "net/ipv4/tcp_keepalive_intvl": _SECONDS,
    "net/ipv4/tcp_keepalive_probes": _U8,
    "net/ipv4/tcp_syn_retries": Rule(handler="u8", minimum=1, maximum=127),
    "net/ipv4/tcp_synack_retries": _U8,
    "net/ipv4/tcp_retries2": _U8,
    "net/ipv4/tcp_notsent_lowat": Rule(handler="ulong", minimum=0, maximum=2**32 - 1),
    "net/ipv4/tcp_rmem": Rule(minimum=1, count=3),
    "net/ipv4/tcp_wmem": Rule(minimum=1, count=3),
    "net/ipv4/tcp_mem": _MEM,
    "net/ipv4/udp_mem": _MEM,
    "net/core/somaxconn": _NOT_NEGATIVE,
    "net/core/netdev_max_backlog": _INT,
    "net/core/rmem_default": Rule(minimum=2304),
    "net/core/rmem_max": Rule(minimum=2304),
    "net/core/wmem_default": Rule(minimum=4608),
    "net/core/wmem_max": Rule(minimum=4608),
    "net/unix/max_dgram_qlen": _INT,
    **{f"net/ipv{v}/neigh/default/gc_thresh{n}": _NOT_NEGATIVE for v in (4, 6) for n in (1, 2, 3)},
    "net/netfilter/nf_conntrack_max": _NOT_NEGATIVE,
    "net/netfilter/nf_conntrack_buckets": Rule(minimum=1),
    "fs/file-max": Rule(handler="ulong", minimum=0, maximum=LONG_MAX),
    "fs/nr_open": Rule(minimum=64, maximum=INT_MAX & -64),
    "fs/aio-max-nr": _ULONG,
    "fs/epoll/max_user_watches": Rule(handler="ulong", minimum=0, maximum=LONG_MAX),
    **{f"fs/inotify/max_user_{each}": _UCOUNT for each in ("instances", "watches")},
    **{f"fs/fanotify/max_user_{each}": _UCOUNT for each in ("groups", "marks")},
    **{f"fs/{family}/max_queued_events": _NOT_NEGATIVE for family in ("inotify", "fanotify")},
    _PID_MAX: Rule(minimum=301, maximum=1 << 22),
    "kernel/threads-max": Rule(minimum=1, maximum=0x3FFFFFFF),
    "vm/max_map_count": _NOT_NEGATIVE,
}
_CONNTRACK_TIMEOUT = re.compile(r"net/netfilter/nf_conntrack_[a-z0-9_]*timeout[a-z0-9_]*")
_BUCKETS_IN_A_PAGE = _PAGE // 8

SAME_NUMBER = {
    "net/nf_conntrack_max": "net/netfilter/nf_conntrack_max",
    "user/max_inotify_instances": "fs/inotify/max_user_instances",
    "user/max_inotify_watches": "fs/inotify/max_user_watches",
    "user/max_fanotify_groups": "fs/fanotify/max_user_groups",
    "user/max_fanotify_marks": "fs/fanotify/max_user_marks",
    "net/ipv4/ip_forward": "net/ipv4/conf/all/forwarding",
}
"""Paths that show a number of another name, in the initial namespaces, which are those that boot sets up:
nf_conntrack_standalone.c, inotify_user.c and fanotify_user.c (init_user_ns.ucount_max), devinet.c."""


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


def same_number(path: str) -> tuple[str, ...]:
    """Return every path of the number that `path` shows, first the one that stands for all."""
    first = SAME_NUMBER.get(path, path)
    return (first, *(other for other, target in SAME_NUMBER.items() if target == first))


def depends_on(path: str) -> str:
    """Return the path whose value decides whether a write to `path` is accepted; empty if none does."""
    return {PORT_RANGE: PORT_START, PORT_START: PORT_RANGE}.get(path, "")


def rule_of(path: str) -> Rule | None:
    """Return what the kernel accepts for `path`; None if that is not known."""
    return _SECONDS if _CONNTRACK_TIMEOUT.fullmatch(path) else _RULES.get(path)


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
    if path == _PID_MAX and found[0] < (least := _PIDS_FOR_A_PROCESSOR * kernel.processors):
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
