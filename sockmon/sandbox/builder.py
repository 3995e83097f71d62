"""What a lab's `build` function works with, inside the namespaces: processes, sysctls, cgroups, progress."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from sockmon.errors import LabUnavailable
from sockmon.sandbox import namespaces
from sockmon.sandbox.workers import Worker, WorkerGroup

MAX_MESSAGE_BYTES = 4096
"""Length of one message between a lab and its supervisor."""


class LabCgroup(NamedTuple):
    """A cgroup that the supervisor has made for a lab."""

    path: Path
    procs_fd: int
    """Its cgroup.procs, opened by the supervisor: inside the namespaces it cannot be opened for writing."""

    def join(self) -> None:
        """Move this process into the cgroup; its children are born there."""
        os.write(self.procs_fd, b"0")


class LabBuilder:
    """Builds one lab, and keeps what has been built."""

    def __init__(
        self,
        send_message: Callable[[dict[str, Any]], None],
        cgroup_socket: socket.socket,
        isolated: bool,
        size: int = 0,
    ) -> None:
        self.workers = WorkerGroup()
        self.facts: dict[str, Any] = {}
        """What a test wants to know of the lab, or the result of an experiment; plain JSON."""
        self.size = size
        """`Lab.size`."""
        self.isolated = isolated
        """True in a private pid namespace; False if the kernel does not let us mount its /proc."""
        self.send_message = send_message
        self._cgroup_socket = cgroup_socket

    def start(self, name: str, worker: Worker) -> int:
        """Start a process called `name` that runs `worker`, and return its pid as seen inside."""
        return self.workers.start(name, worker)

    def wait(self) -> None:
        """Block until all started processes are ready; it is called once more when `build` returns."""
        self.workers.wait()

    def set_sysctl(self, key: str, value: int | str) -> None:
        """Write a sysctl of the private namespaces; raise LabUnavailable if this kernel does not allow it."""
        try:
            namespaces.set_sysctl(key, str(value))
        except OSError as error:
            raise LabUnavailable(f"{key} cannot be set inside: {error.strerror}") from error

    def require_pid_namespace(self) -> None:
        """Raise LabUnavailable if kernel.pid_max would be the host's."""
        if not self.isolated:
            raise LabUnavailable("it needs a private pid namespace: the host's kernel.pid_max is not changed")

    def cgroup(self, controller: str, name: str, **limits: int | str) -> LabCgroup:
        """Return a private cgroup for a worker to join: `builder.cgroup("pids", "web", max=64)`.

        Raise LabUnavailable if it cannot be made. See `LabCgroups.create`."""
        request = {"controller": controller, "name": name, "limits": limits}
        self._cgroup_socket.send(json.dumps(request).encode())
        message, descriptors, _, _ = socket.recv_fds(self._cgroup_socket, MAX_MESSAGE_BYTES, 1)
        reply = json.loads(message)
        if "unavailable" in reply:
            raise LabUnavailable(*reply["unavailable"])
        return LabCgroup(Path(reply["path"]), descriptors[0])

    def progress(self, fraction: float, message: str) -> None:
        """Report how much is built, from 0 to 1; a worker may call it too."""
        self.send_message({"progress": [round(min(max(fraction, 0.0), 1.0), 3), message]})

    def close(self) -> None:
        """Close this process's end of the connection to the supervisor."""
        self._cgroup_socket.close()
