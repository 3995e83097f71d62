"""Network namespaces that only mounts keep alive, in a private mount namespace: a program prints what is found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import cast

import msgspec

from sockmon.kernel.namespaces.discovery import FoundNetns, find_namespaces
from sockmon.kernel.namespaces.nsfs_mounts import read_nsfs_mounts
from sockmon.kernel.netlink import run
from sockmon.kernel.processes import proc_files
from sockmon.model.snapshot import Process
from tests.netns import TOOL_PATH, child_environment
from tests.snapshots import process

PRIVATE = ("unshare", "--user", "--map-root-user", "--mount", "--net", "sh", "-ec")
EMPTY_RUN = "mount -t tmpfs none /run\n"


def found_after(script: str) -> list[FoundNetns[Process]]:
    """Run the shell `script` in private user, mount and network namespaces with an empty /run; return what
    `find_namespaces` then finds there, of its own process and of the mounts, without those of this host."""
    proc = proc_files.open_proc()
    inherited = run(read_nsfs_mounts(proc)).keys()
    os.close(proc)
    found = msgspec.json.decode(
        run_after(script, (sys.executable, "-m", __name__)), type=list[FoundNetns[Process]]
    )
    return [each for each in found if each.inode not in inherited]


def run_after(script: str, command: Sequence[str]) -> str:
    """Do the same with any `command`; return its standard output."""
    done = subprocess.run(
        [*PRIVATE, f'{EMPTY_RUN}{script}\nexec "$@"', "sh", *command],
        capture_output=True, env={**child_environment(), "PATH": TOOL_PATH}, timeout=120, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1, 2, 3), done.stderr
    return done.stdout


def _main() -> None:
    proc = proc_files.open_proc()
    found = run(find_namespaces([process(pid=os.getpid())], proc))
    sys.stdout.write(msgspec.json.encode(cast("list[object]", found)).decode())


if __name__ == "__main__":
    _main()
