"""Memory of TCP and UDP buffers (net.ipv4.tcp_mem, udp_mem) and orphaned sockets (tcp_max_orphans): host-wide."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import RESETS, RETRANSMITS, delta_lines
from sockmon.ceilings.measuring import sysctl_number, unread_measure
from sockmon.ceilings.memory_holders import (
    orphan_lines,
    orphan_remedies,
    tcp_lines,
    tcp_remedies,
    udp_lines,
    udp_remedies,
)
from sockmon.ceilings.namespace_shares import of_tcp_sockets
from sockmon.ceilings.remedies import next_limit
from sockmon.format import megabytes
from sockmon.misconceptions import TCP_MEM_IDLE, TCP_MEM_PAGES
from sockmon.model.report import Remedy

UDP_MEM = "net.ipv4.udp_mem"
ABORTS = "TcpExt.TCPAbortOnMemory"
PRESSURES = "TcpExt.TCPMemoryPressures"
RETRIES = "net.ipv4.tcp_orphan_retries"
ADVISED_RETRIES = 2
TCP_MEM, MAX_ORPHANS = "net.ipv4.tcp_mem", "net.ipv4.tcp_max_orphans"
INITIAL_ONLY = "{} is visible in the initial network namespace only"


def _size(window: Window, pages: int) -> str:
    return megabytes(pages * window.now.host.page_size)


def _tcp_memory(window: Window) -> Iterator[Measure]:
    host, memory = window.now.host.name, window.now.memory
    if memory is None:
        yield unread_measure(host, window.missing("sockstat", "memory"))
        return
    _, pressure, high = memory.tcp_mem or (0, 0, None)
    yield Measure(
        host,
        memory.tcp_pages,
        high,
        hit=window.deltas.get(PRESSURES, 0) > 0,
        # The kernel reacts at `pressure`, and stops reacting well below it.
        levels=Levels(min(pressure / high, 0.9), 0.9, 0.2 * pressure / high) if high else None,
        unknown_reason="" if memory.tcp_mem else INITIAL_ONLY.format(TCP_MEM),
        has_evidence=True,
        missing=None if memory.tcp_mem else window.missing(TCP_MEM),
    )


def _tcp_memory_evidence(window: Window, measure: Measure) -> list[str]:
    memory = window.now.memory
    assert memory is not None
    lines = [f"{memory.tcp_pages:,} pages ({_size(window, memory.tcp_pages)}) in TCP buffers"]
    if memory.tcp_mem is None:
        lines.insert(1 if measure.hit else 0, measure.unknown_reason)
    else:
        low, pressure, high = memory.tcp_mem
        begins = _size(window, pressure)
        lines.append(f"{TCP_MEM} {low:,} {pressure:,} {high:,}: pressure begins at {begins}")
        if memory.tcp_pages >= high:
            lines.append("above the limit received data is dropped, send() fails with EAGAIN, orphans are reset")
        elif memory.tcp_pages >= pressure:
            lines.append("above the pressure mark windows stop growing, and the fullest sockets lose new data")
    lines += [*tcp_lines(window), *of_tcp_sockets(window)]
    lines += delta_lines(window, PRESSURES, "TcpExt.PruneCalled", "TcpExt.TCPRcvQDrop", ABORTS)
    return lines + (delta_lines(window, *RESETS, *RETRANSMITS) if measure.hit else [])


def _tcp_memory_remedies(window: Window, measure: Measure) -> list[Remedy]:
    memory = window.now.memory
    return [
        *tcp_remedies(window),
        _double(TCP_MEM, memory.tcp_mem if memory else None, "raise the three values together"),
    ]


def _double(key: str, values: tuple[int, ...] | None, how: str) -> Remedy:
    doubled = " ".join(str(2 * value) for value in values) if values else None
    return Remedy("sysctl", key, doubled, f"{how}; never above half of the memory")


def _udp_mem(window: Window) -> tuple[int, ...] | None:
    value = window.now.sysctls.get(UDP_MEM, "").split()
    return tuple(int(part) for part in value) if len(value) == 3 else None


def _udp_memory(window: Window) -> Iterator[Measure]:
    host, memory = window.now.host.name, window.now.memory
    if memory is None:
        yield unread_measure(host, window.missing("sockstat", "memory"))
        return
    mem = _udp_mem(window)
    # UDP has no pressure state: it refuses what is above the first value (__sk_mem_raise_allocated(),
    # net/core/sock.c).
    yield Measure(
        host,
        memory.udp_pages,
        mem[0] if mem else None,
        unknown_reason="" if mem else INITIAL_ONLY.format(UDP_MEM),
        has_evidence=True,
        missing=None if mem else window.missing(UDP_MEM),
    )


def _udp_memory_evidence(window: Window, measure: Measure) -> list[str]:
    used, mem = measure.used or 0, _udp_mem(window)
    lines = [f"{used:,} pages ({_size(window, used)}) in UDP receive buffers"]
    lines += udp_lines(window)
    if mem is None:
        return [measure.unknown_reason, *lines]
    first = _size(window, mem[0])
    lines.append(f"{UDP_MEM} {mem[0]:,} {mem[1]:,} {mem[2]:,}: the first value is the limit ({first})")
    if used >= mem[0]:
        lines.append("datagrams are dropped: `drops` in /proc/net/udp grows, Udp.RcvbufErrors may not")
    return lines


def _udp_memory_remedies(window: Window, measure: Measure) -> list[Remedy]:
    return [
        *udp_remedies(window),
        _double(UDP_MEM, _udp_mem(window), "raise the three values together (the first one is the limit)"),
    ]


def _tcp_orphans(window: Window) -> Iterator[Measure]:
    host, memory = window.now.host.name, window.now.memory
    if memory is None:
        yield unread_measure(host, window.missing("sockstat", "memory"))
        return
    # TCPAbortOnMemory counts two causes; memory above tcp_mem is the other one.
    out_of_memory = memory.tcp_mem is not None and memory.tcp_pages >= memory.tcp_mem[2]
    yield Measure(
        host,
        memory.orphans,
        memory.max_orphans,
        hit=window.deltas.get(ABORTS, 0) > 0 and not out_of_memory,
        unknown_reason="" if memory.max_orphans is not None else INITIAL_ONLY.format(MAX_ORPHANS),
        has_evidence=True,
        missing=None if memory.max_orphans is not None else window.missing(MAX_ORPHANS),
    )


def _tcp_orphans_evidence(window: Window, measure: Measure) -> list[str]:
    lines = [f"{measure.used:,} sockets that no process holds any more"]
    if measure.limit is None:
        lines.insert(1 if measure.hit else 0, measure.unknown_reason)
    else:
        lines[0] += f", {MAX_ORPHANS} {measure.limit:,}"
    return [
        *lines,
        *orphan_lines(window),
        "sockets without progress count two or four times: resets can begin at a quarter of the limit",
        *delta_lines(window, ABORTS),
        *(delta_lines(window, *RESETS) if measure.hit else ()),
    ]


def _tcp_orphans_remedies(window: Window, measure: Measure) -> list[Remedy]:
    wanted = str(next_limit(measure.limit)) if measure.limit else None
    short = _is_under_pressure(window)
    text = "raise the limit; takes up to 64 kB of memory for each socket" + (
        ", which TCP lacks already" if short else ""
    )
    return [
        *orphan_remedies(window),
        *_fewer_retries(window),
        Remedy("sysctl", MAX_ORPHANS, wanted, text, not short),
    ]


def _is_under_pressure(window: Window) -> bool:
    """Return whether TCP is above its pressure mark: more orphans would take memory that it lacks."""
    memory = window.now.memory
    return memory is not None and memory.tcp_mem is not None and memory.tcp_pages >= memory.tcp_mem[1]


def _fewer_retries(window: Window) -> list[Remedy]:
    """Return the remedy to retry less often, unless that is set already."""
    now = sysctl_number(window.netns.sysctls, RETRIES)
    if now is not None and 0 < now <= ADVISED_RETRIES:
        return []
    return [Remedy("sysctl", RETRIES, str(ADVISED_RETRIES), "give up on orphans sooner (0 means 8, about 100 s)")]


TCP_MEMORY = Ceiling(
    id="tcp-memory",
    title="TCP memory",
    unit="pages",
    scope="host",
    levels=Levels(0.66, 0.90),
    consequence="above the pressure mark windows stop growing; at the limit data is dropped and orphans are reset",
    measure=_tcp_memory,
    evidence=_tcp_memory_evidence,
    hit_counters=(PRESSURES,),
    needs_movement=True,
    remedies=_tcp_memory_remedies,
    manual=Manual(
        measurement="The pages of memory in the send and receive buffers of all TCP sockets of the host, in every"
        " namespace: `TCP: mem` in /proc/net/sockstat. Sockets without data in flight use almost none of it.",
        symptoms=(
            "above the second value TcpExt.TCPMemoryPressures moves, windows stop growing, and sockets that hold"
            " more than the third value divided by the number of TCP sockets lose new data (PruneCalled,"
            " TCPRcvQDrop)",
            "above the third value every socket loses new data, a non-blocking send() fails with EAGAIN, and"
            " orphans are reset (TCPAbortOnMemory)",
            "the kernel logs `TCP: out of memory -- consider tuning tcp_mem`",
        ),
        raise_now='Run sysctl -w net.ipv4.tcp_mem="LOW PRESSURE HIGH", in pages, in the initial network'
        " namespace.",
        cost="Memory that the kernel cannot swap out: leave at least half of the memory to everything else.",
        misconceptions=(
            TCP_MEM_IDLE,
            TCP_MEM_PAGES,
            "PruneCalled and TCPRcvQDrop do not always mean that this limit is reached: without"
            " TCPMemoryPressures it is the memory limit of a cgroup, or the buffer of one socket.",
        ),
        sysctls=(TCP_MEM,),
        source="net/core/sock.c, __sk_mem_raise_allocated()",
    ),
)

UDP_MEMORY = Ceiling(
    id="udp-memory",
    title="UDP memory",
    unit="pages",
    scope="host",
    levels=Levels(0.75, 0.90),
    consequence="at the limit UDP sockets drop received datagrams, except for a small buffer of each socket",
    measure=_udp_memory,
    evidence=_udp_memory_evidence,
    remedies=_udp_memory_remedies,
    manual=Manual(
        measurement="The pages of memory in the receive buffers of all UDP sockets of the host: `UDP: mem` in"
        " /proc/net/sockstat. Sent data is not counted.",
        symptoms=("datagrams are lost: `drops` in /proc/net/udp and udp6 grows for these sockets",),
        raise_now='Run sysctl -w net.ipv4.udp_mem="N N N", in pages, in the initial network namespace.',
        cost="Memory that the kernel cannot swap out, held by programs that read too slowly.",
        misconceptions=(
            "The third value is not the limit: UDP has no pressure stage, and drops begin at the first value.",
            "Drops of a single socket are rarely this limit: usually its own buffer is full (SO_RCVBUF,"
            " net.core.rmem_max).",
        ),
        sysctls=(UDP_MEM, "net.core.rmem_max"),
        source="net/core/sock.c, __sk_mem_raise_allocated()",
    ),
)

TCP_ORPHANS = Ceiling(
    id="tcp-orphans",
    title="orphaned sockets",
    unit="sockets",
    scope="host",
    levels=Levels(0.25, 0.50),
    consequence="above the limit a closed socket is reset instead of completing its FIN handshake",
    measure=_tcp_orphans,
    evidence=_tcp_orphans_evidence,
    hit_counters=(ABORTS,),
    needs_movement=True,
    remedies=_tcp_orphans_remedies,
    manual=Manual(
        measurement="The TCP sockets of the whole host that no process holds any more and whose FIN is not"
        " acknowledged yet (FIN_WAIT1, LAST_ACK, CLOSING): `orphan` in /proc/net/sockstat. TIME_WAIT, and"
        " FIN_WAIT2 without an owner, do not count.",
        symptoms=(
            "a closed socket is reset: TcpExt.TCPAbortOnMemory and Tcp.OutRsts move, peers get ECONNRESET",
            "the kernel logs `TCP: too many orphaned sockets`",
        ),
        raise_now="Run sysctl -w net.ipv4.tcp_max_orphans=N in the initial network namespace, or set"
        " net.ipv4.tcp_orphan_retries in the namespace of the sockets.",
        cost="Up to 64 kB for each socket that the kernel cannot swap out.",
        misconceptions=(
            "tcp_max_orphans does not limit open connections: it limits closed ones that still have data to"
            " deliver.",
            "tcp_fin_timeout does not shorten the life of orphans; tcp_orphan_retries does (0 means 8 retries,"
            " about 100 s).",
        ),
        sysctls=(MAX_ORPHANS, RETRIES),
        source="net/ipv4/tcp.c, tcp_check_oom()",
    ),
)
