"""What to think of before a change: it can be made, and something beside it will not be as expected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from sockmon import format as words
from sockmon.ceilings.queues import subject
from sockmon.model.snapshot import Listener
from sockmon.tunables import BY_KEY
from sockmon.tunables.value import compressed, numbers, ranges, within
from sockmon.tuning.change import BUCKETS, Change
from sockmon.tuning.effects import MOST, TIMESTAMPS, total, usable
from sockmon.tuning.here import RANGE, RESERVED, UNPRIVILEGED, Here, span
from sockmon.tuning.limits import cautions as limit_cautions

NODE_PORTS = (30000, 32767)
"""What Kubernetes gives to services of type NodePort unless it is told otherwise."""
KUBERNETES = ("kube-proxy", "kubelet", "kubelite", "k3s", "k3s-server", "k3s-agent", "rke2", "k0s")
MUCH_MEMORY = 0.1
CHAIN = 4
"""Entries of connection tracking for each bucket from which on lookups get slow."""
CONNTRACK_MAX = "net.netfilter.nf_conntrack_max"

After = Mapping[str, str]


def cautions(change: Change, after: After, here: Here) -> Iterator[str]:
    """What to think of, a sentence each."""
    yield from _AT.get(change.key, limit_cautions)(change, after, here)
    most = total(change, change.new, here)
    if most and here.memory and most > MUCH_MEMORY * here.memory:
        share = words.ratio(most / here.memory)
        yield f"used to the full it takes {words.size(most)}, which is {share} of the memory of this machine"


def _range(change: Change, after: After, here: Here) -> Iterator[str]:
    found = span(after)
    if found is None:
        return
    low, high = found
    before = span({RANGE: change.old}) or (1, 0)
    reserved = ranges(after.get(RESERVED, ""))
    inside = [
        row
        for row in here.listeners
        if low <= row.port <= high
        and not before[0] <= row.port <= before[1]
        and not within(reserved, row.port, row.port)
    ]
    yield from _listening(inside, after)
    if here.inside is None or here.inside.listeners is None:
        yield "who listens inside the new range could not be seen"
    yield from _node_ports(low, high, reserved, here)
    if (high - low) % 2 == 0 and high > low:
        parity = "odd" if low % 2 else "even"
        yield f"{low} and {high} are both {parity}: the kernel logs that it prefers one of each"
    yield from _fewer(after, here)


def _listening(rows: list[Listener], after: After) -> Iterator[str]:
    if not rows:
        return
    named = [subject(row) for row in rows[:MOST]]
    more = f" and {len(rows) - MOST} more" if len(rows) > MOST else ""
    reserve = compressed([*ranges(after.get(RESERVED, "")), *((row.port, row.port) for row in rows)])
    who, verb = ("it", "listens") if len(rows) == 1 else ("one of them", "listen")
    yield (
        f"inside the new range {verb} {', '.join(named)}{more}: while {who} is down an outgoing connection may"
        f" take its port, and it does not start again; plan {RESERVED}={reserve} with it"
    )


def _node_ports(low: int, high: int, reserved: Iterable[tuple[int, int]], here: Here) -> Iterator[str]:
    first, last = max(low, NODE_PORTS[0]), min(high, NODE_PORTS[1])
    rows = here.snapshot.processes.rows if here.snapshot and here.snapshot.processes else ()
    runs = next((row.name for row in rows if row.name in KUBERNETES), None)
    if runs and first <= last and within(reserved, first, last) < last - first + 1:
        yield (
            f"{runs} runs here: {first}-{last} of the range are what Kubernetes gives to services (NodePort), and"
            " connections that have one keep clients of that service out; reserve them"
        )


def _fewer(after: After, here: Here) -> Iterator[str]:
    before, then = usable(here.values, here), usable(after, here)
    ports = here.inside.ports if here.inside else None
    busiest = max((group.used for group in ports.groups), default=0) if ports else 0
    if before is not None and then is not None and then < before:
        ports_fewer = "1 port" if before - then == 1 else f"{before - then:,} ports"
        yield f"{ports_fewer} fewer than now to each destination"
        if busiest >= then:
            yield f"towards one destination {busiest:,} are in use now: new connections there fail at once"


def _reserved(change: Change, after: After, here: Here) -> Iterator[str]:
    yield from _fewer(after, here)
    found = span(after)
    if found and not within(ranges(change.new), *found):
        yield "none of these ports lies in the range of local ports, so that nothing changes"


def _unprivileged(change: Change, after: After, here: Here) -> Iterator[str]:
    old, new = numbers(change.old), numbers(change.new)
    if not (old and new):
        return
    if change.less:
        below = f"port {new[0]}, if it is" if new[0] == old[0] - 1 else f"the ports {new[0]}-{old[0] - 1} that are"
        yield f"any user of this namespace may then listen on {below} free"
    caught = [subject(row) for row in here.listeners if old[0] <= row.port < new[0] and row.uid]
    if caught:
        named = f"{', '.join(caught[:MOST])}{f' and {len(caught) - MOST} more' if len(caught) > MOST else ''}"
        yield f"{named} {'needs' if len(caught) == 1 else 'need'} privilege to start again"


def _reuse(change: Change, after: After, here: Here) -> Iterator[str]:
    # Where the plan itself takes them away, that line of it says so.
    if numbers(after.get(TIMESTAMPS, "")) == numbers(here.values.get(TIMESTAMPS, "")) == [0]:
        yield "net.ipv4.tcp_timestamps = 0: without timestamps no port in TIME_WAIT is taken again"


def _timestamps(change: Change, after: After, here: Here) -> Iterator[str]:
    if change.new == "0" and numbers(after.get("net.ipv4.tcp_tw_reuse", "")) != [0]:
        yield "connections opened from then on leave TIME_WAITs whose ports net.ipv4.tcp_tw_reuse cannot give out"


def _syn_backlog(change: Change, after: After, here: Here) -> Iterator[str]:
    if numbers(after.get("net.ipv4.tcp_syncookies", "")) not in ([], [0]):
        yield "with net.ipv4.tcp_syncookies on it decides nothing: the backlog of the listener does"


def _buckets(change: Change, after: After, here: Here) -> Iterator[str]:
    most, buckets = (numbers(after.get(key, "")) for key in (CONNTRACK_MAX, BUCKETS))
    if most and buckets and most[0] > CHAIN * buckets[0]:
        step = BY_KEY[BUCKETS].step
        yield (
            f"{most[0]:,} entries in {buckets[0]:,} buckets: packets get slow when it is full; plan"
            f" {BUCKETS}={-(-most[0] // step) * step} with it"
        )


def _files(change: Change, after: After, here: Here) -> Iterator[str]:
    files, each = (numbers(after.get(key, "")) for key in ("fs.file-max", "fs.nr_open"))
    if files and each and each[0] > files[0]:
        yield f"fs.nr_open = {each[0]:,} is more than fs.file-max = {files[0]:,}: one process may take all files"
    rows = here.snapshot.processes.rows if here.snapshot and here.snapshot.processes else ()
    above = [row for row in rows if row.soft is not None and each and row.soft > each[0]]
    if change.key == "fs.nr_open" and above:
        names = ", ".join(f"{row.name}[{row.pid}]" for row in above[:MOST])
        many = "1 process" if len(above) == 1 else f"{len(above):,} processes"
        yield f"{many} may have more than that now, and not from then on: {names}"


def _time_wait(change: Change, after: After, here: Here) -> Iterator[str]:
    if change.less:
        yield "lowering it cures no shortage: connections lose the protection of TIME_WAIT"


def _user_inotify(change: Change, after: After, here: Here) -> Iterator[str]:
    twin = f"fs.inotify.max_user_{change.key.rpartition('_')[2]}"
    new, host = numbers(change.new), numbers(here.values.get(twin, ""))
    # In the initial user namespace both are one number.
    if new and host and new[0] > host[0] and numbers(change.old) != host:
        yield f"{twin} = {host[0]:,} of the host is lower, and binds before"


_AT: dict[str, Callable[[Change, After, Here], Iterator[str]]] = {
    RANGE: _range,
    RESERVED: _reserved,
    UNPRIVILEGED: _unprivileged,
    BUCKETS: _buckets,
    CONNTRACK_MAX: _buckets,
    "fs.file-max": _files,
    "fs.nr_open": _files,
    "net.ipv4.tcp_max_syn_backlog": _syn_backlog,
    "net.ipv4.tcp_max_tw_buckets": _time_wait,
    TIMESTAMPS: _timestamps,
    "user.max_inotify_instances": _user_inotify,
    "user.max_inotify_watches": _user_inotify,
    "net.ipv4.tcp_tw_reuse": _reuse,
}
