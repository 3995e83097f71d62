"""Which software the process in focus runs, and which examples are for it: a step has room for few of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sockmon.ceilings.evidence import process_label
from sockmon.ceilings.ports import group_label
from sockmon.ceilings.queues import listener_label
from sockmon.ceilings.unix_dgram import queue_label
from sockmon.guides.facts import Facts
from sockmon.guides.guide import Act, End, Example, Step
from sockmon.model.snapshot import Owner, Process

_PROGRAMS = (
    ("nginx", r"nginx|openresty"),
    ("HAProxy", r"haproxy"),
    ("Envoy", r"envoy"),
    ("Java", r"java"),
    ("Node", r"node|nodejs"),
    ("Python", r"python[\d.]*|pypy[\d.]*|gunicorn|uwsgi|uvicorn|celery"),
    ("PostgreSQL", r"postgres|postmaster|pgbouncer"),
    ("rsyslog", r"rsyslogd"),
    ("systemd", r"systemd-.*"),
    ("Unbound", r"unbound"),
)
"""Software as examples name it, and the names of its programs. A program in Go or C has a name of its own."""


class Examples(NamedTuple):
    """The examples of a step."""

    fitting: tuple[Example, ...]
    """Those for the software of the process in focus."""
    others: tuple[Example, ...]

    @property
    def names_of_others(self) -> str:
        """Return `nginx, HAProxy, Envoy`."""
        return ", ".join(dict.fromkeys(each.software for each in self.others))


def examples_of(step: Step, facts: Facts) -> Examples:
    """Return the examples of a step: of the software that the process in focus runs, and the others."""
    found = step.examples if isinstance(step, (Act, End)) else ()
    owner = _owner(facts)
    software = software_of(owner) if owner else ""
    fitting = tuple(each for each in found if each.software == software)
    return Examples(fitting, tuple(each for each in found if each not in fitting))


def software_of(process: Process) -> str:
    """Return the software of a process, as examples name it; empty if the name of its program does not tell."""
    program = (process.command.split() or [""])[0].rpartition("/")[2].rstrip(":")
    for software, named in _PROGRAMS:
        if re.fullmatch(named, process.name) or re.fullmatch(named, program):
            return software
    return ""


def _owner(facts: Facts) -> Process | None:
    """Return the process that the reading in focus is about, or the one that owns its sockets; None if it is not
    known."""
    rows = facts.snapshot.processes.rows if facts.snapshot.processes else ()
    subject = facts.focus[1] if facts.focus else ""
    named = next((row for row in rows if subject and process_label(row) == subject), None)
    by_pid = {row.pid: row for row in rows}
    return named or next((by_pid[pid] for pid in _pids(facts, subject) if pid in by_pid), None)


def _pids(facts: Facts, subject: str) -> Iterator[int]:
    """Yield the processes of the listener, the ports or the queue in focus, then those that its remedies name."""
    for listener in facts.netns.listeners or ():
        if listener_label(listener) == subject:
            yield from _of(listener.accepting or [listener.owner])
    for group in facts.netns.ports.groups if facts.netns.ports else ():
        if group_label(group) == subject:
            yield from _of(group.owners)
    for queue in facts.netns.datagrams or ():
        if queue_label(queue) == subject:
            yield from _of([queue.owner])
    for remedy in facts.reading.remedies if facts.reading else ():
        if remedy.pid is not None:
            yield remedy.pid


def _of(owners: Iterable[Owner | None]) -> Iterator[int]:
    return (owner.pid for owner in owners if owner)
