"""The listeners of one network namespace, with their owners, and samples of the queues of unix listeners."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from sockmon.agent.budget import Budget, BudgetedTask
from sockmon.agent.listener_owners import with_holders
from sockmon.agent.part import read_or_missing
from sockmon.agent.queue_samples import QueueSamples
from sockmon.errors import Forbidden, NotPresent, ReadError
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import Incremental, run
from sockmon.kernel.processes.acceptors import Acceptors
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.sockets.listeners import listeners, unix_listeners
from sockmon.model.snapshot import Listener, Missing

QUEUES, FILLING_QUEUES = Budget(0.0004, 0.1), Budget(0.004, 0.1)
"""The second one for ten seconds after a queue was half full."""


class ListenerSampler:
    """Reads the listeners of the namespace `handle` for each Snapshot, and the queues of unix listeners between
    them."""

    def __init__(self, handle: NetnsHandle, owners: Owners) -> None:
        self._handle = handle
        self._owners = owners
        self.tcp: tuple[Listener, ...] = ()
        """Those of TCP as of the last sample, without owners."""
        self._inodes: set[int] | None = None
        self._has_unix_listeners = True
        self.unowned: set[int] = set()
        """Inodes of those without a known owner, as of the last sample."""
        self.acceptors = Acceptors({}, frozenset())
        """Who accepts on the listeners, as of the last time that it was read."""
        self.samples = QueueSamples()
        self.queue_task = BudgetedTask("unix queues", self._sample_queues, QUEUES)

    def read(self, missing: list[Missing]) -> tuple[Listener, ...] | None:
        """Return TCP and unix listeners without their owners; None if those of TCP cannot be read."""
        self.tcp = ()
        local = read_or_missing(missing, "listeners", lambda: run(unix_listeners(self._handle.tick_socket)))
        found = read_or_missing(missing, "listeners", self._tcp_listeners)
        if found is None:
            return None
        self.tcp = found
        self._has_unix_listeners = bool(local)
        self.samples.add({item.inode: (item.queue, item.backlog or 0) for item in local or ()})
        self._inodes = {item.inode for item in (*found, *(local or ()))}
        return found + (local or ())

    def _tcp_listeners(self) -> tuple[Listener, ...]:
        try:
            return run(listeners(self._handle.tick_socket))
        except (NotPresent, Forbidden) as error:
            # The kernel, or a policy, may allow the netlink socket but refuse every request on it.
            if self._handle.netlink_fallback is not None:
                raise
            self._handle.fall_back_to_text(errno.EOPNOTSUPP if isinstance(error, NotPresent) else errno.EPERM)
            return run(listeners(self._handle.tick_socket))

    def sample_queues(self) -> bool:
        """Sample the queues of unix listeners; return False if there are none, or they cannot be read."""
        if not self._has_unix_listeners:
            return False
        try:
            self._has_unix_listeners = self.samples.sample(self._handle.tick_socket)
        except ReadError:
            return False
        return self._has_unix_listeners

    def idle_seconds(self, now: float) -> float:
        """Return how long the agent may sleep before the queues are sampled again."""
        return self.queue_task.seconds_until_due(now) if self._has_unix_listeners else float("inf")

    def _sample_queues(self) -> Incremental[None]:
        """Sample in one step: the socket is that of the ticks."""
        self.sample_queues()
        self.queue_task.budget = FILLING_QUEUES if self.samples.filling() else QUEUES
        return
        yield

    def inodes(self) -> set[int]:
        """Return the inodes of all listeners as of the last sample, or now if there was none."""
        if self._inodes is None:
            self.read([])
        return self._inodes or set()

    def with_owners(self, found: Sequence[Listener]) -> tuple[Listener, ...]:
        """Return the listeners with their owners, and with how often their queues were full."""
        self._inodes = {item.inode for item in found}
        held = self._owners.holders_of(self._inodes)
        owned = tuple(
            self.samples.add_to(with_holders(item, held.get(item.inode, ()), self.acceptors)) for item in found
        )
        self.unowned = {item.inode for item in owned if item.owner is None}
        return owned
