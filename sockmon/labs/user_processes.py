"""A service user at its task limit, which does not apply to root, and containers with the same user: each user
namespace has a count of its own, and counts for the user who created it too."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.port_numbers import WEB
from sockmon.sandbox.loads.threads import STACK_BYTES, connect_until_refused, serve_with_threads
from sockmon.sandbox.namespaces import become_service_user, enter_container
from sockmon.sandbox.scenario import Expect, Lab
from sockmon.sandbox.sockets import listen
from sockmon.sandbox.workers import FOREVER

LIMIT = 200
CONTAINER_LIMIT, CONTAINER_TASKS = 120, 90


def _server(listener: socket.socket) -> Iterator[float]:
    resource.setrlimit(resource.RLIMIT_NPROC, (LIMIT, LIMIT))
    become_service_user()
    yield from serve_with_threads(listener)


def _build(builder: LabBuilder) -> None:
    with listen(WEB) as listener:
        builder.start("app-server", partial(_server, listener))
    builder.start("clients", partial(connect_until_refused, WEB))


LAB = Lab(
    name="user-processes",
    ceiling="user-processes",
    title="a service user at its task limit",
    scenario="A service user may have 200 tasks (ulimit -u), and its server starts one thread per connection.",
    what_to_see="tasks of the user at 200/200; pthread_create() fails for this user only",
    claim="tasks are counted per real user, against the soft RLIMIT_NPROC of the process that starts another",
    build=_build,
    # If the lab runs as the caller, its other processes and sockmon itself count too.
    expect_first=Expect(
        "user-processes", r"\((0|1000)\)$", (LIMIT, LIMIT + 40), (LIMIT, LIMIT), ("hit",), "rlimit", "nproc"
    ),
    expect_no_alarm=("pid-max", "cgroup-pids", "memory-maps", "process-fds", "accept-queue"),
    needs=("Linux 5.14",),
)


def _start_threads(most: int) -> int:
    """Start threads up to `most` tasks of this process, or until the kernel refuses; return how many it has."""
    threading.stack_size(STACK_BYTES)
    for tasks in range(1, most):
        try:
            threading.Thread(target=time.sleep, args=(FOREVER,), daemon=True).start()
        except RuntimeError:
            return tasks
    return most


def _container() -> Iterator[float]:
    """Be a container that root made: root inside is the same user as in every other one."""
    enter_container()
    resource.setrlimit(resource.RLIMIT_NPROC, (CONTAINER_LIMIT, CONTAINER_LIMIT))
    if (tasks := _start_threads(CONTAINER_TASKS)) != CONTAINER_TASKS:
        raise RuntimeError(f"only {tasks} tasks of {CONTAINER_TASKS} could be started")
    yield FOREVER


def _build_containers(builder: LabBuilder) -> None:
    builder.start("web", _container)
    builder.start("shop", _container)


CONTAINERS = Lab(
    name="user-processes-of-containers",
    ceiling=None,
    title="two containers with the same user, each below its limit",
    scenario="Two containers have the same user and a user namespace each, with 90 of 120 tasks each.",
    what_to_see="no alarm: 90 of 120 tasks in each user namespace, not 180 of 120",
    claim="tasks are counted for each user in each user namespace, as the kernel counts them",
    build=_build_containers,
    expect_first=None,
    expect_also=(
        Expect("user-processes", r" user:\[\d+\]$", (CONTAINER_TASKS,) * 2, (CONTAINER_LIMIT,) * 2, ("ok",)),
    ),
    needs=("Linux 5.14",),
)


def _engine() -> Iterator[float]:
    """Be the process of a container engine that stays outside of the container."""
    _limit_creator()
    yield FOREVER


def _rootless_container() -> Iterator[float]:
    """Start tasks in a user namespace that the service user made, beyond the limit that he had when he made it."""
    _limit_creator()
    enter_container()
    resource.setrlimit(resource.RLIMIT_NPROC, (2 * LIMIT, 2 * LIMIT))
    if (tasks := _start_threads(2 * LIMIT)) == 2 * LIMIT:
        raise RuntimeError(f"the kernel refused none of {tasks} tasks")
    yield FOREVER


def _limit_creator() -> None:
    resource.setrlimit(resource.RLIMIT_NPROC, (LIMIT, 2 * LIMIT))
    become_service_user()


def _build_rootless(builder: LabBuilder) -> None:
    builder.start("engine", _engine)
    builder.wait()
    builder.start("app-server", _rootless_container)


ROOTLESS = Lab(
    name="user-processes-rootless",
    ceiling="user-processes",
    title="a rootless container at the limit of the user who made it",
    scenario="A user who may have 200 tasks made a user namespace; a server there has raised its limit to 400.",
    what_to_see="tasks of the user outside at 200/200, with one process of his outside",
    claim="tasks in a user namespace are charged to the user who created it, with the limit that he had then",
    build=_build_rootless,
    expect_first=Expect(
        "user-processes", r"\((0|1000)\)$", (LIMIT, LIMIT + 40), (LIMIT, LIMIT), ("hit",), "rlimit", "nproc"
    ),
    needs=("Linux 5.14",),
)
