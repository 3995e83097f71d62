"""Tasks of one real user in one user namespace (RLIMIT_NPROC): each process has the limit, and all tasks of the
user there count against it, and those in the user namespaces that he created."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import process_label
from sockmon.ceilings.fork_limits import (
    FORK_FAILS,
    NamedTasks,
    UserTasks,
    bound_users,
    creators_without_process,
    most_tasks_line,
    namespace_suffix,
    other_causes,
)
from sockmon.ceilings.measuring import unknown_measure, unread_measure
from sockmon.ceilings.remedies import application, next_limit
from sockmon.format import plural
from sockmon.misconceptions import LIMITS_CONF, NPROC_ROOT, NPROC_SCOPE
from sockmon.model.detail import ProcessQuery
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Process
from sockmon.model.user_namespace import UNREADABLE

MAX_USERS = 16
"""Users that are measured: those closest to their limit."""
_NEAR_LIMIT_RATIO = 0.80


def _users(window: Window) -> Iterator[Measure]:
    processes = window.now.processes
    if processes is None:
        yield unread_measure(window.now.host.name, window.missing("processes"))
        return
    bound = bound_users(window.now)[:MAX_USERS]
    creators = creators_without_process(window.now)
    for (namespace, uid), tasks in creators.items():
        yield unknown_measure(_subject(_name(uid, processes.rows), uid, namespace), _limit_unknown(tasks))
    if not bound and not creators:
        yield Measure(window.now.host.name, None, None, at=processes.at)
    for user in bound:
        subject = _subject(user.user, user.uid, user.namespace)
        if user.namespace == UNREADABLE and user.tasks >= _NEAR_LIMIT_RATIO * user.limit:
            yield unknown_measure(subject, _namespaces_unknown(user))
            continue
        yield Measure(
            subject,
            user.tasks,
            user.limit,
            at=processes.at,
            query=ProcessQuery(user.largest.first.pid, user.largest.first.start),
            payload=user,
        )


def _subject(user: str, uid: int, namespace: int) -> str:
    return f"{user} ({uid}){namespace_suffix(namespace)}"


def _name(uid: int, rows: Iterable[Process]) -> str:
    return next((row.user for row in rows if row.uid == uid), str(uid))


def _limit_unknown(tasks: int) -> str:
    return (
        f"{plural(tasks, 'task')} in user namespaces that the user created; they are held to the limit that the"
        " user had then, which the kernel does not report"
    )


def _namespaces_unknown(user: UserTasks) -> str:
    return (
        f"{plural(user.tasks, 'task')}, limit {user.limit:,} in each user namespace; which namespaces they are in"
        " cannot be read"
    )


def _change_key(window: Window) -> object:
    now = window.now
    return (now.processes.at, now.missing) if now.processes else object()


def _evidence(window: Window, measure: Measure) -> list[str]:
    user = measure.payload
    if not isinstance(user, UserTasks):
        return ["no visible user has an RLIMIT_NPROC that applies: root is exempt, other users have no limit"]
    lines = [
        f"{plural(user.tasks, 'task')} of {user.user} in {plural(user.processes, 'process', 'processes')}, all"
        f" that share the user namespace; soft RLIMIT_NPROC {user.limit:,} of {process_label(user.bound_process)}",
        most_tasks_line([user.largest]),
    ]
    if user.created:
        lines.append(
            f"{user.created:,} of them in user namespaces that this user created: they are also held to the"
            " limit that the user had then, which the kernel does not report"
        )
    if unreadable := _unreadable(window):
        lines.append(f"{plural(unreadable, 'task')} in user namespaces that cannot be read may count too")
    if window.now.processes and window.now.processes.hidden:
        lines.append(f"hidden processes count too: {window.now.processes.hidden}")
    if user.tasks >= user.limit:
        lines.append(f"{FORK_FAILS} for this user; root and CAP_SYS_RESOURCE are exempt, and no counter moves")
    if user.tasks >= _NEAR_LIMIT_RATIO * user.limit:
        lines += other_causes(window, "user-processes")
    return lines


def _unreadable(window: Window) -> int:
    rows = window.now.processes.rows if window.now.processes else ()
    return sum(row.threads for row in rows if row.user_namespace == UNREADABLE)


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    user = measure.payload
    if not isinstance(user, UserTasks):
        return []
    wanted = next_limit(user.limit)
    pid = user.bound_process.pid
    higher = (
        f"raise the limit of the running process: prlimit --pid {pid} --nproc={wanted}:{wanted} (above its hard"
        " limit: requires CAP_SYS_RESOURCE); to persist it, set LimitNPROC= in the service's unit, or limits.conf"
        " for logins; kernel.pid_max and TasksMax= would not help"
    )
    fewer = (
        f"check whether {_too_many(user.largest)}, and give each service a user of its own: all processes with the"
        " same uid in the user namespace share this limit"
    )
    return [Remedy("rlimit", "nproc", f"{wanted}:{wanted}", higher, pid=pid), application(fewer)]


def _too_many(largest: NamedTasks) -> str:
    if largest.processes == 1:
        return f"{largest.label} needs {plural(largest.tasks, 'task')}"
    return f"all {largest.label} are needed"


USER_PROCESSES = Ceiling(
    id="user-processes",
    title="tasks of a user",
    unit="tasks",
    scope="user",
    from_processes=True,
    levels=Levels(0.80, 0.95),
    consequence="at the limit no process of the user can start a process or a thread: fork() fails with EAGAIN",
    measure=_users,
    evidence=_evidence,
    remedies=_remedies,
    change_key=_change_key,
    manual=Manual(
        measurement="The processes and threads of the real user in one user namespace, zombies included."
        " Containers whose services have the same uid share the count if they have no user namespace of their own;"
        " with one each has a count of its own (before Linux 5.14 they share it all the same). All tasks in a user"
        " namespace also count for the user who created it, with the limit that he had then, which the kernel does"
        " not report; those that root created have no such limit. The kernel does not report the counts either:"
        " sockmon adds up all processes in /proc by /proc/PID/ns/user. The limit is the soft RLIMIT_NPROC of the"
        " process that starts another one.",
        symptoms=(
            "fork(), clone() and pthread_create() fail with EAGAIN, for this user only; no counter moves and the"
            " kernel logs nothing",
            "Java reports `unable to create native thread`, a shell reports `fork: retry: Resource temporarily"
            " unavailable`",
        ),
        raise_now="Run prlimit --pid PID --nproc=SOFT:HARD for each process that starts others.",
        persist="Set LimitNPROC= in the service's unit; for login sessions, /etc/security/limits.conf.",
        cost="Nothing by itself; but the limit keeps one user from taking every process id of the host.",
        misconceptions=(NPROC_SCOPE, NPROC_ROOT, LIMITS_CONF),
        source="kernel/fork.c, copy_process(); kernel/ucount.c, is_rlimit_overlimit()",
    ),
)
