"""The reasons to refuse a plan: the kernel would refuse it, or it would accept it and do harm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sockmon import format as fmt
from sockmon.errors import PlanRejected
from sockmon.port_lists import count_in, find_ranges
from sockmon.tunables.value import parse_numbers
from sockmon.tuning.planning.cgroup_limits import cgroup_refusals
from sockmon.tuning.planning.context import (
    PORT_RANGE,
    RESERVED_PORTS,
    UNPRIVILEGED_START,
    PlanContext,
    local_port_range,
)
from sockmon.tuning.planning.effects import max_memory
from sockmon.tuning.planning.process_limits import limit_refusals
from sockmon.tuning.planning.step import Step, Values

MAX_BUFFER_SHARE = 0.5
"""Share of memory that the buffers of one protocol may use at most."""
_FAMILIES = ("ipv4", "ipv6")
_TWINS = {
    f"fs.{family}.max_user_{kind}": f"user.max_{family}_{kind}"
    for family, kinds in (("inotify", ("instances", "watches")), ("fanotify", ("groups", "marks")))
    for kind in kinds
}


def first_refusal(steps: Sequence[Step], after: Values, context: PlanContext) -> PlanRejected | None:
    """Return the first reason to refuse `steps`, if there is one; `after` has the values that they lead to."""
    keys = {step.key for step in steps}
    for found in (
        *_ports(keys, after),
        *_thresholds(keys, after),
        *_twins(keys, after),
        *(refused for step in steps for refused in limit_refusals(step, after, context)),
        *(refused for step in steps for refused in cgroup_refusals(step, context)),
        *(refused for step in steps for refused in _step_refusals(step, context)),
    ):
        return found
    return None


def _ports(keys: set[str], after: Values) -> Iterator[PlanRejected]:
    found = local_port_range(after)
    if found is None:
        return
    low, high = found
    reserved = count_in(find_ranges(after.get(RESERVED_PORTS, "")), low, high)
    if keys & {PORT_RANGE, RESERVED_PORTS} and reserved == high - low + 1:
        yield PlanRejected(
            f"{RESERVED_PORTS}: every port of {low}-{high} would be reserved, so that no outgoing connection gets"
            " one",
            "the kernel accepts it, and then every connect() fails with EADDRNOTAVAIL",
        )
    start = parse_numbers(after.get(UNPRIVILEGED_START, ""))
    if keys & {PORT_RANGE, UNPRIVILEGED_START} and start and low < start[0]:
        other = f"plan {PORT_RANGE}='{start[0]} {high}' too"
        if PORT_RANGE in keys:
            other = f"begin at {start[0]}, or plan {UNPRIVILEGED_START}={low} too"
        yield PlanRejected(
            f"{PORT_RANGE}: its first port {low} is below {UNPRIVILEGED_START} = {start[0]}: the kernel would"
            " refuse it with EINVAL",
            other,
        )


def _thresholds(keys: set[str], after: Values) -> Iterator[PlanRejected]:
    for family in _FAMILIES:
        names = [f"net.{family}.neigh.default.gc_thresh{number}" for number in (1, 2, 3)]
        values = [parse_numbers(after.get(name, "")) for name in names]
        for at in (1, 2):
            lower, upper = values[at - 1], values[at]
            if keys & set(names) and lower and upper and lower[0] > upper[0]:
                yield PlanRejected(
                    f"{names[at]} = {upper[0]} would be less than {names[at - 1]} = {lower[0]}",
                    "the three thresholds must ascend: plan them together",
                )


def _twins(keys: set[str], after: Values) -> Iterator[PlanRejected]:
    # In the initial user namespace both names are one number (fs/notify/inotify/inotify_user.c, fanotify alike).
    for pair in _TWINS.items():
        if keys.issuperset(pair) and after[pair[0]] != after[pair[1]]:
            yield PlanRejected(f"{pair[0]} and {pair[1]} are one number, but the plan has two values for it")


def _step_refusals(step: Step, context: PlanContext) -> Iterator[PlanRejected]:
    used = _in_use(step.key, context)
    new = parse_numbers(step.new)
    if step.lowers and used is not None and new[-1] < used:
        yield PlanRejected(
            f"{step.key}: {new[-1]:,} is less than the {used:,} {step.row.unit.partition(':')[0]} in use now",
            f"at the limit new ones fail; now the value is {step.old}",
        )
    most = max_memory(step, step.new, context)
    share = MAX_BUFFER_SHARE if step.row.kind == "numbers" else 1.0
    if not step.lowers and most and context.memory and most > share * context.memory:
        yield PlanRejected(
            f"{step.key}: with {step.new} it can use up to {fmt.size(most)} of the"
            f" {fmt.size(context.memory)} of memory that this machine has",
        )


def _in_use(key: str, context: PlanContext) -> int | None:
    """Return how much is in use of a limit below which something fails immediately; None if it is not known."""
    snapshot, inside = context.snapshot, context.netns
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
