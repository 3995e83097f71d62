"""Receive buffers of UDP sockets: a reader that is slower than its senders loses datagrams."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import delta, delta_lines, label_or, process_label
from sockmon.ceilings.measuring import sysctl_number, unread_measure
from sockmon.ceilings.remedies import application
from sockmon.misconceptions import RMEM_MAX_ALONE
from sockmon.model.detail import ProcessQuery
from sockmon.model.report import Remedy
from sockmon.model.snapshot import UdpBuffer

DEFAULT, MAXIMUM = "net.core.rmem_default", "net.core.rmem_max"
ERRORS = "Udp.RcvbufErrors"
ADVISED_FACTOR = 4
"""How many times larger a buffer is advised."""


def drops_counter(buffer: UdpBuffer) -> str:
    """Return the name of the socket's drops among the counters of a window."""
    return f"udp drops {buffer.inode}"


def buffer_label(buffer: UdpBuffer) -> str:
    """Return `0.0.0.0:2055 collector[12]`."""
    return f"{_place(buffer)} {process_label(buffer.owner)}" if buffer.owner else _place(buffer)


def _place(buffer: UdpBuffer) -> str:
    address = f"[{buffer.address}]" if ":" in buffer.address else buffer.address
    return f"{address}:{buffer.port}"


def _udp_buffers(window: Window) -> Iterator[Measure]:
    netns = window.netns
    if netns.udp is None or netns.udp.buffers is None:
        yield unread_measure(netns.name, window.missing("udp ports" if netns.udp is None else "sock_diag"))
        return
    for buffer in netns.udp.buffers:
        owner = buffer.owner
        yield Measure(
            buffer_label(buffer),
            buffer.queued,
            buffer.rcvbuf,
            hit=_dropped_for_room(window, buffer),
            transient=True,
            at=netns.udp.at,
            query=ProcessQuery(owner.pid, owner.start) if owner else None,
            name=_place(buffer) if owner else "",
            payload=buffer,
        )
    if not netns.udp.buffers:
        yield Measure(netns.name, 0, sysctl_number(netns.sysctls, DEFAULT), at=netns.udp.at)


def _dropped_for_room(window: Window, buffer: UdpBuffer) -> bool:
    """Return whether the socket dropped datagrams because its buffer was full: filters and bad checksums count as
    drops too."""
    if window.deltas.get(drops_counter(buffer), 0) <= 0:
        return False
    # /proc/net/snmp does not count datagrams over IPv6: for them a long queue is the proof.
    return window.deltas.get(ERRORS, 0) > 0 or 2 * buffer.queued >= buffer.rcvbuf


def _change_key(window: Window) -> object:
    """Return the time of the scan: the same scan in the next Snapshot is not a second full sample."""
    udp = window.netns.udp
    return object() if udp is None else udp.at


def _evidence(window: Window, measure: Measure) -> list[str]:
    buffer = measure.payload
    if not isinstance(buffer, UdpBuffer):
        return ["no UDP socket has datagrams waiting, and none has dropped any"]
    lines = [f"{buffer.queued:,} of {buffer.rcvbuf:,} bytes wait to be read, overhead included"]
    if step := window.deltas.get(drops_counter(buffer), 0):
        lines.append(f"drops of this socket {delta(window, step)}")
    if buffer.drops:
        lines.append(f"it dropped {buffer.drops:,} datagrams since it was created")
    lines += [f"{line}, all UDP sockets together" for line in delta_lines(window, ERRORS)]
    return [*lines, _size_origin(window, buffer)]


def _size_origin(window: Window, buffer: UdpBuffer) -> str:
    default, maximum = (sysctl_number(window.netns.sysctls, key) for key in (DEFAULT, MAXIMUM))
    if buffer.rcvbuf == default:
        return f"the size is {DEFAULT}: the program asked for no size"
    if maximum is not None and buffer.rcvbuf == 2 * maximum:
        return f"{MAXIMUM} {maximum:,} probably caps the size that the program asked for; the kernel doubles it"
    return "the program asked for this size with SO_RCVBUF; the kernel doubles it"


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    buffer = measure.payload
    if not isinstance(buffer, UdpBuffer):
        return []
    default, maximum = (sysctl_number(window.netns.sysctls, key) for key in (DEFAULT, MAXIMUM))
    who, wanted = label_or(buffer.owner, "the reader"), ADVISED_FACTOR * buffer.rcvbuf
    capped = maximum is not None and buffer.rcvbuf == 2 * maximum
    too_large = maximum is not None and wanted // 2 > maximum
    steps = [application(f"let {who} read faster, or in several threads or processes with SO_REUSEPORT")]
    if not capped:
        room = f"; {MAXIMUM} {maximum:,} allows it" if maximum is not None and not too_large else ""
        steps.append(application(f"let {who} ask for SO_RCVBUF {wanted // 2:,}{room}"))
    if capped or too_large:
        note = f"then restart {who}: a socket keeps the buffer that it has"
        if buffer.rcvbuf == default:
            note = f"alone it changes nothing: {who} asks for no size"
        steps.append(Remedy("sysctl", MAXIMUM, str(wanted // 2), note, capped))
    if buffer.rcvbuf == default:
        text = f"for new sockets of every program: then restart {who}"
        steps.append(Remedy("sysctl", DEFAULT, str(wanted), text))
    return steps


UDP_BUFFERS = Ceiling(
    id="udp-buffers",
    title="UDP receive buffer",
    unit="bytes",
    scope="process",
    per="socket",
    levels=Levels(0.75, 0.90),
    consequence="when the receive buffer of a UDP socket is full, the kernel drops the datagrams that arrive",
    measure=_udp_buffers,
    evidence=_evidence,
    remedies=_remedies,
    hit_counters=(ERRORS,),
    needs_movement=True,
    change_key=_change_key,
    manual=Manual(
        measurement="The bytes that wait in the receive buffer of one UDP socket, against the size of that buffer:"
        " rmem and rcvbuf of sock_diag (`ss -uamn`). A datagram takes more than its own length: 2,304 bytes for"
        " 1,000.",
        symptoms=(
            "datagrams are lost; the sender gets no error",
            "Udp.RcvbufErrors and Udp.InErrors of /proc/net/snmp grow, and the socket's drops in /proc/net/udp",
        ),
        raise_now="Let the program ask for a larger SO_RCVBUF, up to net.core.rmem_max; or raise"
        " net.core.rmem_default and restart it. A socket keeps the buffer that it has.",
        persist="Put SO_RCVBUF in the program's configuration, and net.core.rmem_max and net.core.rmem_default in"
        " a file in /etc/sysctl.d.",
        cost="Memory for the datagrams that wait, at most the size of the buffer for each socket; net.ipv4.udp_mem"
        " limits all of them together.",
        misconceptions=(
            RMEM_MAX_ALONE,
            "net.ipv4.udp_mem is the limit of all sockets together, and seldom the one that drops datagrams.",
            "A larger buffer absorbs bursts. It does not help if the reader is always too slow.",
        ),
        sysctls=(DEFAULT, MAXIMUM),
        source="net/ipv4/udp.c, __udp_enqueue_schedule_skb(); net/core/sock.c",
    ),
)
