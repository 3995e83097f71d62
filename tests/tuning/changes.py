"""A plan on real sysctls of a private namespace, and what one may find of it afterwards."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sockmon.model.change import Plan, Setting, Transaction, Who
from sockmon.tuning.history import newest
from sockmon.tuning.places import Places
from sockmon.tuning.recover import boot_id, netns
from sockmon.tuning.targets import open_target

SOMAXCONN, RANGE = "net.core.somaxconn", "net.ipv4.ip_local_port_range"
RESERVED, BUCKETS = "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_max_tw_buckets"
OLD = {SOMAXCONN: "4096", RANGE: "32768 60999", RESERVED: "", BUCKETS: "8192"}
NEW = {SOMAXCONN: "8192", RANGE: "10240 64511", RESERVED: "11000-11010,20000", BUCKETS: "65536"}
ROOM = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where directories are made that see thousands of transactions: each waits for the disk some twenty times."""
ME = Who(0, "root", "ops\n{forged}", "pts/3")


def plan(old: dict[str, str] | None = None, new: dict[str, str] | None = None) -> Plan:
    """From `old` to `new`, of the namespace that we are in."""
    old, new = old or OLD, new or NEW
    return Plan(tuple(Setting(key, old[key], new[key]) for key in new), netns(), boot_id())


def write(values: dict[str, str]) -> None:
    """Make them so."""
    for key, value in values.items():
        target = open_target(Setting(key, "", value))
        target.write(value)
        target.close()


def values(keys: dict[str, str] | None = None) -> dict[str, str]:
    """What the kernel has now."""
    found = {}
    for key in keys or OLD:
        target = open_target(Setting(key, "", ""))
        found[key] = target.read()
        target.close()
    return found


def past(root: Path) -> list[Transaction]:
    """The history, newest first."""
    places = Places(str(root))
    try:
        return newest(places)
    finally:
        places.close()


def journals(root: Path) -> list[str]:
    """Names of what is left of transactions."""
    return sorted(os.listdir(root / "run/sockmon/txn"))


@contextmanager
def sleeper() -> Iterator[tuple[subprocess.Popen[bytes], Setting]]:
    """A process that does nothing, and a setting for its limit of descriptors; it ends with the block."""
    with subprocess.Popen(["prlimit", "--nofile=300:400", "sleep", "600"]) as child:
        try:
            # Until prlimit has become sleep.
            while Path(f"/proc/{child.pid}/comm").read_text() != "sleep\n":
                os.sched_yield()
            start = int(Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19])
            yield child, Setting("nofile", "300:400", "350:400", child.pid, start)
        finally:
            child.kill()
