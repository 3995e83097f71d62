"""Memory that N more connections need: of the host, of the cgroup, and pages of net.ipv4.tcp_mem."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon import format as fmt
from sockmon.ceilings.evidence import process_label
from sockmon.guides.facts import Facts
from sockmon.guides.launch.requirement import UNREAD, Requirement
from sockmon.guides.launch.shape import BYTES_TOLERANCE, IDLE_PER_PAGE, TRACKED_BYTES, Shape
from sockmon.model.snapshot import Process


def memory_requirements(facts: Facts, shape: Shape, number: int, process: Process | None) -> Iterator[Requirement]:
    """Yield what `number` idle connections take; data that waits in their buffers comes on top."""
    needed = number * bytes_each(facts, shape)
    words = (
        f"{fmt.size(needed)} is what idle connections take: use fewer connections for each host, or more memory",
    )
    available = facts.snapshot.available_memory
    if available is None:
        yield Requirement("memory", "", needed, "bytes", unknown=UNREAD)
    else:
        yield Requirement("memory", "", needed, "bytes", available, 0, (), words)
    yield from _cgroup(facts, needed, process)
    yield _tcp_mem(facts, shape, number)


def bytes_each(facts: Facts, shape: Shape) -> int:
    """Return the bytes of one idle connection on this host."""
    tracked = facts.netns.conntrack is not None and facts.netns.conntrack.count > 0
    return shape.bytes + (shape.ends * TRACKED_BYTES if tracked else 0)


def promise(facts: Facts, shape: Shape) -> str:
    """Return how many bytes an idle connection takes, how exact that is, and what is not in it."""
    return (
        f"{bytes_each(facts, shape):,} bytes of memory for each idle connection, within"
        f" {fmt.ratio(BYTES_TOLERANCE)} (measured on Linux 6.18, x86_64); the application and waiting data add"
        " theirs"
    )


def room_for_data(facts: Facts, shape: Shape, number: int) -> str:
    """Return how much data each connection may have in its buffers until TCP is under memory pressure; empty if
    tcp_mem was not read."""
    memory = facts.snapshot.memory
    if memory is None or memory.tcp_mem is None:
        return ""
    pages = max(memory.tcp_mem[1] - memory.tcp_pages, 0)
    each = pages * facts.snapshot.host.page_size // (number * shape.ends)
    return f"{fmt.size(each)} of data may wait in each socket until net.ipv4.tcp_mem causes memory pressure"


def _tcp_mem(facts: Facts, shape: Shape, number: int) -> Requirement:
    needed, memory = -(-number * shape.ends // IDLE_PER_PAGE), facts.snapshot.memory
    if memory is None or memory.tcp_mem is None:
        return Requirement("tcp-memory", "", needed, "pages", unknown=UNREAD)
    words = ("the buffers of connections that exist fill net.ipv4.tcp_mem: find what is not read or sent",)
    return Requirement("tcp-memory", "", needed, "pages", memory.tcp_mem[1], memory.tcp_pages, (), words)


def _cgroup(facts: Facts, needed: int, process: Process | None) -> Iterator[Requirement]:
    cgroups = facts.snapshot.cgroups
    for group in cgroups.memory if cgroups else ():
        used = max(group.current - group.reclaimable, 0)
        words = (f"raise memory.max of {group.path} by {fmt.size(needed)}, and by the memory of the application",)
        row = Requirement("cgroup-memory", group.path, needed, "bytes", group.maximum, used, (), words)
        if process and group.name == process_label(process):
            yield row
        elif row.short:
            reason = f"it allows {fmt.size(group.maximum)}: {words[0]}, if the program is in it"
            yield Requirement("cgroup-memory", group.path, needed, "bytes", unknown=reason)
