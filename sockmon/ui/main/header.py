"""The header line, and the banner below it if the stream has a problem."""

from __future__ import annotations

import math
import shlex
import time
from typing import NamedTuple

from rich.text import Text

from sockmon import format as fmt
from sockmon.assess.unjudged import count_outer_tasks, netns_argument
from sockmon.format import plural
from sockmon.model.snapshot import Netns, NetnsMember, OtherNetns, Snapshot
from sockmon.ui.widgets.column import cut_middle
from sockmon.ui.widgets.text_line import justify

STALE_INTERVALS = 3.0
"""Intervals without a Snapshot after which live data is stale."""

MAX_ARGUMENT = 24
"""Characters of a name in the header."""
MAX_NAME = 12
"""Cells of the name of the chosen namespace in a short header; a longer one has twice as many."""
AGE_STEP_SECONDS = 5.0
MEDIUM_WIDTH, LONG_WIDTH = 100, 130
"""Columns from which on the header has words for what is not sampled, and what samples it."""
WIDE_WIDTH = 180
"""Columns from which on it has words for what is outside of a container."""


class StreamStatus(NamedTuple):
    """What the header shows besides the Snapshot: the state of the stream."""

    title: str
    """`live`, `ssh HOST`, or the recording's name."""
    live: bool
    paused: bool
    read_only: bool
    sample_age: float
    """Seconds since the last Snapshot arrived."""
    lost: str | None
    """Why the stream ended; empty if it ended normally, None if it has not ended."""
    interrupted: str = ""
    """Why no agent runs now, if another one will be started."""
    retry: float = 0.0
    """Seconds until that start."""
    hint: str = ""
    """Where more about the reason can be found."""
    note: str = ""
    """What part of the stream was dropped."""
    remote: bool = False
    """Whether another machine sends the samples."""


def header_line(snapshot: Snapshot | None, status: StreamStatus, width: int, chosen: Netns | None = None) -> Text:
    """Return host and user at the left, state and cost at the right; a narrow line has fewer parts. `chosen` is
    the network namespace that the panes show, of several."""
    brand = Text(" sockmon", "heading")
    if snapshot is None:
        return justify(brand, Text(f"{status.title} ", "muted"), width)
    left = _parts(_host_parts(snapshot, width, chosen))
    right = _parts([part for part in _stream_parts(snapshot, status, width) if part.plain])
    return justify(Text.assemble(brand, "  ", left), Text.assemble(right, (" · ", "faint")), width)


def _parts(parts: list[Text]) -> Text:
    return Text.assemble((" · ", "faint")).join(parts)


def _host_parts(snapshot: Snapshot, width: int, chosen: Netns | None) -> list[Text]:
    host = snapshot.host
    root = "" if host.uid == 0 else "sev-warning"
    user = Text(f"{host.user}{_unread(snapshot, width)}", root)
    parts = [Text(host.name, "strong"), _spaces(snapshot, width, chosen), user, *_container(snapshot, width)]
    if width >= 90:
        parts.insert(1, Text(host.kernel, "muted"))
    return parts


def _spaces(snapshot: Snapshot, width: int, chosen: Netns | None) -> Text:
    """Return the network namespace that is sampled, or how many are and how many are not: `24 of 27 netns`; the
    chosen one by name: `netns web-1 of 24`."""
    count = len(snapshot.netns)
    rest = _unsampled(snapshot, width)
    if count < 2:
        return Text(f"netns {snapshot.netns[0].name if count else '?'}{rest}")
    if chosen is None:
        total = snapshot.other_netns.total if snapshot.other_netns else 0
        if total and width < MEDIUM_WIDTH:
            return Text(f"{count:,} of {count + total:,} netns")
        return Text(f"{count:,} netns{rest}")
    name = cut_middle(Text(chosen.name, "accent"), MAX_NAME if width < MEDIUM_WIDTH else 2 * MAX_NAME)
    return Text.assemble("netns ", name, f" of {count:,}" if width >= MEDIUM_WIDTH else "")


def _unsampled(snapshot: Snapshot, width: int) -> str:
    """Return how many network namespaces are not sampled; a long line has the option that samples the busiest."""
    found = snapshot.other_netns
    if found is None or not found.total:
        return ""
    if width < MEDIUM_WIDTH:
        return f" +{found.total:,}"
    if found.unreadable >= found.total or len(snapshot.netns) > 1:
        return f" +{not_watched(found)}"
    if width < LONG_WIDTH:
        return f" +{found.total:,} not sampled"
    option = f": --netns {_short_argument(found.busiest[0])}" if found.busiest else ""
    return f" ({found.total:,} other not sampled{option})"


