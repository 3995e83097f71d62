"""Run as root in a mount namespace of its own: generated limits.conf, a real login with su, who set its limits."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from sockmon.kernel.limit_origin.origin import OriginFinder
from sockmon.kernel.processes import rlimits
from sockmon.model.limit_origin import LimitOrigin, Resource

SECURITY = Path("/etc/security")
DOMAINS = (
    "nobody",
    "@nogroup",
    "*",
    "65534:",
    "60000:65534",
    ":65534",
    ":5",
    "@:65534",
    "@60000:",
    "@adm",
    "root",
    "%",
)
TYPES = ("soft", "hard", "-", "Soft", "wrong")
VALUES = ("{n}", "{n} # comment", "{n}x", "-1", "unlimited", "infinity", "x{n}", "")
RESOURCES: tuple[Resource, ...] = ("nofile", "nproc", "memlock")


def main() -> None:
    """Print the origins that a login does not have from where it was found, as JSON."""
    cover()
    wrong = []
    for seed in range(int(sys.argv[1])):
        written = write(random.Random(seed))
        wrong += [{"seed": seed, "lines": written, **found} for found in differences()]
    sys.stdout.write(json.dumps(wrong, indent=1))


def cover() -> None:
    """Let /etc/security and /proc/1/limits be our own: process 1 may have more than we may set."""
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "security", str(SECURITY)], check=True)
    (SECURITY / "limits.d").mkdir()
    own = SECURITY / "own-limits"
    own.write_text(Path("/proc/self/limits").read_text())
    subprocess.run(["mount", "--bind", str(own), "/proc/1/limits"], check=True)


def write(chance: random.Random) -> list[str]:
    """Write limits.conf and files of limits.d; return their lines."""
    for file in (SECURITY / "limits.d").iterdir():
        file.unlink()
    written = []
    for name in ("limits.conf", "limits.d/10-a.conf", "limits.d/20-b.conf", "limits.d/no.txt", "limits.d/.h.conf"):
        lines = list(random_lines(chance))
        (SECURITY / name).write_text("\n".join(lines) + "\n")
        written += [f"{name}: {line}" for line in lines]
    return written


def random_lines(chance: random.Random) -> Iterator[str]:
    for _ in range(chance.randint(0, 4)):
        item = chance.choice(("nofile", "nofile", "nproc", "memlock", "NOFILE", "core"))
        value = chance.choice(VALUES).format(n=chance.randint(50, 900))
        if item.lower() != "nofile" and value in ("-1", "unlimited", "infinity"):
            value = "77"
        blank = chance.choice((" ", "\t", "  "))
        yield blank.join((chance.choice(DOMAINS), chance.choice(TYPES), item, value))
    if chance.random() < 0.05:
        yield chance.choice(("nobody -", "@nogroup -", "@adm -", "65534: -"))


def differences() -> Iterator[dict[str, object]]:
    """Yield what is not found, or found with other numbers, of a session of nobody."""
    with subprocess.Popen(
        ["su", "nobody", "-s", "/bin/sh", "-c", "echo $$; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as login:
        assert login.stdout is not None
        pid = int(login.stdout.readline())
        while Path(f"/proc/{pid}/comm").read_text() != "cat\n":
            time.sleep(0.001)
        real = {row.name: (row.soft, row.hard) for row in rlimits.read(pid)}
        for resource in RESOURCES:
            origin = OriginFinder().find(pid, resource)
            if origin is None or not explained(origin):
                yield {"resource": resource, "real": str(real), "origin": str(origin)}
        assert login.stdin is not None
        login.stdin.close()


def explained(origin: LimitOrigin) -> bool:
    """Return whether the login itself gave the limits that the process has."""
    kinds = {origin.soft_source.kind, origin.hard_source.kind}
    numbers = origin.soft_source.soft, origin.hard_source.hard
    started = origin.starter.kind == "login" and origin.starter.name == "su" and origin.starter.user == "nobody"
    return started and kinds <= {"login", "pid 1", "inherited"} and numbers == (origin.soft, origin.hard)


if __name__ == "__main__":
    os.umask(0o022)
    main()
