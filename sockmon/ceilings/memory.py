"""Memory of TCP and UDP buffers (net.ipv4.tcp_mem, udp_mem) and orphaned sockets (tcp_max_orphans): host-wide."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, Words, moved, number, raised, unknown
from sockmon.model.report import Remedy

UDP_MEM = "net.ipv4.udp_mem"
ABORTS = "TcpExt.TCPAbortOnMemory"
PRESSURES = "TcpExt.TCPMemoryPressures"
RETRIES = "net.ipv4.tcp_orphan_retries"
FEW_RETRIES = 2
INITIAL_ONLY = "{} is visible in the initial network namespace only"


def _megabytes(window: Window, pages: int) -> str:
    return f"{pages * window.now.host.page_size / 1e6:,.0f} MB"


def _tcp_memory(window: Window) -> Iterator[Measure]:
    host, memory = window.now.host.name, window.now.memory
    if memory is None:
        yield unknown(host, window.why_missing("sockstat"))
        return
    hit = window.moved.get(PRESSURES, 0) > 0
    if memory.tcp_mem is None:
        unseen = INITIAL_ONLY.format("net.ipv4.tcp_mem")
        yield Measure(host, memory.tcp_pages, None, hit=hit, unseen=unseen)
    else:
        _, pressure, high = memory.tcp_mem
        yield Measure(
            host,
            memory.tcp_pages,
            high,
            hit=hit,
            # The kernel reacts at `pressure`, and lets go of it well below.
            levels=Levels(min(pressure / high, 0.9), 0.9, 0.2 * pressure / high) if high else None,
        )


def _tcp_memory_evidence(window: Window, measure: Measure) -> list[str]:
    memory = window.now.memory
    assert memory is not None
    lines = [f"{memory.tcp_pages:,} pages ({_megabytes(window, memory.tcp_pages)}) in TCP buffers"]
    if memory.tcp_mem is None:
        lines.append(measure.unseen)
    else:
        low, pressure, high = memory.tcp_mem
        begins = _megabytes(window, pressure)
        lines.append(f"net.ipv4.tcp_mem {low:,} {pressure:,} {high:,}: pressure begins at {begins}")
        if memory.tcp_pages >= high:
            lines.append("above the limit received data is dropped, send() fails with EAGAIN, orphans are reset")
        elif memory.tcp_pages >= pressure:
            lines.append("above the pressure mark windows stop growing, and the fullest sockets lose new data")
    return lines + moved(window, PRESSURES, "TcpExt.PruneCalled", "TcpExt.TCPRcvQDrop", ABORTS)


def _tcp_memory_remedies(window: Window, measure: Measure) -> list[Remedy]:
    memory = window.now.memory
    mem = memory.tcp_mem if memory else None
    doubled = " ".join(str(2 * part) for part in mem) if mem else None
    return [
        Remedy(
            "application",
            None,
            None,
            "find the sockets with long receive or send queues: someone does not read",
        ),
        Remedy(
            "sysctl",
            "net.ipv4.tcp_mem",
            doubled,
            "raise the three values together; never above half of the memory",
        ),
    ]


def _udp_mem(window: Window) -> list[int] | None:
    value = window.now.sysctls.get(UDP_MEM, "").split()
    return [int(part) for part in value] if len(value) == 3 else None


def _udp_memory(window: Window) -> Iterator[Measure]:
    host, memory = window.now.host.name, window.now.memory
    if memory is None:
        yield unknown(host, window.why_missing("sockstat"))
        return
    mem = _udp_mem(window)
    # UDP has no state of pressure: what is above the first value is refused (__sk_mem_raise_allocated(),
    # net/core/sock.c).
    yield Measure(
        host, memory.udp_pages, mem[0] if mem else None, unseen="" if mem else INITIAL_ONLY.format(UDP_MEM)
    )


def _udp_memory_evidence(window: Window, measure: Measure) -> list[str]:
    used, mem = measure.used or 0, _udp_mem(window)
    lines = [f"{used:,} pages ({_megabytes(window, used)}) in UDP receive buffers"]
    if mem is None:
        return [*lines, measure.unseen]
    lines.append(
        f"{UDP_MEM} {mem[0]:,} {mem[1]:,} {mem[2]:,}: the first is the limit ({_megabytes(window, mem[0])})"
    )
    if used >= mem[0]:
        lines.append("datagrams are dropped: `drops` of /proc/net/udp grows, Udp.RcvbufErrors may not")
    return lines


def _udp_memory_remedies(window: Window, measure: Measure) -> list[Remedy]:
    mem = _udp_mem(window)
    return [
        Remedy(
            "application",
            None,
            None,
            "find the sockets with long receive queues: who does not read, or asked for a huge SO_RCVBUF?",
        ),
        Remedy(
            "sysctl",
            UDP_MEM,
            " ".join(str(2 * part) for part in mem) if mem else None,
            "raise the three values together (the first one binds); never above half of the memory",
        ),
    ]


def _tcp_orphans(window: Window) -> Iterator[Measure]:
    host, memory = window.now.host.name, window.now.memory
    if memory is None:
        yield unknown(host, window.why_missing("sockstat"))
        return
    # TCPAbortOnMemory counts both causes; memory above tcp_mem is the other one.
    out_of_memory = memory.tcp_mem is not None and memory.tcp_pages >= memory.tcp_mem[2]
    yield Measure(
        host,
        memory.orphans,
        memory.max_orphans,
        hit=window.moved.get(ABORTS, 0) > 0 and not out_of_memory,
        unseen="" if memory.max_orphans is not None else INITIAL_ONLY.format("net.ipv4.tcp_max_orphans"),
    )


def _tcp_orphans_evidence(window: Window, measure: Measure) -> list[str]:
    limit = measure.unseen or f"net.ipv4.tcp_max_orphans {measure.limit:,}"
    return [
        f"{measure.used:,} sockets that no process holds any more, {limit}",
        "sockets that make no progress count two or four times: resets can begin at a quarter of the limit",
        *moved(window, ABORTS),
    ]


def _tcp_orphans_remedies(window: Window, measure: Measure) -> list[Remedy]:
    wanted = str(raised(measure.limit)) if measure.limit else None
    return [
        Remedy("application", None, None, "peers that do not answer the last FIN: look at FIN_WAIT1 and LAST_ACK"),
        *_fewer_retries(window),
        Remedy("sysctl", "net.ipv4.tcp_max_orphans", wanted, "raise the limit; up to 64 kB of memory each"),
    ]


def _fewer_retries(window: Window) -> list[Remedy]:
    """Nothing where they are so few already."""
    now = number(window.netns.sysctls, RETRIES)
    if now is not None and 0 < now <= FEW_RETRIES:
        return []
    return [Remedy("sysctl", RETRIES, str(FEW_RETRIES), "give up on them sooner (0 means 8, about 100 s)")]


TCP_MEMORY = Ceiling(
    id="tcp-memory",
    title="TCP memory",
    unit="pages",
    scope="host",
    levels=Levels(0.66, 0.90),
    what="above the pressure mark windows stop growing; at the limit data is dropped and orphans are reset",
    measure=_tcp_memory,
    evidence=_tcp_memory_evidence,
    proofs=(PRESSURES,),
    remedies=_tcp_memory_remedies,
    words=Words(
        counted="Pages of memory in the send and receive buffers of all TCP sockets of the host, in every"
        " namespace: `TCP: mem` of /proc/net/sockstat. Sockets without data in flight take next to none of it.",
        shows=[
            "above the second value TcpExt.TCPMemoryPressures grows, windows stop growing, and sockets that hold"
            " more than the third value divided by all TCP sockets lose new data (PruneCalled, TCPRcvQDrop)",
            "above the third every socket does, send() that may not block fails with EAGAIN, orphans are reset"
            " (TCPAbortOnMemory)",
            "kernel log: TCP: out of memory -- consider tuning tcp_mem",
        ],
        live='sysctl -w net.ipv4.tcp_mem="LOW PRESSURE HIGH", in pages, in the initial network namespace.',
        lasting="net.ipv4.tcp_mem in a file of /etc/sysctl.d.",
        costs="Memory that the kernel cannot page out: leave at least half of the machine to everything else.",
        myths=[
            "Idle connections do not fill it: they cost kernel memory, but not of this account.",
            "tcp_rmem and tcp_wmem are bytes of one socket, tcp_mem pages of all of them.",
            "PruneCalled and TCPRcvQDrop without TCPMemoryPressures are a cgroup's memory limit, or one socket's"
            " buffer: this limit was not met.",
        ],
        keys=["net.ipv4.tcp_mem"],
        source="net/core/sock.c, __sk_mem_raise_allocated()",
    ),
)

UDP_MEMORY = Ceiling(
    id="udp-memory",
    title="UDP memory",
    unit="pages",
    scope="host",
    levels=Levels(0.75, 0.90),
    what="at the limit UDP sockets drop what they receive, except for a small buffer each",
    measure=_udp_memory,
    evidence=_udp_memory_evidence,
    remedies=_udp_memory_remedies,
    words=Words(
        counted="Pages of memory in the receive buffers of all UDP sockets of the host: `UDP: mem` of"
        " /proc/net/sockstat. What is sent is not counted.",
        shows=["datagrams are lost: the `drops` column of /proc/net/udp and udp6 grows for the sockets concerned"],
        live='sysctl -w net.ipv4.udp_mem="N N N", in pages, in the initial network namespace.',
        lasting="net.ipv4.udp_mem in a file of /etc/sysctl.d.",
        costs="Memory that the kernel cannot page out, held by programs that read too slowly.",
        myths=[
            "The third value is not the wall: UDP knows no pressure, and the first value is where drops begin.",
            "Drops of a single socket are far more often its own buffer (SO_RCVBUF, net.core.rmem_max).",
        ],
        keys=[UDP_MEM, "net.core.rmem_max"],
        source="net/core/sock.c, __sk_mem_raise_allocated()",
    ),
)

TCP_ORPHANS = Ceiling(
    id="tcp-orphans",
    title="orphaned sockets",
    unit="sockets",
    scope="host",
    levels=Levels(0.25, 0.50),
    what="above the limit a closed socket is reset instead of finishing its FIN handshake",
    measure=_tcp_orphans,
    evidence=_tcp_orphans_evidence,
    proofs=(ABORTS,),
    remedies=_tcp_orphans_remedies,
    words=Words(
        counted="TCP sockets of the whole host that no process holds any more and whose FIN is not answered yet"
        " (FIN_WAIT1, LAST_ACK, CLOSING): `orphan` of /proc/net/sockstat. TIME_WAIT and FIN_WAIT2 without an owner"
        " are not among them.",
        shows=[
            "a closed socket is reset: TcpExt.TCPAbortOnMemory and Tcp.OutRsts grow, peers see ECONNRESET",
            "kernel log: TCP: too many orphaned sockets",
        ],
        live="sysctl -w net.ipv4.tcp_max_orphans=N in the initial network namespace; net.ipv4.tcp_orphan_retries"
        " in the namespace of the sockets.",
        lasting="The same keys in a file of /etc/sysctl.d.",
        costs="Up to 64 kB each that the kernel cannot page out.",
        myths=[
            "It does not cap open connections: only closed ones that still have something to deliver.",
            "tcp_fin_timeout does not shorten them; tcp_orphan_retries does (0 means 8 tries, some 100 s).",
        ],
        keys=["net.ipv4.tcp_max_orphans", "net.ipv4.tcp_orphan_retries"],
        source="net/ipv4/tcp.c, tcp_check_oom()",
    ),
)
