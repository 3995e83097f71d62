"""Tasks of one real user (RLIMIT_NPROC): a limit that each process has, and all of the user's tasks count for."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, Words, raised, unknown
from sockmon.ceilings.eagain import FAILS, UserTasks, bound_users, other_causes
from sockmon.ceilings.files import subject
from sockmon.model.detail import ProcessFocus
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Snapshot

MOST = 16
"""Users that are measured, the fullest."""
_NEAR = 0.80


def _users(window: Window) -> Iterator[Measure]:
    processes = window.now.processes
    if processes is None:
        yield unknown(window.now.host.name, window.why_missing("processes"))
        return
    bound = bound_users(processes.rows)[:MOST]
    if not bound:
        yield _nobody(window)
    for user in bound:
        yield Measure(
            _subject(user),
            user.tasks,
            user.limit,
            at=processes.at,
            focus=ProcessFocus(user.largest.pid, user.largest.start),
            about=user,
        )


def _nobody(window: Window) -> Measure:
    """What stands for the users where none is bound: none has a limit, or that could not be seen."""
    host, processes = window.now.host.name, window.now.processes
    hidden = _hidden(window)
    if hidden:
        return unknown(host, hidden)
    return Measure(host, None, None, at=processes.at if processes else None)


def _hidden(window: Window) -> str | None:
    """Why the processes of others are not shown, where they are not."""
    reasons = (item.reason for item in window.now.missing if item.reader == "processes")
    return next((reason for reason in reasons if "hidepid" in reason), None)


def _subject(user: UserTasks) -> str:
    return f"{user.user} ({user.uid})"


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _as_of(now: Snapshot) -> object:
    return (now.processes.at, now.missing) if now.processes else object()


def _evidence(window: Window, measure: Measure) -> list[str]:
    user = measure.about
    if not isinstance(user, UserTasks):
        return ["nobody whose processes are seen is bound by RLIMIT_NPROC: root is spared, others have no limit"]
    lines = [
        f"{_count(user.tasks, 'task', 'tasks')} of {user.user}, of all containers together, in"
        f" {_count(user.processes, 'process', 'processes')}; soft RLIMIT_NPROC {user.limit:,} of"
        f" {subject(user.binds)}",
        f"most tasks: {subject(user.largest)} {user.largest.threads:,}",
    ]
    if hidden := _hidden(window):
        lines.append(f"processes that sockmon does not see count too: {hidden}")
    if user.tasks >= user.limit:
        lines.append(f"{FAILS} for this user; root and CAP_SYS_RESOURCE are spared, no counter moves")
    if user.tasks >= _NEAR * user.limit:
        lines += other_causes(window, "user-processes")
    return lines


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    user = measure.about
    if not isinstance(user, UserTasks):
        return []
    wanted = raised(user.limit)
    return [
        Remedy(
            "rlimit",
            "nproc",
            f"{wanted}:{wanted}",
            f"raise the limit of the live process: prlimit --pid {user.binds.pid} --nproc={wanted}:{wanted}"
            " (above its hard limit: needs CAP_SYS_RESOURCE); to last: LimitNPROC= in the service's unit,"
            " limits.conf for logins; kernel.pid_max and TasksMax= would not help",
        ),
        Remedy(
            "application",
            None,
            None,
            f"see whether {subject(user.largest)} needs {user.largest.threads:,} tasks, and give services users of"
            " their own: all with the same uid share this limit",
        ),
    ]


USER_PROCESSES = Ceiling(
    id="user-processes",
    title="tasks of a user",
    unit="tasks",
    scope="user",
    levels=Levels(0.80, 0.95),
    what="at the limit no process of the user can start a process or a thread: fork() fails with EAGAIN",
    measure=_users,
    evidence=_evidence,
    remedies=_remedies,
    as_of=_as_of,
    words=Words(
        counted="Processes and threads of the real user, zombies included, wherever on the host they run:"
        " containers whose services have the same uid share it, and a user namespace counts for the user who"
        " made it. The kernel shows the count nowhere: it is the sum over all processes that /proc shows. The"
        " limit is the soft RLIMIT_NPROC of the process that wants to start something.",
        shows=(
            "fork(), clone() and pthread_create() fail with EAGAIN, for this user only; no counter moves,"
            " nothing is logged",
            "Java says `unable to create native thread`, a shell `fork: retry: Resource temporarily unavailable`",
        ),
        live="prlimit --pid PID --nproc=SOFT:HARD for each process that starts others.",
        lasting="LimitNPROC= in the service's unit; /etc/security/limits.conf for logins.",
        costs="Nothing by itself; it is what keeps one user from taking every id of the host.",
        myths=(
            "It does not count processes of one service: it counts threads of the user.",
            "root is not bound by it, nor is a process with CAP_SYS_RESOURCE or CAP_SYS_ADMIN: a test as root"
            " proves nothing. Root of a user namespace that an ordinary user made is bound.",
            "limits.conf is read at login and is not read for services.",
        ),
        source="kernel/fork.c, copy_process()",
    ),
)
