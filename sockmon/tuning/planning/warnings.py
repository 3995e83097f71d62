"""The warnings of a plan: it can be applied, but something else will not be as the user may expect."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sockmon import format as fmt
from sockmon.ceilings.conntrack import MAXIMUM as CONNTRACK_MAX
from sockmon.ceilings.conntrack_buckets import BUCKETS
from sockmon.ceilings.evidence import process_label
from sockmon.ceilings.node_ports import NodePorts, kubernetes_process, unreserved_node_ports
from sockmon.ceilings.ports import source_label
from sockmon.ceilings.queues import listener_label
from sockmon.model.plan import PlanWarning
from sockmon.model.snapshot import Listener
from sockmon.port_lists import count_in, find_ranges, format_ranges
from sockmon.tunables import BY_KEY
from sockmon.tunables.value import parse_numbers
from sockmon.tuning.planning.advice import BUYS_TIME
from sockmon.tuning.planning.cgroup_limits import cgroup_warnings
from sockmon.tuning.planning.context import (
    PORT_RANGE,
    RESERVED_PORTS,
    UNPRIVILEGED_START,
    PlanContext,
    local_port_range,
)
from sockmon.tuning.planning.effects import TIMESTAMPS, max_memory, usable_ports
from sockmon.tuning.planning.lockout_warnings import lockout_warnings
from sockmon.tuning.planning.process_limits import limit_warnings
from sockmon.tuning.planning.step import Step, Values

MEMORY_WARNING_SHARE = 0.1
MIN_DATA_RETRIES = 8
"""tcp_retries2 below which RFC 1122 is not met: 100 s."""
MIN_RTO_SECONDS = 0.2
"""TCP_RTO_MIN of the kernel; each further pause is twice as long."""
MAX_CHAIN_LENGTH = 4
"""Entries of connection tracking for each bucket above which lookups get slow."""


def warnings_for(step: Step, after: Values, context: PlanContext) -> Iterator[PlanWarning]:
    """Yield the warnings about `step`, after which the values would be those of `after`."""
    if step.key in context.alternatives and not step.lowers:
        yield PlanWarning(f"{BUYS_TIME}. {context.alternatives[step.key]}")
    yield from lockout_warnings(step, context)
    yield from _BY_KEY.get(step.key, limit_warnings)(step, after, context)
    yield from cgroup_warnings(step, context)
    most = max_memory(step, step.new, context)
    if most and context.memory and most > MEMORY_WARNING_SHARE * context.memory:
        share = fmt.ratio(most / context.memory)
        yield PlanWarning(f"it can use up to {fmt.size(most)}, which is {share} of this machine's memory")


def _port_range(step: Step, after: Values, context: PlanContext) -> Iterator[PlanWarning]:
    found = local_port_range(after)
    if found is None:
        return
    low, high = found
    before = local_port_range({PORT_RANGE: step.old}) or (1, 0)
    reserved = find_ranges(after.get(RESERVED_PORTS, ""))
    inside = [
        row
        for row in context.listeners
        if low <= row.port <= high
        and not before[0] <= row.port <= before[1]
        and not count_in(reserved, row.port, row.port)
    ]
    nodes = unreserved_node_ports(low, high, reserved, kubernetes_process(context.processes))
    node_ports = [(nodes.first, nodes.last)] if nodes else []
    # One setting for both warnings: of two suggestions for one key only the last would be used.
    reserve = format_ranges([*reserved, *node_ports, *((row.port, row.port) for row in inside)])
    yield from _listeners_inside(inside, reserve)
    if context.netns is None or context.netns.listeners is None:
        yield PlanWarning("it is not known who listens inside the new range: the listeners could not be read")
    yield from _node_ports(nodes, reserve)
    if (high - low) % 2 == 0 and high > low:
        parity = "odd" if low % 2 else "even"
        yield PlanWarning(f"{low} and {high} are both {parity}: the kernel logs that it prefers one of each")
    yield from _fewer_ports(after, context)


def _listeners_inside(rows: list[Listener], reserve: str) -> Iterator[PlanWarning]:
    if not rows:
        return
    named = fmt.first_names([listener_label(row) for row in rows])
    who, verb = ("it", "listens") if len(rows) == 1 else ("one of them", "listen")
    yield PlanWarning(
        f"{named} {verb} inside the new range: while {who} is down an outgoing connection may take its port, and"
        f" then it cannot start again; plan {RESERVED_PORTS}={reserve} too",
        suggests=(RESERVED_PORTS, reserve),
    )


def _node_ports(found: NodePorts | None, reserve: str) -> Iterator[PlanWarning]:
    if found:
        yield PlanWarning(
            f"{found.process} runs here: Kubernetes gives {found.first}-{found.last} of the range to services"
            " (NodePort), and an outgoing connection on such a port keeps clients of that service out; plan"
            f" {RESERVED_PORTS}={reserve} too",
            suggests=(RESERVED_PORTS, reserve),
        )


def _fewer_ports(after: Values, context: PlanContext) -> Iterator[PlanWarning]:
    before, then = usable_ports(context.values, context), usable_ports(after, context)
    busiest = max((group.used for group in context.ports.groups), default=0) if context.ports else 0
    if before is not None and then is not None and then < before:
        yield PlanWarning(f"{fmt.plural(before - then, 'port')} fewer than now to each destination")
        if busiest >= then:
            yield PlanWarning(
                f"{busiest:,} ports are in use to one destination now: new connections there fail immediately"
            )


def _reserved_ports(step: Step, after: Values, context: PlanContext) -> Iterator[PlanWarning]:
    yield from _fewer_ports(after, context)
    found = local_port_range(after)
    if found and not count_in(find_ranges(step.new), *found):
        yield PlanWarning("none of these ports is in the range of local ports, so nothing changes")


def _unprivileged_ports(step: Step, after: Values, context: PlanContext) -> Iterator[PlanWarning]:
    old, new = parse_numbers(step.old), parse_numbers(step.new)
    if not (old and new):
        return
    if step.lowers:
        one = new[0] == old[0] - 1
        below = f"port {new[0]} if it is free" if one else f"the ports {new[0]}-{old[0] - 1} that are free"
        yield PlanWarning(f"any user of this namespace can then listen on {below}")
    caught = [listener_label(row) for row in context.listeners if old[0] <= row.port < new[0] and row.uid]
    if caught:
        needs = "needs" if len(caught) == 1 else "need"
        yield PlanWarning(f"{fmt.first_names(caught)} {needs} privilege to start again")


def _tw_reuse(step: Step, after: Values, context: PlanContext) -> Iterator[PlanWarning]:
    # If the plan itself turns the timestamps off, that step has the warning.
    if parse_numbers(after.get(TIMESTAMPS, "")) == parse_numbers(context.values.get(TIMESTAMPS, "")) == [0]:
        yield PlanWarning("net.ipv4.tcp_timestamps = 0: without timestamps no port in TIME_WAIT can be reused")
    if step.new == "0":
        return
    if step.new == "1" and parse_numbers(after.get(TIMESTAMPS, "")) != [0]:
        yield PlanWarning(
            "a port is reused only if the peer of its connection had TCP timestamps too, which is not known here;"
            " TcpExt.TWRecycled counts each reuse"
        )
    sources = [source_label(row) for row in context.ports.sources if row.time_wait] if context.ports else []
    if sources:
        yield PlanWarning(
            f"it frees no port of {fmt.first_names(sources)}: these sockets seem to be bound before they connect"
        )


def _timestamps(step: Step, after: Values, context: PlanContext) -> Iterator[PlanWarning]:
    if step.new == "0" and parse_numbers(after.get("net.ipv4.tcp_tw_reuse", "")) != [0]:
        yield PlanWarning(
            "connections opened after the change leave TIME_WAIT sockets whose ports net.ipv4.tcp_tw_reuse cannot"
            " reuse"
        )


def _syn_backlog(step: Step, after: Values, context: PlanContext) -> Iterator[PlanWarning]:
    if parse_numbers(after.get("net.ipv4.tcp_syncookies", "")) not in ([], [0]):
        yield PlanWarning("it has no effect while net.ipv4.tcp_syncookies is on: the listener's backlog decides")


def _conntrack_buckets(step: Step, after: Values, context: PlanContext) -> Iterator[PlanWarning]:
    most, buckets = (parse_numbers(after.get(key, "")) for key in (CONNTRACK_MAX, BUCKETS))
    if most and buckets and most[0] > MAX_CHAIN_LENGTH * buckets[0]:
        multiple = BY_KEY[BUCKETS].step
        enough = str(-(-most[0] // multiple) * multiple)
        yield PlanWarning(
            f"{most[0]:,} entries in {buckets[0]:,} buckets: packets are slow when the table is full; plan"
            f" {BUCKETS}={enough} too",
            suggests=(BUCKETS, enough),
        )


def _file_limits(step: Step, after: Values, context: PlanContext) -> Iterator[PlanWarning]:
    files, each = (parse_numbers(after.get(key, "")) for key in ("fs.file-max", "fs.nr_open"))
    if files and each and each[0] > files[0]:
        yield PlanWarning(
            f"fs.nr_open = {each[0]:,} is more than fs.file-max = {files[0]:,}: one process can use up all files"
        )
    above = [row for row in context.processes if row.soft is not None and each and row.soft > each[0]]
    if step.key == "fs.nr_open" and above:
        names = fmt.first_names([process_label(row) for row in above])
        many = fmt.plural(len(above), "process", "processes")
        yield PlanWarning(f"{many} may open more files than that now, but not after the change: {names}")


def _tw_buckets(step: Step, after: Values, context: PlanContext) -> Iterator[PlanWarning]:
    if step.lowers:
        yield PlanWarning("lowering it fixes no shortage: connections lose the protection of TIME_WAIT")


def _data_retries(step: Step, after: Values, context: PlanContext) -> Iterator[PlanWarning]:
    new = parse_numbers(step.new)
    if new and new[0] < MIN_DATA_RETRIES:
        seconds = MIN_RTO_SECONDS * ((2 << new[0]) - 1)
        yield PlanWarning(
            f"a connection whose peer or path is silent for {seconds:.1f} s may end, while it has data in flight"
        )


def _user_namespace_limit(step: Step, after: Values, context: PlanContext) -> Iterator[PlanWarning]:
    _, family, kind = step.key.split("_")
    twin = f"fs.{family}.max_user_{kind}"
    new, host = parse_numbers(step.new), parse_numbers(context.values.get(twin, ""))
    # In the initial user namespace both keys are one number.
    if new and host and new[0] > host[0] and parse_numbers(step.old) != host:
        yield PlanWarning(f"{twin} = {host[0]:,} of the host is lower, and is reached first")


_BY_KEY: dict[str, Callable[[Step, Values, PlanContext], Iterator[PlanWarning]]] = {
    PORT_RANGE: _port_range,
    RESERVED_PORTS: _reserved_ports,
    UNPRIVILEGED_START: _unprivileged_ports,
    BUCKETS: _conntrack_buckets,
    CONNTRACK_MAX: _conntrack_buckets,
    "fs.file-max": _file_limits,
    "fs.nr_open": _file_limits,
    "net.ipv4.tcp_max_syn_backlog": _syn_backlog,
    "net.ipv4.tcp_max_tw_buckets": _tw_buckets,
    "net.ipv4.tcp_retries2": _data_retries,
    TIMESTAMPS: _timestamps,
    "user.max_fanotify_groups": _user_namespace_limit,
    "user.max_fanotify_marks": _user_namespace_limit,
    "user.max_inotify_instances": _user_namespace_limit,
    "user.max_inotify_watches": _user_namespace_limit,
    "net.ipv4.tcp_tw_reuse": _tw_reuse,
}
