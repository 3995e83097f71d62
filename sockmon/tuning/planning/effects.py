"""The effect of a change in numbers, what it leaves unaffected, and the memory that it may cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from sockmon import format as fmt
from sockmon.ceilings.backlogs import backlog
from sockmon.ceilings.queues import listener_label
from sockmon.port_lists import count_in, find_ranges, last_tried
from sockmon.tunables.cost import takes_memory
from sockmon.tunables.value import parse_numbers
from sockmon.tuning.planning.cgroup_limits import cgroup_effect
from sockmon.tuning.planning.context import (
    PORT_RANGE,
    RESERVED_PORTS,
    UNPRIVILEGED_START,
    PlanContext,
    local_port_range,
)
from sockmon.tuning.planning.process_limits import limit_effect
from sockmon.tuning.planning.step import Step, Values

SOMAXCONN = "net.core.somaxconn"
TW_REUSE = "net.ipv4.tcp_tw_reuse"
TIMESTAMPS = "net.ipv4.tcp_timestamps"
TW_BUCKETS = "net.ipv4.tcp_max_tw_buckets"
MAX_LISTENERS = 5
"""Listeners with a line of their own."""


def effect_text(step: Step, after: Values, context: PlanContext) -> str:
    """Return the effect in numbers: `28,232 → 64,512 ports to each destination`."""
    if step.key in (PORT_RANGE, RESERVED_PORTS):
        return _port_effect(step, after, context)
    if step.row.kind == "limit":
        return limit_effect(step, context)
    if step.row.kind == "cgroup limit":
        return cgroup_effect(step, context)
    if step.row.kind == "switch":
        meant = " → ".join(_meaning(step, text) for text in (step.old, step.new))
        return meant + (_reusable_ports(step.new, context) if step.key == TW_REUSE else "")
    if step.key == SOMAXCONN:
        return f"{_old_to_new(step)}: the longest backlog that listen() can get"
    if step.key == UNPRIVILEGED_START:
        return f"{step.old} → {step.new}: the first port that needs no privilege"
    return f"{_old_to_new(step)} {step.row.unit}{_old_to_new_bytes(step, context)}"


def unaffected(step: Step, after: Values, context: PlanContext) -> tuple[str, ...]:
    """Return what the change leaves as it is, a sentence each."""
    more = _ALSO_UNAFFECTED.get(step.key)
    return (step.row.unaffected, *(more(after, context) if more else ()))


def _listener_backlogs(after: Values, context: PlanContext) -> Iterator[str]:
    rows = sorted((row for row in context.listeners if row.backlog is not None), key=backlog)
    for row in rows[:MAX_LISTENERS]:
        yield f"{listener_label(row)} keeps its backlog of {backlog(row):,} until it calls listen() again"
    if len(rows) > MAX_LISTENERS:
        yield f"and {fmt.plural(len(rows) - MAX_LISTENERS, 'more listener')}"


def _reserved_inside(after: Values, context: PlanContext) -> Iterator[str]:
    found = local_port_range(after)
    reserved = count_in(find_ranges(after.get(RESERVED_PORTS, "")), *found) if found else 0
    if reserved:
        yield f"{RESERVED_PORTS} still reserves {fmt.plural(reserved, 'port')} of the range"
    for source in context.ports.sources if context.ports else ():
        yield (
            f"{source.source} binds before it connects: its {source.used:,} ports are taken for every destination"
        )


def _in_time_wait(after: Values, context: PlanContext) -> Iterator[str]:
    stat = context.netns.sockstat if context.netns else None
    now, buckets = stat.time_wait if stat else 0, parse_numbers(after.get(TW_BUCKETS, ""))
    if buckets and now > buckets[0]:
        yield f"{now:,} sockets are in TIME_WAIT now; they stay there until their 60 s have passed"


_ALSO_UNAFFECTED: dict[str, Callable[[Values, PlanContext], Iterator[str]]] = {
    SOMAXCONN: _listener_backlogs,
    PORT_RANGE: _reserved_inside,
    TW_BUCKETS: _in_time_wait,
}


def memory_cost(step: Step, context: PlanContext) -> int | None:
    """Return how many bytes more the kernel may use, negative if fewer; None if it is not known."""
    if not takes_memory(step.row):
        return 0
    before, after = (max_memory(step, text, context) for text in (step.old, step.new))
    return None if before is None or after is None else after - before


def max_memory(step: Step, text: str, context: PlanContext) -> int | None:
    """Return how many bytes the kernel may use with the value `text`; None if it is not known."""
    found = parse_numbers(text)
    return step.row.cost(found, context.page_size) if step.row.cost and found else None


def usable_ports(values: Mapping[str, str], context: PlanContext) -> int | None:
    """Return how many ports connect() can use to one destination; None if the range is not known."""
    found = local_port_range(values)
    if found is None:
        return None
    low, high = found
    taken = [*find_ranges(values.get(RESERVED_PORTS, "")), *((port, port) for port in context.taken_ports())]
    last = last_tried(low, high)
    return last - low + 1 - count_in(taken, low, last)


def _port_effect(step: Step, after: Values, context: PlanContext) -> str:
    old, new = (fmt.count(usable_ports(values, context)) for values in (context.values, after))
    text = f"{old} → {new} ports to each destination"
    if step.key == RESERVED_PORTS:
        before, then = (
            sum(last - first + 1 for first, last in find_ranges(each)) for each in (step.old, step.new)
        )
        return f"{before:,} → {fmt.plural(then, 'reserved port')}; {text}"
    return text


def _meaning(step: Step, text: str) -> str:
    found = parse_numbers(text)
    meaning = step.row.allowed.get(found[0]) if found else None
    return f"{text} ({meaning})" if meaning else text


def _reusable_ports(value: str, context: PlanContext) -> str:
    """Return how many ports connect() can reuse to the destination with the most of them in TIME_WAIT."""
    ports = context.ports
    groups = [row for row in ports.groups if not ports.binds_first(row)] if ports else []
    allowed = [row for row in groups if value == "1" or _is_loopback(row.destination)]
    largest = max(allowed, key=lambda row: row.time_wait, default=None)
    timestamps = parse_numbers(context.values.get(TIMESTAMPS, ""))
    if value == "0" or largest is None or not largest.time_wait or timestamps == [0]:
        return ""
    condition = "" if _is_loopback(largest.destination) else ", if the peer had TCP timestamps too"
    to = f"[{largest.destination}]" if ":" in largest.destination else largest.destination
    count = fmt.plural(largest.time_wait, "port")
    return f"; {count} in TIME_WAIT to {to}:{largest.port} can be reused{condition}"


def _is_loopback(address: str) -> bool:
    return address == "::1" or address.startswith("127.")


def _old_to_new(step: Step) -> str:
    """`4,096 → 8,192`; each number of a value that has several."""
    texts = (" ".join(f"{number:,}" for number in parse_numbers(text)) or text for text in (step.old, step.new))
    return " → ".join(texts)


def _old_to_new_bytes(step: Step, context: PlanContext) -> str:
    """` (1.5 G → 3.0 G)` if the unit is pages or bytes."""
    size = context.page_size if step.row.unit.startswith("pages") else 1 if step.row.unit == "bytes" else 0
    before, after = parse_numbers(step.old), parse_numbers(step.new)
    if not (size and before and after):
        return ""
    return f" ({fmt.size(before[-1] * size)} → {fmt.size(after[-1] * size)})"
