"""The program that will hold the connections: the one that does so now, or that listens for them."""

from __future__ import annotations

from sockmon.guides.facts import Facts
from sockmon.guides.launch.shape import Model, Role, Shape
from sockmon.model.snapshot import Owner, Process

_PRIVATE = ("sockmon",)
_THREAD_SHARE = 0.5
"""Threads for each socket from which on a program seems to have a thread for each connection."""
_FEW = 10


def program_of(facts: Facts, role: Role) -> Process | None:
    """Return the process with the most sockets among those that listen, or for a client among those that connect;
    None if none is known."""
    owners = _clients(facts) if role == "client" else _listening(facts)
    rows = facts.snapshot.processes.rows if facts.snapshot.processes else ()
    found = [row for row in rows if row.pid in {owner.pid for owner in owners} and row.name not in _PRIVATE]
    return max(found, key=lambda row: (row.sockets or 0, row.fds or 0), default=None)


def shape_of(facts: Facts) -> Shape | None:
    """Return the shape of what runs here now; None if nothing listens or connects."""
    server, client = program_of(facts, "server"), program_of(facts, "client")
    process = server or client
    if process is None:
        return None
    role: Role = "client"
    if server:
        role = "proxy" if server.pid in {owner.pid for owner in _clients(facts)} else "server"
    return Shape(role, _model(process))


def _model(process: Process) -> Model:
    sockets = process.sockets or 0
    threaded = process.threads >= _FEW and process.threads >= _THREAD_SHARE * sockets
    return "threads" if threaded and sockets >= _FEW else "epoll"


def _listening(facts: Facts) -> list[Owner]:
    rows = [row for row in facts.netns.listeners or () if row.protocol == "tcp"]
    return [owner for row in rows for owner in (*((row.owner,) if row.owner else ()), *row.accepting)]


def _clients(facts: Facts) -> list[Owner]:
    groups = facts.netns.ports.groups if facts.netns.ports else ()
    return [owner for group in groups for owner in group.owners]
