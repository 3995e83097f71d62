"""Cgroups for tests: real ones, made where this user may, and trees of files that look like them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sockmon.kernel.cgroups.limits import find_limit_file, read_limit
from sockmon.model.plan import Setting

NAME = "/sockmon-test-{}"


@contextmanager
def real_cgroup(key: str, limit: str = "max") -> Iterator[tuple[str, Path]]:
    """Yield the path and the directory of a new cgroup with a limit; skip if none can be made here."""
    path = NAME.format(os.getpid())
    controller = key.partition(".")[0]
    root = Path(find_limit_file(key, "/").directory)
    directory = root / path[1:]
    try:
        with suppress(OSError):
            # With v2 the children of the root have a controller only if the root passes it on.
            (root / "cgroup.subtree_control").write_text(f"+{controller}")
        directory.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error.strerror}")
    try:
        file = Path(find_limit_file(key, path).file)
        file.write_text("-1" if limit == "max" and file.name == "memory.limit_in_bytes" else limit)
        yield path, directory
    finally:
        with suppress(FileNotFoundError):
            directory.rmdir()


def setting_of(key: str, path: str, new: str) -> Setting:
    """Return the setting that changes a limit from its present value to `new`."""
    found = read_limit(key, path)
    return Setting(key, found.value, new, 0, found.inode, path)


def fake_proc(root: Path, *, unified: bool, files: dict[str, str]) -> str:
    """Write a /proc and a tree of cgroups below `root`; return the /proc. `files`: contents by their place in the
    hierarchy, `web/pids.max`."""
    mounts = []
    for number, controller in enumerate(("",) if unified else ("pids", "memory")):
        point = root / "cgroup" / (controller or "unified")
        kind = "cgroup2 cgroup2 rw" if unified else f"cgroup cgroup rw,{controller}"
        mounts.append(f"{30 + number} 20 0:{30 + number} / {point} rw - {kind}\n")
        for name, content in files.items():
            if not unified and name.rpartition("/")[2].partition(".")[0] != controller:
                continue
            file = point / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
    own = root / "proc/self"
    (own / "ns").mkdir(parents=True)
    (own / "ns/cgroup").touch()
    (own / "mountinfo").write_text("".join(mounts))
    (own / "cgroup").write_text("0::/\n" if unified else "2:pids:/\n1:memory:/\n0::/\n")
    return str(root / "proc")
