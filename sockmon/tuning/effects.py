"""What a change does and does not do, in numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from sockmon import format as words
from sockmon.ceilings.queues import subject
from sockmon.tunables.value import numbers, ranges, within
from sockmon.tuning.change import Change
from sockmon.tuning.here import RANGE, RESERVED, UNPRIVILEGED, Here, span
from sockmon.tuning.limits import effect as limit_effect

SOMAXCONN = "net.core.somaxconn"
REUSE = "net.ipv4.tcp_tw_reuse"
TIMESTAMPS = "net.ipv4.tcp_timestamps"
TW_BUCKETS = "net.ipv4.tcp_max_tw_buckets"
FREE = ("range", "ports", "switch", "limit")
"""Kinds of values that take no memory by themselves."""
MOST = 5
"""Listeners that are named; of more their number is said."""


def effect(change: Change, after: Mapping[str, str], here: Here) -> str:
    """`28,232 -> 64,512 ports to each destination`."""
    if change.key in (RANGE, RESERVED):
        return _ports(change, after, here)
    if change.row.kind == "limit":
        return limit_effect(change, here)
    if change.row.kind == "switch":
        meant = " -> ".join(_meaning(change, text) for text in (change.old, change.new))
        return meant + (_reusable(change.new, here) if change.key == REUSE else "")
    if change.key == SOMAXCONN:
        return f"{_grouped(change)}: the longest backlog that listen() can get"
    if change.key == UNPRIVILEGED:
        return f"{change.old} -> {change.new}: the first port that needs no privilege"
    return f"{_grouped(change)} {change.row.unit}{_sizes(change, here)}"


def keeps(change: Change, after: Mapping[str, str], here: Here) -> tuple[str, ...]:
    """What stays as it is."""
    more = _BESIDES.get(change.key)
    return (change.row.keeps, *(more(after, here) if more else ()))


def _backlogs(after: Mapping[str, str], here: Here) -> Iterator[str]:
    rows = sorted(here.listeners, key=lambda row: row.backlog)
    for row in rows[:MOST]:
        yield f"{subject(row)} keeps its backlog of {row.backlog:,} until it calls listen() again"
    if len(rows) > MOST:
        yield f"and {len(rows) - MOST} more listener{'s' if len(rows) > MOST + 1 else ''}"


def _kept_back(after: Mapping[str, str], here: Here) -> Iterator[str]:
    found = span(after)
    kept = within(ranges(after.get(RESERVED, "")), *found) if found else 0
    if kept:
        yield f"{RESERVED} keeps {words.count(kept)} of its ports back"
    for source in here.inside.ports.sources if here.inside and here.inside.ports else ():
        yield f"{source.source} binds before it connects: no other address gets its {source.used:,} ports"


def _in_time_wait(after: Mapping[str, str], here: Here) -> Iterator[str]:
    now, most = here.inside.sockstat.time_wait if here.inside else 0, numbers(after.get(TW_BUCKETS, ""))
    if most and now > most[0]:
        yield f"{now:,} are in TIME_WAIT now; they stay until their 60 s are over"


_BESIDES: dict[str, Callable[[Mapping[str, str], Here], Iterator[str]]] = {
    SOMAXCONN: _backlogs,
    RANGE: _kept_back,
    TW_BUCKETS: _in_time_wait,
}


def cost(change: Change, here: Here) -> int | None:
    """Bytes that the kernel may take more than before; less is negative."""
    if change.row.kind in FREE:
        return 0
    took, takes = (total(change, text, here) for text in (change.old, change.new))
    return None if took is None or takes is None else takes - took


def total(change: Change, text: str, here: Here) -> int | None:
    """Bytes that the kernel takes at most with the value `text`."""
    found = numbers(text)
    return change.row.cost(found, here.page) if change.row.cost and found else None


def usable(values: Mapping[str, str], here: Here) -> int | None:
    """Ports that a connect() may take towards one destination; None where the range is not known."""
    found = span(values)
    if found is None:
        return None
    low, high = found
    taken = [*ranges(values.get(RESERVED, "")), *((port, port) for port in here.taken())]
    return high - low + 1 - within(taken, low, high)


def _ports(change: Change, after: Mapping[str, str], here: Here) -> str:
    text = (
        f"{words.count(usable(here.values, here))} -> {words.count(usable(after, here))} ports to each destination"
    )
    if change.key == RESERVED:
        kept = [sum(last - first + 1 for first, last in ranges(each)) for each in (change.old, change.new)]
        return f"{kept[0]:,} -> {kept[1]:,} port{'' if kept[1] == 1 else 's'} kept back; {text}"
    return text


def _meaning(change: Change, text: str) -> str:
    found = numbers(text)
    meaning = change.row.allowed.get(found[0]) if found else None
    return f"{text} ({meaning})" if meaning else text


def _reusable(value: str, here: Here) -> str:
    """How many ports connect() may take again, towards the destination with the most of them in TIME_WAIT."""
    ports = here.inside.ports if here.inside else None
    groups = [row for row in ports.groups if value == "1" or _loopback(row.destination)] if ports else []
    most = max(groups, key=lambda row: row.time_wait, default=None)
    timestamps = numbers(here.values.get(TIMESTAMPS, ""))
    if value == "0" or most is None or not most.time_wait or timestamps == [0]:
        return ""
    to = f"[{most.destination}]" if ":" in most.destination else most.destination
    ports_again = "1 port" if most.time_wait == 1 else f"{most.time_wait:,} ports"
    return f"; {ports_again} in TIME_WAIT towards {to}:{most.port} can be taken again"


def _loopback(address: str) -> bool:
    return address == "::1" or address.startswith("127.")


def _grouped(change: Change) -> str:
    """`4,096 -> 8,192`; of several numbers each."""
    texts = (" ".join(f"{number:,}" for number in numbers(text)) or text for text in (change.old, change.new))
    return " -> ".join(texts)


def _sizes(change: Change, here: Here) -> str:
    """Pages and bytes as a person reads them."""
    size = here.page if change.row.unit.startswith("pages") else 1 if change.row.unit == "bytes" else 0
    before, after = numbers(change.old), numbers(change.new)
    if not (size and before and after):
        return ""
    return f" ({words.size(before[-1] * size)} -> {words.size(after[-1] * size)})"
