"""Which listener dropped connections: the kernel counts drops for each socket, and overflows for the namespace."""

from __future__ import annotations

from collections.abc import Iterable

from sockmon.ceilings.ceiling import Window
from sockmon.ceilings.evidence import delta
from sockmon.model.snapshot import Listener

OVERFLOWS, DROPS = "TcpExt.ListenOverflows", "TcpExt.ListenDrops"


def drops_counter(listener: Listener) -> str:
    """Return the name of the listener's drops among the counters of a window."""
    return f"listener drops {listener.inode}"


def dropped(window: Window, listener: Listener) -> int:
    """Return how many connections the listener dropped in the window."""
    return window.deltas.get(drops_counter(listener), 0)


def overflowed(window: Window, listeners: Iterable[Listener]) -> frozenset[int]:
    """Return the inodes of the listeners whose queues overflowed, as their own drops prove it.

    What a full SYN queue drops is not an overflow. So it is certain only if all drops are overflows, or if one
    listener alone dropped any."""
    overflows = window.deltas.get(OVERFLOWS, 0)
    found = frozenset(item.inode for item in listeners if item.protocol == "tcp" and dropped(window, item) > 0)
    certain = len(found) == 1 or window.deltas.get(DROPS, 0) == overflows
    return found if overflows > 0 and certain else frozenset()


def drop_lines(window: Window, listener: Listener) -> list[str]:
    """Return how many connections the listener dropped, in the window and since it was made."""
    lines = []
    if step := dropped(window, listener):
        lines.append(f"drops of this listener {delta(window, step)}")
    if listener.drops:
        lines.append(f"it has dropped {listener.drops:,} connections since it was created, retries included")
    return lines
