"""A plan for real sysctls of a private namespace, and readers of what it leaves."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.model.outcome import Outcome, Reason
from sockmon.model.plan import Plan, Preview, Setting
from sockmon.model.transaction import Actor, Transaction
from sockmon.tuning.transaction.history import newest
from sockmon.tuning.transaction.state_dirs import StateDirs
from sockmon.tuning.transaction.targets import open_target

SOMAXCONN, RANGE = "net.core.somaxconn", "net.ipv4.ip_local_port_range"
RESERVED, BUCKETS = "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_max_tw_buckets"
OLD = {SOMAXCONN: "4096", RANGE: "32768 60999", RESERVED: "", BUCKETS: "8192"}
NEW = {SOMAXCONN: "8192", RANGE: "10240 64511", RESERVED: "11000-11010,20000", BUCKETS: "65536"}
MEMORY_DIR = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""A directory in memory for thousands of transactions, each of which waits for the disk some twenty times."""
REASON = Reason("accept-queue", "0.0.0.0:8081 app[7]", "hit", 65, 64, (("TcpExt.ListenOverflows", 12),))
"""The alarm that a change is meant to end."""
OUTCOME = Outcome("unchanged", "accept-queue", REASON.subject, "hit", 30.0, "hit", 65, 64)
ACTOR = Actor(0, "root", "ops\n{forged}", "pts/3")


def plan(old: dict[str, str] | None = None, new: dict[str, str] | None = None) -> Plan:
    """Return a plan from `old` to `new` for the namespace of this process."""
    old, new = old or OLD, new or NEW
    settings = tuple(Setting(key, old[key], new[key]) for key in new)
    return Plan(settings, netns_inode(), boot_id(), reasons=(REASON,))


def texts(preview: Preview) -> list[str]:
    """Return the texts of its warnings."""
    return [warning.text for warning in preview.warnings]


def write(values: dict[str, str]) -> None:
    """Write the values."""
    for key, value in values.items():
        target = open_target(Setting(key, "", value))
        target.write(value)
        target.close()


def values(keys: dict[str, str] | None = None) -> dict[str, str]:
    """Return the kernel's values."""
    found = {}
    for key in keys or OLD:
        target = open_target(Setting(key, "", ""))
        found[key] = target.read()
        target.close()
    return found


def read_history(root: Path) -> list[Transaction]:
    """Return the history, newest first."""
    dirs = StateDirs(str(root))
    try:
        return newest(dirs)
    finally:
        dirs.close()


def journals(root: Path) -> list[str]:
    """Return the names of the journals that are left."""
    return sorted(os.listdir(root / "run/sockmon/txn"))


@contextmanager
def sleeper() -> Iterator[tuple[subprocess.Popen[bytes], Setting]]:
    """Start a process that sleeps, and yield it with a setting for its limit of descriptors; it ends with the
    block."""
    with subprocess.Popen(["prlimit", "--nofile=300:400", "sleep", "600"]) as child:
        try:
            # Wait until prlimit has executed sleep.
            while Path(f"/proc/{child.pid}/comm").read_text() != "sleep\n":
                os.sched_yield()
            start = int(Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19])
            yield child, Setting("nofile", "300:400", "350:400", child.pid, start)
        finally:
            child.kill()
