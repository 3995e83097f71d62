"""What set a limit of a process, and where a change of it lasts, as far as a sample shows it."""

from __future__ import annotations

from collections.abc import Sequence

from sockmon.ceilings.evidence import process_label
from sockmon.guides.facts import Facts
from sockmon.model.limit_origin import LimitOrigin, Resource
from sockmon.model.snapshot import Process
from sockmon.tunables.limit_origin.text import limit_note, to_last_of_cgroup


def process_of(facts: Facts) -> Process | None:
    """Return the process that the reading in focus is about; None if it is about another subject, or gone."""
    processes = facts.snapshot.processes
    rows = processes.rows if processes and facts.focus else ()
    return next((row for row in rows if facts.focus and process_label(row) == facts.focus[1]), None)


def process_with(facts: Facts, pid: int | None) -> Process | None:
    """Return the process `pid`; None if it is gone."""
    processes = facts.snapshot.processes
    return next((row for row in processes.rows if row.pid == pid), None) if processes and pid else None


def origin_of(facts: Facts, process: Process, resource: Resource) -> LimitOrigin | None:
    """Return what set a limit of the process; None if the sample does not have it."""
    wanted = (process.pid, process.start, resource)
    rows = facts.snapshot.limit_origins
    return next((row for row in rows if (row.pid, row.start, row.resource) == wanted), None)


def how_to_persist(facts: Facts, process: Process, resource: Resource, value: str) -> Sequence[str]:
    """Return who set the limit of the process, and what to change so that its next start has `value`."""
    if origin := origin_of(facts, process, resource):
        return limit_note(resource, origin, value)
    show = f"{facts.place.command} tune show {resource}@{process.pid} names what set the limit"
    return (*to_last_of_cgroup(resource, _cgroup_of(facts, process_label(process)), value), show)


def _cgroup_of(facts: Facts, label: str) -> str:
    """Return the deepest cgroup whose largest process is `label`; empty if the sample has none."""
    cgroups = facts.snapshot.cgroups
    if cgroups is None:
        return ""
    named = [(group.path, group.name) for group in cgroups.pids]
    named += [(group.path, group.name) for group in cgroups.memory]
    return max((path for path, name in named if name == label), key=len, default="")
