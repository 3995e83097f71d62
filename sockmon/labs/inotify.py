"""A user at a limit of inotify, whose errors look like those of descriptors and of disks; and containers, which
share the limit of the user who made them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.inotify import Add, add_instance, add_until_refused, watch_adder
from sockmon.sandbox.namespaces import enter_container
from sockmon.sandbox.scenario import Expect, Lab, hit
from sockmon.sandbox.workers import FOREVER

MAX_INSTANCES, MAX_WATCHES = 32, 128


def _add_until(error: str, adder: Callable[[], Add]) -> Iterator[float]:
    """Add instances or watches until the kernel refuses with `error`."""
    _, found = add_until_refused(adder())
    if found != error:
        raise RuntimeError(f"inotify failed with {found}, not with {error}")
    yield FOREVER


def _build_instances(builder: LabBuilder) -> None:
    builder.set_sysctl("user.max_inotify_instances", MAX_INSTANCES)
    builder.start("log-shipper", partial(_add_until, "EMFILE", lambda: add_instance))


def _build_watches(builder: LabBuilder) -> None:
    builder.set_sysctl("user.max_inotify_watches", MAX_WATCHES)
    builder.start("dev-server", partial(_add_until, "ENOSPC", watch_adder))


def _container(instances: int) -> Iterator[float]:
    """Be a container that root made, with so many instances."""
    enter_container()
    for _ in range(instances):
        if add_instance() < 0:
            raise RuntimeError("inotify_init1() was refused before the limit")
    yield FOREVER


def _build_containers(builder: LabBuilder, instances: int) -> None:
    builder.set_sysctl("user.max_inotify_instances", MAX_INSTANCES)
    for name in ("web", "shop"):
        builder.start(name, partial(_container, instances))


INSTANCES = Lab(
    name="inotify-instances",
    ceiling="inotify-instances",
    title="too many open files, with forty open",
    scenario="A log shipper opens an inotify instance for each log, and its user may have 32 of them.",
    what_to_see="inotify instances at 32/32: EMFILE, with fewer than fifty descriptors open",
    claim="EMFILE of inotify_init() is not mistaken for the descriptor limit of the process",
    build=_build_instances,
    expect_first=hit("inotify-instances", r"\(0\)$", MAX_INSTANCES, "sysctl", "user.max_inotify_instances"),
    expect_no_alarm=("process-fds", "inotify-watches", "epoll-watches"),
)

WATCHES = Lab(
    name="inotify-watches",
    ceiling="inotify-watches",
    title="no space left on device, with free space on every disk",
    scenario="A development server watches every directory below /usr, and its user may have 128 watches.",
    what_to_see="inotify watches at 128/128: ENOSPC, although df shows free space",
    claim="ENOSPC of inotify_add_watch() is reported as the watch limit, with the process that holds the watches",
    build=_build_watches,
    expect_first=hit("inotify-watches", r"\(0\)$", MAX_WATCHES, "sysctl", "user.max_inotify_watches"),
    expect_no_alarm=("process-fds", "inotify-instances", "epoll-watches"),
)

CONTAINERS = Lab(
    name="inotify-of-containers",
    ceiling="inotify-instances",
    title="two containers that share the inotify instances of root",
    scenario="Two containers with a user namespace each have 16 inotify instances each; root may have 32.",
    what_to_see="inotify instances of root at 32/32, of which root itself has none",
    claim="what a container has counts for the user who made its user namespace",
    build=partial(_build_containers, instances=MAX_INSTANCES // 2),
    expect_first=hit("inotify-instances", r"\(0\)$", MAX_INSTANCES, "sysctl", "user.max_inotify_instances"),
    expect_no_alarm=("process-fds", "inotify-watches", "epoll-watches", "user-processes"),
)

ROOM = Lab(
    name="inotify-of-containers-room",
    ceiling=None,
    title="two containers with inotify instances to spare",
    scenario="Two containers with a user namespace each have 8 inotify instances each; root may have 32.",
    what_to_see="no alarm: inotify instances of root at 16/32",
    claim="containers that share a limit raise no alarm while it has room",
    build=partial(_build_containers, instances=MAX_INSTANCES // 4),
    expect_first=None,
    expect_also=(
        Expect("inotify-instances", r"\(0\)$", (MAX_INSTANCES // 2,) * 2, (MAX_INSTANCES,) * 2, ("ok",)),
    ),
)
