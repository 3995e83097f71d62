"""Memory of TCP buffers (net.ipv4.tcp_mem) and orphaned sockets (net.ipv4.tcp_max_orphans): both host-wide."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, moved, raised, unknown
from sockmon.model.report import Remedy

ABORTS = "TcpExt.TCPAbortOnMemory"
PRESSURES = "TcpExt.TCPMemoryPressures"
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
    return lines + moved(window, PRESSURES, "TcpExt.PruneCalled", "TcpExt.TCPRcvQDrop")


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
        Remedy("sysctl", "net.ipv4.tcp_orphan_retries", "2", "give up on them sooner (0 means 8, about 100 s)"),
        Remedy("sysctl", "net.ipv4.tcp_max_orphans", wanted, "raise the limit; up to 64 kB of memory each"),
    ]


TCP_MEMORY = Ceiling(
    id="tcp-memory",
    title="TCP memory",
    unit="pages",
    scope="host",
    levels=Levels(0.66, 0.90),
    what="above the pressure mark windows stop growing; at the limit data is dropped and orphans are reset",
    measure=_tcp_memory,
    evidence=_tcp_memory_evidence,
    remedies=_tcp_memory_remedies,
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
    remedies=_tcp_orphans_remedies,
)
