"""EAGAIN of fork() and pthread_create(): five limits fail alike, and the cure is often fewer threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sockmon.ceilings.evidence import process_label
from sockmon.document import sentence
from sockmon.format import plural
from sockmon.guides.ends import BY_ID, DO_NOT_TUNE, NOT_HERE, OTHER_LIMIT, RUN_COMMANDS, verified_and
from sockmon.guides.examples import FEWER_THREADS, MORE_TASKS
from sockmon.guides.facts import Facts
from sockmon.guides.findings import (
    advised_settings,
    advises,
    another_alarm_or_unread,
    application_advice,
    contradicted,
    left_limit,
    most_urgent,
    not_read,
    undecided,
    where_to_run,
)
from sockmon.guides.guide import Act, Branch, Decide, End, Finding, Guide, Observe, Verify
from sockmon.guides.started_by import how_to_persist, process_of, process_with
from sockmon.misconceptions import LIMITS_CONF, NPROC_ROOT, NPROC_SCOPE, PID_NAMESPACE, STACK_MEMORY, THREADS_32K
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Process
from sockmon.tunables.limit_origin.cgroup_text import cgroup_lines

OWN = ("memory-maps", "cgroup-pids", "user-processes", "pid-max", "threads-max")
MAPS, PIDS, TASKS = "vm.max_map_count", "kernel.pid_max", "kernel.threads-max"
THREAD_SHARE = 0.5
"""Share of the limit that the threads of one process must take until they count as its cause, and share of these
threads for which it must have a socket until it counts as a server with a thread for each connection."""


def _threads(facts: Facts) -> Finding:
    """Return whether one process has most of what is used up, and whether it has a thread for each connection."""
    row, process = facts.reading, _largest(facts)
    if row is None or process is None or not row.used:
        return undecided("the process with the most threads is not known")
    used = row.used // 2 if row.ceiling == "memory-maps" else row.used
    sockets = "" if process.sockets is None else f" and {plural(process.sockets, 'socket')}"
    text = f"{process_label(process)} has {plural(process.threads, 'thread')}{sockets}"
    if process.threads < THREAD_SHARE * used:
        return contradicted(f"{text}, less than half of what is in use")
    if process.sockets is not None and process.sockets >= THREAD_SHARE * process.threads:
        return Finding("supports", f"{text}: a thread for each connection, which a pool or an event loop replaces")
    return Finding("supports", f"{text}: check whether it ends the threads that it starts")


def _largest(facts: Facts) -> Process | None:
    """Return the process in focus, or the one with the most threads of those that the reading may be about."""
    if (process := process_of(facts)) is not None:
        return process
    rows = facts.snapshot.processes.rows if facts.snapshot.processes else ()
    if facts.reading and facts.reading.ceiling == "user-processes":
        limited = _limited(facts)
        rows = tuple(row for row in rows if limited and row.uid == limited.uid)
    return max(rows, key=lambda row: row.threads, default=None)


def _limited(facts: Facts) -> Process | None:
    """Return the process whose RLIMIT_NPROC the reading advises to raise."""
    remedies = facts.reading.remedies if facts.reading else ()
    return process_with(facts, next((each.pid for each in remedies if each.key == "nproc"), None))


def _more_maps(facts: Facts) -> Finding:
    """Return whether a higher vm.max_map_count is the first remedy: from a million on it is not."""
    first = facts.reading.remedies[0] if facts.reading and facts.reading.remedies else None
    if first and first.kind == "application":
        return contradicted(first.text)
    return advises(MAPS)(facts)


def _pids_max(facts: Facts) -> Remedy | None:
    remedies = facts.reading.remedies if facts.reading else ()
    return next((each for each in remedies if each.kind == "cgroup" and each.key == "pids.max"), None)


def _cgroup_commands(facts: Facts) -> list[str]:
    """Return how to raise pids.max of the cgroup in focus so that it lasts."""
    remedy = _pids_max(facts)
    if remedy is None or facts.reading is None:
        return []
    return list(cgroup_lines("pids.max", facts.reading.subject, remedy.value or ""))


def _cgroup_advice(facts: Facts) -> Sequence[str]:
    return [*_cgroup_commands(facts), *application_advice(facts)]


def _user_advice(facts: Facts) -> Sequence[str]:
    return [*_lasting(facts), *application_advice(facts)]


def _lasting(facts: Facts) -> Sequence[str]:
    """Return where RLIMIT_NPROC of the process is set so that its next start has it too."""
    process, wanted = _limited(facts), advised_settings("nproc")(facts)
    if process is None or process.nproc is None:
        return []
    value = wanted[0].value.partition(":")[0] if wanted else str(process.nproc)
    return how_to_persist(facts, process, "nproc", value)


def _run_commands(facts: Facts) -> Sequence[str]:
    return [*BY_ID[RUN_COMMANDS].text(facts), *map(sentence, _cgroup_commands(facts))]


def _others(facts: Facts) -> Finding:
    """Return whether another limit is reached. kernel.pid_max of the host is never visible in a pid namespace, so
    it does not make this undecided; the end names it."""
    tasks = facts.snapshot.tasks
    hidden = tasks is not None and not tasks.initial
    return another_alarm_or_unread(*(name for name in OWN if not (hidden and name == "pid-max")))(facts)


def _not_here(facts: Facts) -> list[str]:
    return [
        f"The symptom is not on {facts.snapshot.host.name} now: what was read of maps, cgroups, users, process ids"
        " and tasks has room.",
        "fork() that fails with ENOMEM (12) is another limit: memory, that of the cgroup, or CommitLimit of"
        " /proc/meminfo if vm.overcommit_memory is 2. A thread also needs address space: ulimit -v.",
        *map(sentence, not_read(facts)),
        "Run it again while the symptom is there; for a container on the host too, whose limits it shares.",
    ]


GUIDE = Guide(
    name="cannot-fork",
    title="Cannot start a process or thread",
    symptom="fork(), clone() or pthread_create() fails with EAGAIN (11), `resource temporarily unavailable`; Java:"
    " `unable to create native thread`",
    brief="fork(), pthread_create(): EAGAIN (11)",
    ceilings=OWN,
    lab="pid-max",
    steps=(
        Observe(
            id="maps",
            title="Memory maps of a process",
            hypothesis="a process has used up its memory maps: no thread starts, but fork() works",
            evidence=most_urgent("memory-maps"),
            supports="threads",
            contradicts="cgroup",
            undecided="cgroup",
            misconceptions=(THREADS_32K,),
        ),
        Observe(
            id="cgroup",
            title="Tasks of a cgroup",
            hypothesis="a unit or container has reached pids.max (TasksMax=)",
            evidence=most_urgent("cgroup-pids"),
            supports="threads",
            contradicts="user",
            undecided="user",
        ),
        Observe(
            id="user",
            title="Tasks of a user",
            hypothesis="all tasks of a user in his user namespace have reached RLIMIT_NPROC (ulimit -u)",
            evidence=most_urgent("user-processes"),
            supports="threads",
            contradicts="host",
            undecided="host",
            misconceptions=(NPROC_SCOPE, NPROC_ROOT),
        ),
        Observe(
            id="host",
            title="Tasks of the host",
            hypothesis=f"all tasks together have reached {PIDS} or {TASKS}",
            evidence=most_urgent("pid-max", "threads-max"),
            supports="threads",
            contradicts="others",
            undecided="others",
            misconceptions=(PID_NAMESPACE,),
        ),
        Observe(
            id="others",
            title="Other limits",
            hypothesis="another limit is reached",
            evidence=_others,
            supports=OTHER_LIMIT,
            contradicts=NOT_HERE,
        ),
        Observe(
            id="threads",
            title="Threads of one process",
            hypothesis="the threads of one process use it up",
            evidence=_threads,
            supports="remedy",
            contradicts="remedy",
            undecided="remedy",
            misconceptions=(STACK_MEMORY,),
        ),
        Decide(
            id="remedy",
            title="The remedy",
            question="Does the program need so many threads or maps, and which limit is to be raised?",
            branches=(
                Branch("raise-maps", f"raise {MAPS}", _more_maps),
                Branch("by-hand", "raise pids.max of the cgroup", advises("pids.max")),
                Branch("raise-user", "raise RLIMIT_NPROC", advises("nproc")),
                Branch("raise-host", f"raise {PIDS} or {TASKS.removeprefix('kernel.')}", advises(PIDS, TASKS)),
            ),
            otherwise=DO_NOT_TUNE,
        ),
        Act(
            id="raise-maps",
            title=f"Raise {MAPS}",
            settings=advised_settings(MAPS),
            advice=application_advice,
            examples=FEWER_THREADS,
            done="room",
        ),
        Act(
            id="by-hand",
            title="Raise pids.max of the cgroup",
            settings=advised_settings("pids.max"),
            advice=_cgroup_advice,
            examples=(*MORE_TASKS, *FEWER_THREADS),
            done="room",
        ),
        Act(
            id="raise-user",
            title="Raise RLIMIT_NPROC",
            settings=advised_settings("nproc"),
            advice=_user_advice,
            examples=(*MORE_TASKS, *FEWER_THREADS),
            done="room",
            misconceptions=(LIMITS_CONF,),
        ),
        Act(
            id="raise-host",
            title="Raise the limits of the host",
            settings=advised_settings(PIDS, TASKS),
            advice=application_advice,
            examples=FEWER_THREADS,
            done="room",
        ),
        Verify(
            id="room",
            title="Room for new tasks",
            claim="the limit is not reached any more",
            evidence=left_limit,
            hold=8,
            within=60,
        ),
        verified_and(_lasting),
        replace(BY_ID[RUN_COMMANDS], text=_run_commands),
        replace(BY_ID[DO_NOT_TUNE], title="Do not tune: use fewer threads", examples=FEWER_THREADS),
        End(NOT_HERE, "The symptom is not here", "not-here", _not_here, commands=where_to_run),
    ),
)
