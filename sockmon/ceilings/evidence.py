"""Parts of evidence: labels of processes, and counters that moved in the window."""

from __future__ import annotations

from collections.abc import Iterable

from sockmon.ceilings.ceiling import Window
from sockmon.model.outcome import NewProcess
from sockmon.model.snapshot import Owner, Process, ProcessAio, ProcessLocked, ProcessMaps


def process_label(process: Process | Owner | NewProcess | ProcessAio | ProcessLocked | ProcessMaps) -> str:
    """Return `nginx[1044]`."""
    return f"{process.name}[{process.pid}]"


def label_or(owner: Process | Owner | None, otherwise: str) -> str:
    """Return the label of `owner`, or `otherwise` if it is not known."""
    return process_label(owner) if owner else otherwise


def most(owners: Iterable[tuple[Process | Owner, int]], count: int = 3) -> str:
    """Return `nginx[1044] 512, redis[9] 44`: the `count` processes with the largest numbers."""
    ranked = sorted(owners, key=lambda pair: pair[1], reverse=True)[:count]
    return ", ".join(f"{process_label(owner)} {number:,}" for owner, number in ranked)


HANDSHAKES = ("TcpExt.TCPSynRetrans", "Tcp.AttemptFails")
"""Counters that move if SYNs of this host, or its answers to SYNs, are lost."""
SYNS_DROPPED = (
    "SYNs are dropped: clients stay in SYN_SENT and retry once per second, before Linux 6.5 after 1 s, 2 s and 4 s"
)
"""What clients do (tcp_syn_linear_timeouts of their kernel is 4)."""
RESETS = ("Tcp.EstabResets", "Tcp.OutRsts")
"""Counters that move if connections of this host are ended by a reset."""
RETRANSMITS = ("Tcp.RetransSegs", "TcpExt.TCPTimeouts")
"""Counters that move if packets of connections of this host are lost."""


def delta_lines(window: Window, *counters: str) -> list[str]:
    """Return `ListenOverflows +14 in 10 s` for each of `counters` that moved in the window."""
    return [
        f"{name.rpartition('.')[2]} {delta(window, window.deltas[name])}"
        for name in counters
        if window.deltas.get(name, 0) > 0
    ]


def delta(window: Window, step: int) -> str:
    """Return `+14 in 10 s`."""
    return f"+{step:,} in {max(window.seconds, 1):.0f} s"
