"""The first remedy of an explanation: that of the first alarm that can be about the line of a log. Pure."""

from __future__ import annotations

from collections.abc import Collection

from sockmon.explain.log_line import LogLine
from sockmon.explain.observation import Observation
from sockmon.model.detail import GroupQuery, ListenerQuery, ProcessQuery
from sockmon.model.report import Reading
from sockmon.model.snapshot import Listener
from sockmon.tuning.planning.advice import remedy_text


def first_remedy(ids: Collection[str], now: Observation, line: LogLine | None = None) -> str:
    """Return the first remedy of the first of these ceilings that raises an alarm, causes before symptoms; empty
    if none does, or if the alarm is about another program, port or path than `line` names."""
    for row in now.alarms:
        if row.ceiling in ids and (line is None or _may_be_about(row, line, now)):
            return remedy_text(row.remedies[0]) if row.remedies else ""
    return ""


def _may_be_about(row: Reading, line: LogLine, now: Observation) -> bool:
    query = now.queries.get(row.key)
    if isinstance(query, GroupQuery):
        return line.port in (None, query.port)
    if isinstance(query, ListenerQuery):
        return _is_named(_listener(query.inode, now), line, now)
    if row.ceiling == "cgroup-pids" and line.cgroup:
        return row.subject == line.cgroup or line.cgroup.startswith(f"{row.subject}/")
    if isinstance(query, ProcessQuery) and row.scope == "user":
        return _is_of_a_named_user(query.pid, line, now)
    if not isinstance(query, ProcessQuery) or row.scope != "process":
        return True
    names = _names(now)
    return not _names_process(line, names) or line.is_from(names.get(query.pid, ""), query.pid, names)


def _is_of_a_named_user(pid: int, line: LogLine, now: Observation) -> bool:
    """Return whether the user of the process `pid` has a process that the line names, or the line names none."""
    processes = now.snapshot.processes if now.snapshot else None
    rows, names = processes.rows if processes else (), _names(now)
    users = {row.uid for row in rows if line.is_from(row.name, row.pid, names)}
    return not users or pid not in names or any(row.pid == pid and row.uid in users for row in rows)


def _is_named(listener: Listener | None, line: LogLine, now: Observation) -> bool:
    if listener is None:
        return True
    if line.path or line.port:
        return listener.address == line.path if line.path else listener.port == line.port
    owner, names = listener.owner, _names(now)
    return owner is None or not _names_process(line, names) or line.is_from(owner.name, owner.pid, names)


def _listener(inode: int, now: Observation) -> Listener | None:
    rows = (now.snapshot.netns[0].listeners if now.snapshot else None) or ()
    return next((row for row in rows if row.inode == inode), None)


def _names(now: Observation) -> dict[int, str]:
    processes = now.snapshot.processes if now.snapshot else None
    return {row.pid: row.name for row in processes.rows} if processes else {}


def _names_process(line: LogLine, names: dict[int, str]) -> bool:
    """Return whether the line names a process: a word at its start can be a function as well."""
    return line.pid is not None or line.program in names.values()
