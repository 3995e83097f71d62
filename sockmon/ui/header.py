"""The header line, and the banner under it when something is not as it should be."""

from __future__ import annotations

import time
from typing import NamedTuple

from rich.text import Text

from sockmon import format as fmt
from sockmon.model.snapshot import Snapshot
from sockmon.ui.widgets.words import spread

STALE = 3.0
"""Intervals without a Snapshot after which live data is called stale."""

AGE_STEP = 5.0
CLOCK_WIDTH = 9


class Status(NamedTuple):
    """What the header says beside the Snapshot."""

    title: str
    """`live`, or the recording's name."""
    live: bool
    paused: bool
    read_only: bool
    silence: float
    """Seconds since the last Snapshot arrived."""
    lost: str | None
    """Why the stream ended; empty where it simply came to its end; None: it goes on."""


def header(snapshot: Snapshot | None, status: Status, width: int) -> Text:
    """Who and where at the left, how fresh and how dear at the right; a narrow line says less."""
    brand = Text(" sockmon", "heading")
    if snapshot is None:
        return spread(brand, Text(f"{status.title} ", "muted"), width)
    left = _parts(_place(snapshot, width))
    right = _parts([part for part in _state(snapshot, status, width) if part.plain])
    return spread(Text.assemble(brand, "  ", left), Text.assemble(right, (" · ", "faint")), width)


def _parts(parts: list[Text]) -> Text:
    return Text.assemble((" · ", "faint")).join(parts)


def _place(snapshot: Snapshot, width: int) -> list[Text]:
    host = snapshot.host
    spaces = ", ".join(netns.name for netns in snapshot.netns) or "?"
    root = "" if host.uid == 0 else "sev-warning"
    parts = [Text(host.name, "strong"), Text(f"netns {spaces}"), Text(host.user, root)]
    if width >= 90:
        parts.insert(1, Text(host.kernel, "muted"))
    return parts


def _state(snapshot: Snapshot, status: Status, width: int) -> list[Text]:
    every = f"{snapshot.interval:g} s"
    parts = [_mode(status, every)]
    if status.read_only:
        parts.append(Text("read-only", "accent"))
    if width >= 90:
        parts.append(_dump_age(snapshot))
    if width >= 50:
        parts.append(Text(f"cost {snapshot.cost * 100:.1f} %", "muted"))
    return parts


def clock(snapshot: Snapshot | None) -> Text:
    """When the Snapshot was taken, by this machine's own clock face."""
    return Text(time.strftime("%H:%M:%S", time.localtime(snapshot.wall)) if snapshot else "")


def _mode(status: Status, every: str) -> Text:
    if status.paused:
        return Text("‖ paused", "sev-warning")
    if status.lost is not None:
        return Text("lost" if status.live else f"replay {status.title} ended", "sev-warning")
    return Text(f"live {every}", "sev-ok") if status.live else Text(f"replay {status.title}", "accent")


def _dump_age(snapshot: Snapshot) -> Text:
    """The age of the oldest part that needs a dump, where it is worth saying."""
    dumped = [part.at for netns in snapshot.netns for part in (netns.states, netns.ports) if part]
    age = snapshot.at - min(dumped) if dumped else 0.0
    return dump_age(age)


def dump_age(seconds: float) -> Text:
    """`dump 10 s old`, in steps of five seconds, so that an age alone does not keep a terminal busy; nothing for
    what is hardly older than the Snapshot."""
    steps = seconds // AGE_STEP * AGE_STEP
    return Text(f"dump {fmt.age(steps)} old", "muted") if steps else Text()


def banner(snapshot: Snapshot | None, status: Status) -> str:
    """What must not be overlooked: the stream broke or is late. Empty: nothing."""
    if status.lost is not None and status.live:
        return f"The data ended: {status.lost or 'the source stopped'}. What you see is the last sample."
    if status.lost:
        return status.lost
    interval = snapshot.interval if snapshot else 1.0
    if status.live and status.silence > max(STALE * interval, interval + 2):
        return f"No data for {fmt.age(status.silence)}: what you see is old."
    return ""
