"""What this machine has to say about the process that a line of a log names, and about the limit. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon import format as fmt
from sockmon.ceilings.evidence import process_label
from sockmon.ceilings.files import soft_limit
from sockmon.ceilings.maps import MAX_MAP_COUNT
from sockmon.ceilings.measuring import sysctl_number
from sockmon.explain.log_line import LogLine
from sockmon.explain.observation import Observation
from sockmon.model.limit_origin import ConfiguredLimits
from sockmon.model.snapshot import Process, ProcessMaps
from sockmon.tunables.limit_origin.text import limit_note

MAX_LISTED = 4
"""Processes of one name that are listed."""
FULL = 0.95
"""Share of its limit from which on a process is at it: it may have closed some since."""

Found = tuple[frozenset[str], tuple[str, ...]]
"""The keys of the causes that it proves, and paragraphs."""


def process_evidence(line: LogLine, now: Observation, symptom: str) -> Found:
    """Return how near the process that `line` names is to the limit that `symptom` is about."""
    files = now.snapshot.files if now.snapshot else None
    if symptom == "EMFILE":
        nr_open = files.nr_open if files else None
        rows = list(_processes(line, now))
        keys, text = _use("fds", "descriptors", [(row, row.fds, soft_limit(row, nr_open)) for row in rows])
        return keys, (*text, *_origins(rows, now))
    if symptom == "ENOMEM":
        limit = sysctl_number(now.snapshot.sysctls, MAX_MAP_COUNT) if now.snapshot else None
        return _use("maps", "memory maps", [(row, row.maps, limit) for row in _maps(line, now)])
    if symptom == "EPERM" and line.names_limits_conf and files:
        return frozenset(), _limits_conf(files.nr_open, now.configured_limits)
    return frozenset(), ()


def _limits_conf(nr_open: int, configured: ConfiguredLimits | None) -> tuple[str, ...]:
    """Return which lines of limits.conf ask for more than the kernel allows, and what pam_limits does then."""
    most = f"fs.nr_open is {nr_open:,} here, and the kernel refuses a higher hard limit of nofile"
    if configured is None:
        return (f"{most}.",)
    rows = [f"{row.at} ({row.text})" for row in configured.rows if row.kind == "login" and row.hard > nr_open]
    unread = [f"{fmt.first_names(list(configured.unread))}: it may ask for more."] if configured.unread else []
    if not rows:
        why = "the line was changed since, or the login has no CAP_SYS_RESOURCE, as in a container"
        return (f"{most}; no line of limits.conf that could be read asks for more: {why}.", *unread)
    then = "the session ends" if configured.refuses_login else "the session keeps the limits that it had before"
    asks = "asks" if len(rows) == 1 else "ask"
    return (f"{most}: {fmt.first_names(rows)} {asks} for more, and {then}.", *unread)


def _origins(rows: list[Process], now: Observation) -> Iterator[str]:
    """Yield who set the limits of the first of these processes that is near it, and what to change to last."""
    pids = {row.pid: row.start for row in rows}
    for origin in now.snapshot.limit_origins if now.snapshot else ():
        if origin.resource == "nofile" and pids.get(origin.pid) == origin.start:
            yield from limit_note("nofile", origin)
            return


def _use(key: str, unit: str, rows: list[tuple[Process | ProcessMaps, int | None, int | None]]) -> Found:
    known = [(row, used, limit) for row, used, limit in rows if used is not None and limit]
    full = any(used >= FULL * limit for _, used, limit in known)
    text = tuple(f"{process_label(row)} has {used:,} of {limit:,} {unit} now." for row, used, limit in known)
    if len(text) > MAX_LISTED:
        text = (*text[:MAX_LISTED], f"And {fmt.plural(len(text) - MAX_LISTED, 'process')} more of that name.")
    if known and not full:
        text = (*text, f"That is below the limit: either it had more {unit} then, or another cause applies.")
    return (frozenset((key,)) if full else frozenset()), text


def _processes(line: LogLine, now: Observation) -> Iterator[Process]:
    processes = now.snapshot.processes if now.snapshot else None
    rows = processes.rows if processes else ()
    pids = {row.pid for row in rows}
    return (row for row in rows if line.is_from(row.name, row.pid, pids))


def _maps(line: LogLine, now: Observation) -> Iterator[ProcessMaps]:
    rows = now.snapshot.maps.rows if now.snapshot and now.snapshot.maps else ()
    pids = {row.pid for row in _processes(line, now)}
    return (row for row in rows if row.pid in pids)
