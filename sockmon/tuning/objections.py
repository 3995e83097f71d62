"""Why a change must not be made, although the kernel would take it, or because it would not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sockmon import format as words
from sockmon.errors import Refused
from sockmon.tunables.value import numbers, ranges, within
from sockmon.tuning.change import Change
from sockmon.tuning.effects import total
from sockmon.tuning.here import RANGE, RESERVED, UNPRIVILEGED, Here, span
from sockmon.tuning.limits import objections as limit_objections

MOST_OF_BUFFERS = 0.5
"""Share of memory that the buffers of one protocol may have at most."""
_FAMILIES = ("ipv4", "ipv6")
_TWINS = ("instances", "watches")


def objection(changes: Sequence[Change], after: Mapping[str, str], here: Here) -> Refused | None:
    """The first reason against `changes`, after which the values would be those of `after`."""
    keys = {change.key for change in changes}
    for found in (
        *_ports(keys, after),
        *_thresholds(keys, after),
        *_twins(keys, after),
        *(refused for change in changes for refused in limit_objections(change, after, here)),
        *(refused for change in changes for refused in _alone(change, here)),
    ):
        return found
    return None


def _ports(keys: set[str], after: Mapping[str, str]) -> Iterator[Refused]:
    found = span(after)
    if found is None:
        return
    low, high = found
    if keys & {RANGE, RESERVED} and within(ranges(after.get(RESERVED, "")), low, high) == high - low + 1:
        yield Refused(
            f"{RESERVED}: every port of {low}-{high} would be reserved, so that no outgoing connection gets one",
            "the kernel takes it, and every connect() fails with EADDRNOTAVAIL from then on",
        )
    start = numbers(after.get(UNPRIVILEGED, ""))
    if keys & {RANGE, UNPRIVILEGED} and start and low < start[0]:
        other = f"plan {RANGE}='{start[0]} {high}' with it"
        if RANGE in keys:
            other = f"begin at {start[0]}, or plan {UNPRIVILEGED}={low} with it"
        yield Refused(
            f"{RANGE}: its first port {low} is below {UNPRIVILEGED} = {start[0]}: the kernel answers EINVAL", other
        )


def _thresholds(keys: set[str], after: Mapping[str, str]) -> Iterator[Refused]:
    for family in _FAMILIES:
        names = [f"net.{family}.neigh.default.gc_thresh{number}" for number in (1, 2, 3)]
        values = [numbers(after.get(name, "")) for name in names]
        for at in (1, 2):
            lower, upper = values[at - 1], values[at]
            if keys & set(names) and lower and upper and lower[0] > upper[0]:
                yield Refused(
                    f"{names[at]} = {upper[0]} would be less than {names[at - 1]} = {lower[0]}",
                    "the three thresholds ascend: plan them together",
                )


def _twins(keys: set[str], after: Mapping[str, str]) -> Iterator[Refused]:
    """In the initial user namespace both names are one number (fs/notify/inotify/inotify_user.c)."""
    for kind in _TWINS:
        pair = (f"fs.inotify.max_user_{kind}", f"user.max_inotify_{kind}")
        if keys.issuperset(pair) and after[pair[0]] != after[pair[1]]:
            yield Refused(f"{pair[0]} and {pair[1]} are one number, and two are asked for")


def _alone(change: Change, here: Here) -> Iterator[Refused]:
    used = _used(change.key, here)
    new = numbers(change.new)
    if change.less and used is not None and new[-1] < used:
        yield Refused(
            f"{change.key}: {new[-1]:,} is less than the {used:,} {change.row.unit.partition(':')[0]} in use now",
            f"at the limit new ones fail; now it is {change.old}",
        )
    most = total(change, change.new, here)
    share = MOST_OF_BUFFERS if change.row.kind == "numbers" else 1.0
    if not change.less and most and here.memory and most > share * here.memory:
        yield Refused(
            f"{change.key}: used to the full {change.new} would take {words.size(most)} of the"
            f" {words.size(here.memory)} of memory that this machine has",
        )


def _used(key: str, here: Here) -> int | None:
    """What is in use of a limit that makes something fail at once when it is lowered below that."""
    snapshot, inside = here.snapshot, here.inside
    if snapshot is None:
        return None
    if key == "fs.file-max":
        return snapshot.files.allocated if snapshot.files else None
    if key in ("kernel.threads-max", "kernel.pid_max"):
        return snapshot.tasks.total if snapshot.tasks else None
    if key in ("net.ipv4.tcp_mem", "net.ipv4.udp_mem") and snapshot.memory:
        return snapshot.memory.tcp_pages if "tcp" in key else snapshot.memory.udp_pages
    if key == "net.netfilter.nf_conntrack_max":
        return inside.conntrack.count if inside and inside.conntrack else None
    if key.endswith("gc_thresh3"):
        table = "arp_cache" if "ipv4" in key else "ndisc_cache"
        return next((row.entries for row in snapshot.neighbours or () if row.table == table), None)
    return None