def not_watched(found: OtherNetns | None) -> str:
    """Return how many namespaces are not sampled, and whether this user could: `3 not readable`."""
    if found is None or not found.total:
        return ""
    return f"{found.total:,} not {'readable' if found.unreadable >= found.total else 'sampled'}"


def _short_argument(member: NetnsMember) -> str:
    """Return what `--netns` takes for this namespace; its pid if a name would push the user out of the line."""
    argument = shlex.quote(netns_argument(member))
    return str(member.pid) if len(argument) > MAX_ARGUMENT and member.pid else argument


def _unread(snapshot: Snapshot, width: int) -> str:
    """Return of how many processes this user may not read the descriptors, and what can: sudo."""
    found = snapshot.processes
    if found is None or not (found.unseen or found.hidden):
        return ""
    if width < MEDIUM_WIDTH:
        return f" +{found.unseen:,}" if found.unseen else " +?"
    what = plural(found.unseen, "process") if found.unseen else "other users"
    return f" ({what} not read{': sudo' * (snapshot.host.uid != 0)})"


def _container(snapshot: Snapshot, width: int) -> list[Text]:
    """Return that the host around a container is not judged: tasks outside, or limits of cgroups above."""
    outer = count_outer_tasks(snapshot)
    if not outer and not (snapshot.cgroups and snapshot.cgroups.hidden):
        return []
    if width < WIDE_WIDTH:
        return [Text("container", "muted")]
    return [Text(f"container: {plural(outer, 'task') + ' of ' if outer else ''}the host not judged", "muted")]


def _stream_parts(snapshot: Snapshot, status: StreamStatus, width: int) -> list[Text]:
    every = f"{snapshot.interval:g} s"
    parts = [_mode(status, every)]
    if status.read_only:
        parts.append(Text("read-only", "accent"))
    if width >= 90:
        parts.append(_dump_age(snapshot))
    if width >= 50:
        # Two digits: the third one would differ at each sample.
        cost = snapshot.cost * 100
        parts.append(Text(f"cost {cost:.{1 if cost < 9.95 else 0}f} %", "muted"))
    return parts


def clock(snapshot: Snapshot | None) -> Text:
    """When the Snapshot was taken, by this machine's own clock face."""
    return Text(time.strftime("%H:%M:%S", time.localtime(snapshot.wall)) if snapshot else "")


def _mode(status: StreamStatus, every: str) -> Text:
    if status.paused:
        return Text(f"{status.title} ‖ paused" if status.live and status.remote else "‖ paused", "sev-warning")
    if not status.live:
        ended = status.lost is not None
        return Text(f"replay {status.title}{' ended' * ended}", "sev-warning" if ended else "accent")
    # The name of another host is always shown, whatever the state of its data: `ssh web-1`.
    remote = f"{status.title} " if status.remote else ""
    if status.lost is not None:
        return Text(f"{remote}lost", "sev-warning")
    if status.interrupted:
        return Text(f"{remote}stale {fmt.age(status.sample_age)}", "sev-warning")
    return Text(f"{status.title} {every}", "sev-ok")


def _dump_age(snapshot: Snapshot) -> Text:
    """Return the age of the oldest part that needs a dump."""
    dumped = [part.at for netns in snapshot.netns for part in (netns.states, netns.ports) if part]
    age = snapshot.at - min(dumped) if dumped else 0.0
    return dump_age(age)


def dump_age(seconds: float) -> Text:
    """Return `dump 10 s old`, or nothing below five seconds; in steps, so that an age alone is rarely drawn."""
    steps = in_steps(seconds)
    return Text(f"dump {fmt.age(steps)} old", "muted") if steps else Text()


def in_steps(age: float) -> float:
    """Return an age rounded down to five seconds."""
    return age // AGE_STEP_SECONDS * AGE_STEP_SECONDS


def banner(snapshot: Snapshot | None, status: StreamStatus) -> str:
    """Return the text of the banner: the stream ended, was interrupted or is late; empty if it is fine."""
    if status.lost is not None and status.live:
        return f"The data ended: {status.lost or 'the source stopped'}. The last sample is shown."
    if status.interrupted:
        start = f"restarting in {math.ceil(status.retry)} s" if status.retry > 0 else "restarting now"
        hint = f" ({status.hint})" if status.hint else ""
        return f"{status.interrupted}: {start}. The data shown is {fmt.age(status.sample_age)} old{hint}."
    if status.lost:
        return status.lost
    interval = snapshot.interval if snapshot else 1.0
    if status.live and status.sample_age > max(STALE_INTERVALS * interval, interval + 2):
        return f"No data for {fmt.age(status.sample_age)}: the data shown is old."
    return status.note and f"{status.title}: {status.note}"
