"""What a lab's `build` works with, inside the namespaces: its processes, sysctls, cgroups, and what it tells."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from sockmon.errors import LabUnavailable
from sockmon.labs import namespaces
from sockmon.labs.crew import Crew, Work

LONGEST = 4096
"""Bytes of one message between a lab and its supervisor."""


class Group(NamedTuple):
    """A cgroup that was made for a lab."""

    path: Path
    door: int
    """Its cgroup.procs, opened outside: inside the namespaces nobody may open it."""

    def join(self) -> None:
        """Move this process into it; its children are born there."""
        os.write(self.door, b"0")


class Stage:
    """One lab's world while it is built."""

    def __init__(self, tell: Callable[[dict[str, Any]], None], broker: socket.socket, isolated: bool) -> None:
        self.crew = Crew()
        self.facts: dict[str, Any] = {}
        """What a test or a guide wants to know of what stands; plain JSON."""
        self.isolated = isolated
        """In a pid namespace of its own; False where the kernel does not let us mount its /proc."""
        self._tell = tell
        self._broker = broker

    def start(self, name: str, work: Work) -> int:
        """The pid, as seen inside, of a new process called `name` that does `work`; it dies with the lab."""
        return self.crew.start(name, work)

    def wait(self) -> None:
        """Block until all that was started stands; called once more when `build` returns."""
        self.crew.wait()

    def set_sysctl(self, key: str, value: int | str) -> None:
        """Write a sysctl of the lab's own namespaces; LabUnavailable where this kernel keeps it for the host."""
        try:
            namespaces.set_sysctl(key, str(value))
        except OSError as error:
            raise LabUnavailable(f"{key} cannot be set inside: {error.strerror}") from error

    def cgroup(self, controller: str, name: str, **limits: int | str) -> Group:
        """A private cgroup, for a worker to join: `stage.cgroup("pids", "web", max=64)`. See `Cgroups.make`."""
        request = {"controller": controller, "name": name, "limits": limits}
        self._broker.send(json.dumps(request).encode())
        answer, descriptors, _, _ = socket.recv_fds(self._broker, LONGEST, 1)
        said = json.loads(answer)
        if "unavailable" in said:
            raise LabUnavailable(*said["unavailable"])
        return Group(Path(said["path"]), descriptors[0])

    def progress(self, fraction: float, words: str) -> None:
        """Tell how much of it stands, 0 to 1; also from within a worker."""
        self._tell({"progress": [round(min(max(fraction, 0.0), 1.0), 3), words]})
