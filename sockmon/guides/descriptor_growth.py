"""Whether a process opens descriptors and never closes them: which kind grows, and what that points to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sockmon import format as fmt
from sockmon.assess.counters import counters_of
from sockmon.ceilings.evidence import process_label
from sockmon.ceilings.queues import PASSIVE_OPENS
from sockmon.document import sentence
from sockmon.guides.facts import Facts
from sockmon.guides.findings import contradicted, supported, undecided
from sockmon.guides.guide import Finding
from sockmon.guides.started_by import process_of
from sockmon.model.snapshot import Process, Snapshot

OBSERVED_SECONDS = 10.0
"""Time of sampling after which what grows counts as a leak: a request that opens a file closes it sooner."""
LEAST = 5
"""Descriptors more that chance does not explain."""
SOCKET = "socket"
ACTIVE_OPENS = "Tcp.ActiveOpens"
_NAMES = {
    "device": "device file",
    "eventpoll": "epoll set",
    "inotify": "inotify instance",
    "fanotify": "fanotify group",
    "memfd": "memory file",
    "io_uring": "io_uring instance",
}
"""Kinds that have another name than the one of `Process.kinds`."""
_CAUSES = {
    "file": "it opens files and does not close them: the paths in /proc/PID/fd show which",
    "device": "it opens devices and does not close them: the paths in /proc/PID/fd show which",
    "pipe": "it starts programs, or event loops, and does not close their pipes",
    "eventfd": "it creates event loops, thread pools or clients for each request and does not close them",
    "eventpoll": "it creates event loops for each request and does not close them",
    "inotify": "it creates a watcher for each file or request and does not close it",
    "timerfd": "it creates timers and does not close them",
    "pidfd": "it starts programs and does not close their pidfds",
}


class Growth(NamedTuple):
    """What has grown since the walk began."""

    kind: str
    """The kind that has grown most."""
    by: int
    """By how many."""
    seconds: float

    @property
    def text(self) -> str:
        """Return `560 more pipes in 8 s`."""
        return f"{fmt.plural(self.by, f'more {_NAMES.get(self.kind, self.kind)}')} in {fmt.duration(self.seconds)}"


def growth_of(facts: Facts) -> Growth | None:
    """Return which kind of descriptors of the process in focus has grown most; None if none has, or if what they
    refer to was not read twice."""
    now = process_of(facts)
    before = _same(facts.first, now) if facts.first and now else None
    if now is None or before is None or facts.first is None or not (now.kinds and before.kinds):
        return None
    grown = Counter(dict(now.kinds))
    grown.subtract(dict(before.kinds))
    kind, count = grown.most_common(1)[0]
    seconds = facts.snapshot.at - facts.first.at
    return Growth(kind, count, seconds) if count >= LEAST and seconds > 0 else None


def leaks(facts: Facts) -> Finding:
    """Return whether the process in focus opens descriptors of one kind and does not close them."""
    process, row = process_of(facts), facts.reading
    if process is None or row is None:
        return undecided("the process is not in this sample")
    numbers = _composition(process)
    if row.used is not None and row.limit is not None and row.used >= row.limit:
        return Finding("undecided", "it is at its limit, so that it cannot grow", tuple(numbers))
    seconds = facts.snapshot.at - facts.first.at if facts.first else 0.0
    if facts.place.source != "recording" and seconds < OBSERVED_SECONDS:
        return undecided("a few seconds do not show what grows", wait=OBSERVED_SECONDS - seconds)
    growth, rate = growth_of(facts), facts.gauge.rate if facts.gauge else None
    if not process.kinds:
        return undecided("what its descriptors refer to was not read")
    if growth is None or not rate or rate <= 0:
        return contradicted("the number of its descriptors does not grow now", numbers)
    if growth.kind == SOCKET:
        return contradicted(f"its connections grow: {growth.text}", [*_opened(facts, growth), *numbers])
    return supported(f"{growth.text}, and none is closed for them", row, numbers=numbers)


def leak_advice(facts: Facts) -> Sequence[str]:
    """Return what grows, what that points to, and how to find it."""
    process, growth, gauge = process_of(facts), growth_of(facts), facts.gauge
    if process is None or growth is None:
        return ["A higher limit only delays the failure: close what is opened."]
    name, left = process_label(process), gauge.eta_seconds if gauge else None
    cause = _CAUSES.get(growth.kind, "it opens them and does not close them")
    until = f"{fmt.duration(left)} are left until it reaches its limit: restart it before" if left else ""
    return [
        f"{name}: {growth.text}. A higher limit only delays the failure.",
        sentence(cause.replace("PID", str(process.pid))),
        f"`ls -l /proc/{process.pid}/fd` as root lists them; two lists, a minute apart, show what stays.",
        *([sentence(until)] if until else []),
    ]


def still_grows(facts: Facts) -> list[str]:
    """Return that the descriptors grow after a change as well; empty if they do not."""
    process, growth, gauge = process_of(facts), growth_of(facts), facts.gauge
    if process is None or growth is None or gauge is None or not gauge.rate or gauge.rate <= 0:
        return []
    left = f", and reaches the limit in {fmt.duration(gauge.eta_seconds)}" if gauge.eta_seconds else ""
    return [f"{process_label(process)} grows on{left}: {growth.text}. If that does not end, it is a leak."]


def _same(snapshot: Snapshot, process: Process) -> Process | None:
    rows = snapshot.processes.rows if snapshot.processes else ()
    return next((row for row in rows if (row.pid, row.start) == (process.pid, process.start)), None)


def _composition(process: Process) -> list[str]:
    """Return `descriptors of api[7]: 960 pipes, 12 sockets`."""
    named = ", ".join(fmt.plural(count, _NAMES.get(kind, kind)) for kind, count in process.kinds[:4])
    return [f"descriptors of {process_label(process)}: {named}"] if named else []


def _opened(facts: Facts, growth: Growth) -> list[str]:
    """Return how many connections were opened meanwhile: as many as it has more, if none was closed."""
    before, now = counters_of(facts.first) if facts.first else {}, counters_of(facts.snapshot)
    opened = sum(
        now[name] - before[name] for name in (PASSIVE_OPENS, ACTIVE_OPENS) if name in before and name in now
    )
    if opened <= 0:
        return []
    closed = max(0, opened - growth.by)
    lines = [f"{opened:,} connections were opened in this namespace, and about {closed:,} of them closed"]
    return lines if closed else [*lines, "either the clients stay, or it never closes their connections"]
