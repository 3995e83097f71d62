"""A process and a user at RLIMIT_MEMLOCK, and both with half of it."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable, Iterator
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.locked import add_ring, lock, require_io_uring
from sockmon.sandbox.namespaces import become_service_user
from sockmon.sandbox.scenario import Expect, Lab, hit
from sockmon.sandbox.workers import FOREVER

LIMIT = 2 << 20
ENTRIES, RING_BYTES = 256, 28 << 10
"""A ring with so many entries has seven pages of 4 kB."""
FEW_RINGS = 4


def _add_forever(add: Callable[[], object]) -> Iterator[float]:
    """Add until the kernel refuses, keep what was added, and try again and again."""
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (LIMIT, LIMIT))
    held: list[object] = []
    while True:
        try:
            while True:
                held.append(add())
        except OSError as error:
            if error.errno != errno.ENOMEM:
                raise
        # The kernel frees a ring some time after it was closed.
        yield 0.1


def _proxy() -> Iterator[float]:
    # A user of its own, if there is one: all rings of the user count, those of other labs too.
    become_service_user()
    yield from _add_forever(partial(add_ring, ENTRIES))


def _half() -> Iterator[float]:
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (LIMIT, LIMIT))
    held = lock(LIMIT // 2)
    for _ in range(FEW_RINGS):
        add_ring(1)
    yield FOREVER
    held.close()


def _build_locked(builder: LabBuilder) -> None:
    builder.start("vault", partial(_add_forever, partial(lock, 64 << 10)))


def _build_rings(builder: LabBuilder) -> None:
    require_io_uring()
    builder.start("proxy", _proxy)


def _build_half(builder: LabBuilder) -> None:
    require_io_uring()
    builder.start("storage", _half)


LOCKED = Lab(
    name="memlock",
    ceiling="memlock",
    title="cannot allocate memory, with memory free",
    scenario="A program for secrets locks what it keeps in memory, and may lock 2 MiB.",
    what_to_see="locked memory of vault at 2 MiB of 2 MiB: mlock() fails with ENOMEM",
    claim="ENOMEM of mlock() is reported as RLIMIT_MEMLOCK of the process, not as a lack of memory",
    build=_build_locked,
    expect_first=hit("memlock", r"^vault\[\d+\]$", LIMIT, "rlimit", "memlock"),
    expect_no_alarm=("memory-maps", "cgroup-memory", "process-fds"),
)

RINGS = Lab(
    name="memlock-io-uring",
    ceiling="memlock",
    title="io_uring_setup() fails with ENOMEM",
    scenario="A proxy makes an io_uring for each worker, and the limit of locked memory is 2 MiB.",
    what_to_see="locked memory of the user just below 2 MiB: no ring of 28 KiB fits any more",
    claim="the rings of all processes of a user count together, and are found in /proc/PID/fdinfo",
    build=_build_rings,
    expect_first=Expect(
        "memlock",
        r"\((0|1000)\)$",
        (LIMIT - 3 * RING_BYTES, LIMIT),
        (LIMIT, LIMIT),
        ("hit", "critical"),
        "rlimit",
        "memlock",
    ),
    expect_no_alarm=("memory-maps", "cgroup-memory", "process-fds"),
    needs=("Linux 6.14",),
)

HALF = Lab(
    name="memlock-half",
    ceiling=None,
    title="a storage engine with half of its locked memory",
    scenario="A storage engine has locked 1 of 2 MiB, and has four small io_urings, which count apart.",
    what_to_see="no alarm: locked memory at 50 % of the process, and 2 % of its user",
    claim="what a process locks and what its user pins are two counts: together they are no alarm",
    build=_build_half,
    expect_first=None,
    check_seconds=10.0,
)
