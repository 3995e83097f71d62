"""A directory like /proc, for processes in cgroups that a test cannot make."""

from __future__ import annotations

import os
from pathlib import Path

from sockmon.kernel.namespaces.discovery import FoundNetns
from sockmon.model.snapshot import Process
from tests.snapshots import process


class FakeProc:
    """A directory like /proc, with the few files of each process that name a namespace."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        (root / "self").mkdir()
        (root / "self/mountinfo").write_text("")
        self.descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY)

    def add(self, pid: int, cgroup: str, netns: str = "a", parent: int = 1) -> None:
        """Add a process of the namespace `netns`; its inodes are those of two files."""
        folder = self.root / str(pid)
        for name in ("ns", "net"):
            (folder / name).mkdir(parents=True)
        for name in ("ns/net", "net/sockstat"):
            file = self.root / f"{netns}-{name.replace('/', '-')}"
            file.touch()
            (folder / name).hardlink_to(file)
        (folder / "cgroup").write_text(f"3:cpu:/\n1:name=systemd:{cgroup}\n0::/\n")
        (folder / "stat").write_text(f"{pid} (a) b) S {parent} {'0 ' * 17}{100 + pid} {'0 ' * 30}")

    def found(self, *pids: int, readable: bool = True, mounts: tuple[str, ...] = ()) -> FoundNetns[Process]:
        """The namespace of these processes, the first one the oldest."""
        inode, proc_inode = (
            (self.root / str(pids[0]) / name).stat().st_ino if pids else 0 for name in ("ns/net", "net/sockstat")
        )
        rows = [process(pid=pid, start=100 + at) for at, pid in enumerate(pids)]
        return FoundNetns(inode if readable else 0, proc_inode, rows, list(mounts))
