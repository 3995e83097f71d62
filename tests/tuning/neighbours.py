"""Other network namespaces than that of the test: a process in each, and the sysctls of one read and written."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.kernel.setns import visiting
from sockmon.model.plan import NetnsTarget, Plan, Setting
from sockmon.sandbox.child_process import fork
from sockmon.sandbox.namespaces import enter
from sockmon.tuning.helper.sysctl_reader import read_settings
from tests.tuning.sample_change import SOMAXCONN, values, write

MAX_TRIES = 300


class Neighbour:
    """A network namespace that one process keeps alive."""

    def __init__(self) -> None:
        reader, writer = os.pipe()

        def live() -> None:
            enter(user_namespace=False)
            os.write(writer, b"!")
            time.sleep(600)

        self.pid = fork(live)
        os.close(writer)
        assert os.read(reader, 1) == b"!"
        os.close(reader)
        self.inode = netns_inode(f"/proc/{self.pid}/ns/net")

    @contextmanager
    def inside(self) -> Iterator[None]:
        descriptor = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            with visiting(descriptor):
                yield
        finally:
            os.close(descriptor)

    def read(self) -> str:
        with self.inside():
            return values({SOMAXCONN: ""})[SOMAXCONN]

    def write(self, value: str) -> None:
        with self.inside():
            write({SOMAXCONN: value})

    def plan(self, new: str = "8192") -> Plan:
        """A plan for its somaxconn."""
        settings = read_settings([SOMAXCONN], str(self.pid))
        assert isinstance(settings.target, NetnsTarget)
        setting = Setting(SOMAXCONN, settings.values[SOMAXCONN], new)
        return Plan((setting,), self.inode, boot_id(), target=settings.target)

    def end(self) -> None:
        """End its process, and wait until the kernel has ended the namespace too."""
        with self.inside():
            held = os.open("/proc/sys/net/core/somaxconn", os.O_RDONLY)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        for _ in range(500):
            try:
                os.pread(held, 1, 0)
            except FileNotFoundError:
                os.close(held)
                return
            time.sleep(0.01)
        raise AssertionError("the network namespace has not ended")


def with_inode(inode: int) -> Neighbour | None:
    """A new namespace that has the inode of one that has ended; None if the kernel does not use it again."""
    for _ in range(MAX_TRIES):
        found = Neighbour()
        if found.inode == inode:
            return found
        found.end()
    return None
