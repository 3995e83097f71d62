"""A root with configuration files and a /proc with processes, as the finder reads them."""

from __future__ import annotations

from pathlib import Path

from sockmon.kernel.limit_origin.origin import OriginFinder
from sockmon.model.limit_origin import LimitOrigin, Resource
from sockmon.tunables.limit_origin.text import describe, to_last

PASSWD = "root:x:0:0::/root:/bin/sh\nwww:x:33:33::/var/www:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n"
GROUP = "root:x:0:\nwww:x:33:\nada:x:1000:\nstaff:x:50:ada\n"
PAM_LIMITS = "session required pam_limits.so\n"
LATE = 1 << 50
"""A start time in ticks that is after every file of a test."""
_ROWS = {"nofile": "Max open files", "nproc": "Max processes", "memlock": "Max locked memory"}


class FakeHost:
    """Files and processes below one folder."""

    def __init__(self, folder: Path) -> None:
        self.root, self.proc = folder / "root", folder / "proc"
        self.file("/etc/passwd", PASSWD)
        self.file("/etc/group", GROUP)
        (self.proc / "sys/fs").mkdir(parents=True)
        (self.proc / "sys/fs/nr_open").write_text("1048576\n")
        self.process(1, "systemd", 0, "/init.scope", nofile=(1048576, 1048576))

    def file(self, name: str, text: str) -> Path:
        """Write a file of the configuration."""
        file = self.root / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def process(
        self,
        pid: int,
        name: str,
        parent: int,
        cgroup: str,
        nofile: tuple[int, int] = (1024, 524288),
        nproc: tuple[int, int] = (5000, 5000),
        memlock: tuple[int, int] = (8 << 20, 8 << 20),
        uid: int = 0,
        command: tuple[str, ...] = (),
        start: int = LATE,
    ) -> None:
        """Add a process."""
        folder = self.proc / str(pid)
        folder.mkdir(parents=True)
        fields = ["S", str(parent), *["0"] * 16, str(start), *["0"] * 30]
        fields[17] = "1"
        fields[19] = str(start)
        (folder / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
        (folder / "status").write_text(f"Name:\t{name}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")
        (folder / "cgroup").write_text(f"0::{cgroup}\n")
        (folder / "cmdline").write_text("\0".join(command or (name,)) + "\0")
        limits = {"nofile": nofile, "nproc": nproc, "memlock": memlock}
        rows = [f"{'Limit':<26}{'Soft Limit':<21}{'Hard Limit':<21}{'Units':<10}"]
        for key, pair in limits.items():
            soft, hard = ("unlimited" if each < 0 else str(each) for each in pair)
            rows.append(f"{_ROWS[key]:<26}{soft:<21}{hard:<21}{'units':<10}")
        (folder / "limits").write_text("\n".join(rows) + "\n")

    def service(
        self,
        nofile: tuple[int, int] = (1024, 524288),
        nproc: tuple[int, int] = (5000, 5000),
        memlock: tuple[int, int] = (8 << 20, 8 << 20),
    ) -> None:
        """Add process 44, the main process of web.service."""
        self.process(44, "web", 1, "/system.slice/web.service", nofile, nproc, memlock)

    def origin(self, pid: int = 44, resource: Resource = "nofile") -> LimitOrigin:
        """Return what the finder says."""
        found = OriginFinder(str(self.root), str(self.proc)).find(pid, resource)
        assert found is not None
        return found

    def text(self, pid: int = 44, resource: Resource = "nofile", value: str = "") -> str:
        """Return it in words."""
        origin = self.origin(pid, resource)
        return "\n".join((describe(origin), *to_last(origin, value)))
