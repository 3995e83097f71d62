"""A service user whose limit of tasks is met; root would not be bound by it."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from functools import partial

from sockmon.labs.lab import Expect, Lab
from sockmon.labs.loads.pairs import listen
from sockmon.labs.loads.places import WEB
from sockmon.labs.loads.threads import serve_by_threads, until_refused
from sockmon.labs.namespaces import SERVICE
from sockmon.labs.stage import Stage

LIMIT = 200


def _server(listener: socket.socket) -> Iterator[float]:
    resource.setrlimit(resource.RLIMIT_NPROC, (LIMIT, LIMIT))
    become_service()
    yield from serve_by_threads(listener)


def become_service() -> None:
    """Become a user that limits of tasks bind: the host's root is exempt. An ordinary user's root in here is not,
    and has no other user to become."""
    if _mapped(SERVICE):
        os.setgroups([])
        os.setresgid(SERVICE, SERVICE, SERVICE)
        os.setresuid(SERVICE, SERVICE, SERVICE)


def _mapped(uid: int) -> bool:
    with open("/proc/self/uid_map") as lines:
        return any(int(line.split()[0]) == uid for line in lines)


def _build(stage: Stage) -> None:
    with listen(WEB) as listener:
        stage.start("app-server", partial(_server, listener))
    stage.start("clients", partial(until_refused, WEB))


LAB = Lab(
    name="user-processes",
    ceiling="user-processes",
    title="a service user at its task limit",
    does="A service's user may have 200 tasks (ulimit -u), and its server starts a thread for each connection.",
    look="tasks of the user at 200/200: pthread_create() fails, for this user alone",
    proves="tasks are counted by real user against the soft RLIMIT_NPROC of the process that wants more",
    build=_build,
    # Where it runs as the user who looks, the lab's other processes and the look itself count too.
    first=Expect(
        "user-processes", r"\((0|1000)\)$", (LIMIT, LIMIT + 40), (LIMIT, LIMIT), ("hit",), "rlimit", "nproc"
    ),
    never=("pid-max", "cgroup-pids", "memory-maps", "process-fds", "accept-queue"),
    needs=("Linux 5.14",),
)
