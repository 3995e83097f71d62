"""Which network namespaces, and so which containers, use most of a limit that the whole host shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sockmon.ceilings.ceiling import Window
from sockmon.model.snapshot import Process

LISTED = 3


def of_processes(window: Window, what: str, amount: Callable[[Process], int]) -> list[str]:
    """Return `most tasks by network namespace: shop/cart-0 197, host 45`, of what their processes use; nothing if
    there is one namespace only."""
    now = window.now
    if len(now.netns) < 2 or now.processes is None:
        return []
    amounts = {row.pid: amount(row) for row in now.processes.rows}
    first, *others = now.netns
    sums = [(netns.name, sum(amounts.pop(pid, 0) for pid in netns.pids)) for netns in others]
    # The processes of the first one are not listed: they are those that are in no other.
    return _line(what, [(first.name, sum(amounts.values())), *sums])


def of_tcp_sockets(window: Window) -> list[str]:
    """Return the same for the TCP sockets of each namespace."""
    now = window.now
    if len(now.netns) < 2:
        return []
    counted = ((netns.name, netns.sockstat) for netns in now.netns)
    return _line(
        "TCP sockets",
        [(name, stat.tcp_inuse + (stat.tcp6_inuse or 0) + stat.time_wait) for name, stat in counted if stat],
    )


def _line(what: str, sums: Iterable[tuple[str, int]]) -> list[str]:
    largest = sorted((pair for pair in sums if pair[1]), key=lambda pair: (-pair[1], pair[0]))[:LISTED]
    listed = ", ".join(f"{name} {count:,}" for name, count in largest)
    return [f"most {what} by network namespace: {listed}"] if listed else []
