"""Groups with a limit: real ones of v1 if root may create them, and a fake tree of v2."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic, sleep

import pytest

from sockmon.errors import ReadError
from sockmon.kernel.cgroups import cgroups, files
from sockmon.kernel.cgroups.cgroups import CgroupReader
from sockmon.kernel.cgroups.files import CgroupDir
from sockmon.kernel.cgroups.mounts import mount_of, parse_mounts, path_of
from sockmon.kernel.netlink import run
from sockmon.kernel.processes.proc_files import parse_cgroup_paths
from sockmon.model.snapshot import Cgroups, Process
from tests.kernel.sleepers import sleeper
from tests.snapshots import process

PIDS = Path("/sys/fs/cgroup/pids")
MEMORY = Path("/sys/fs/cgroup/memory")
HYBRID = b"""31 23 0:28 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw,mode=755
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime shared:14 - cgroup cgroup rw,pids
40 31 0:37 / /a\\040b rw - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""
FORKS = """
import os, sys
held = []
try:
    for _ in range(40):
        inside, outside = os.pipe()
        child = os.fork()
        if not child:
            os.close(outside); os.read(inside, 1); os._exit(0)
        os.close(inside); held.append(outside)
except BlockingIOError:
    pass
"""


@pytest.fixture
def made(root_only: None) -> Iterator[tuple[Path, Path]]:
    """A v1 group of tasks and one of memory, each with a group below; removed afterwards."""
    if not (PIDS / "cgroup.procs").exists() or not (MEMORY / "cgroup.procs").exists():
        pytest.skip("needs the v1 hierarchies of pids and memory")
    groups = []
    try:
        for parent in (PIDS, MEMORY):
            groups.append(Path(mkdtemp(prefix="sockmon-test-", dir=parent)))
            groups.append(groups[-1] / "below")
            groups[-1].mkdir()
    except OSError as refused:
        _remove(groups)
        pytest.skip(f"no cgroup can be created here: {refused.strerror}")
    yield groups[1], groups[3]
    _remove(groups)


def _remove(groups: list[Path]) -> None:
    """Remove the group as soon as the last process inside has ended."""
    for group in reversed(groups):
        give_up = monotonic() + 20
        while group.exists():
            try:
                group.rmdir()
            except OSError:
                if monotonic() > give_up:
                    raise
                sleep(0.01)


def read(groups: CgroupReader, *processes: Process) -> Cgroups:
    return run(groups.steps(processes, 1.0))


def test_real_groups_and_the_fork_that_an_ancestor_refused(made: tuple[Path, Path]) -> None:
    below, memory = made
    top = below.parent
    (top / "pids.max").write_text("12")
    (memory.parent / "memory.limit_in_bytes").write_text(str(64 << 20))
    groups = CgroupReader()
    move = f"open({str(below / 'cgroup.procs')!r}, 'w').write('0')\n"
    move += f"open({str(memory / 'cgroup.procs')!r}, 'w').write('0')\nos.write(1, b'ready\\n'); os.read(0, 1)\n"
    with sleeper(move + FORKS) as child:
        own = process(pid=child.pid, start=5)
        before = next(row for row in read(groups, own).pids if row.path == f"/{top.name}")
        assert (before.current, before.maximum, before.refused) == (1, 12, 0)
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"ready\n"
        found = read(groups, own)
        full = next(row for row in found.pids if row.path == f"/{top.name}")
        # The kernel counts it in the group of the process that forked, which has no limit.
        assert (full.current, full.maximum, full.refused) == (12, 12, 1)
        assert (full.name, full.processes) == ("nginx[1044]".replace("1044", str(child.pid)), 1)
        heap = next(row for row in found.memory if row.path == f"/{memory.parent.name}")
        assert heap.maximum == 64 << 20
        assert 0 <= heap.reclaimable <= heap.current
        assert heap.current == pytest.approx(
            int((memory.parent / "memory.usage_in_bytes").read_text()), abs=4 << 20
        )
        assert (heap.oom_kills, heap.sockets) == (0, None)
        assert not any(
            "below" in path for path in [row.path for row in found.pids] + [row.path for row in found.memory]
        )
    groups.close()


def test_a_process_that_dies_of_its_cgroups_memory_is_counted(made: tuple[Path, Path]) -> None:
    _, below = made
    (below.parent / "memory.limit_in_bytes").write_text(str(24 << 20))
    groups = CgroupReader()
    with sleeper(f"open({str(below / 'cgroup.procs')!r}, 'w').write('0')") as stays:
        own = process(pid=stays.pid, start=5)
        assert [row.oom_kills for row in read(groups, own).memory if below.parent.name in row.path] == [0]
        eat = f"open({str(below / 'cgroup.procs')!r}, 'w').write('0')\nheld = bytearray(64 << 20)"
        done = subprocess.run([sys.executable, "-c", eat], check=False, timeout=60)
        assert done.returncode == -9
        assert [row.oom_kills for row in read(groups, own).memory if below.parent.name in row.path] == [1]
    groups.close()


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A /proc with two processes and a v2 mount of which a container shows a part."""
    proc, mount = tmp_path / "proc", tmp_path / "cg"
    for pid, path in ((12, "/pod/web"), (13, "/pod/web/a\x1b[2J"), (14, "/elsewhere")):
        write(proc / str(pid), cgroup=f"0::{path}\n")
    write(proc / "self", cgroup="0::/pod\n", mountinfo=f"40 30 0:26 /pod {mount} rw - cgroup2 cgroup rw\n")
    stat = "anon 100\nfile 5000\nshmem 1000\nslab_reclaimable 500\nsock 77\n"
    write(mount, pids__max="100\n", pids__current="60\n", pids__events="max 9\n", pids__events__local="max 2\n")
    write(mount, memory__max="max\n")
    write(mount / "web", pids__max="50\n", pids__current="45\n", pids__events="max 4\n")
    write(mount / "web", memory__max="9000\n", memory__current="8000\n", memory__stat=stat)
    write(mount / "web", memory__events="oom 3\noom_kill 5\n", memory__events__local="oom 2\noom_kill 5\n")
    write(mount / "web/a\x1b[2J", pids__max="max\n", pids__events="max 7\n", memory__max="max\n")
    return proc


def test_v2_in_a_container(tree: Path) -> None:
    groups = CgroupReader(str(tree))
    rows = (process(pid=12, threads=3), process(pid=13, threads=40), process(pid=14))
    found = read(groups, *rows)
    # Refused forks of a group without a limit count from the first read on.
    assert [(row.path, row.current, row.maximum, row.refused, row.processes) for row in found.pids] == [
        ("/pod/web", 45, 50, 4, 2),
        ("/pod", 60, 100, 2, 2),
    ]
    assert found.pids[0].name == "nginx[13]"
    (heap,) = found.memory
    assert (heap.path, heap.current, heap.maximum, heap.reclaimable, heap.sockets) == (
        "/pod/web",
        8000,
        9000,
        4500,
        77,
    )
    # Three more processes were killed, but not because of this limit.
    assert heap.oom_kills == 2
    assert found.hidden
    write(tree.parent / "cg/web/a\x1b[2J", pids__events="max 10\n")
    assert read(groups, *rows).pids[0].refused == 7
    groups.close()


def test_the_processes_of_one_name_are_added_up_through_all_groups(tree: Path) -> None:
    groups = CgroupReader(str(tree))
    rows = (process(pid=12, name="web", threads=30), process(pid=13, name="java", threads=40))
    many = [process(pid=100 + number, name="web", threads=5) for number in range(5)]
    for row in many:
        write(tree / str(row.pid), cgroup="0::/pod/web\n")
    found = read(groups, *rows, *many).pids
    assert [(row.name, row.processes) for row in found] == [("java[13]", 7), ("java[13]", 7)]
    assert {(row.common_name, row.common_processes, row.common_tasks) for row in found} == {("web", 6, 55)}
    groups.close()


def test_names_are_clean_and_a_group_that_is_gone_is_passed_over(tree: Path) -> None:
    write(tree.parent / "cg/web/a\x1b[2J", pids__max="10\n", pids__current="1\n")
    groups = CgroupReader(str(tree))
    rows = (process(pid=13), process(pid=12), process(pid=99))
    assert "/pod/web/a�[2J" in [row.path for row in read(groups, *rows).pids]
    for file in sorted((tree.parent / "cg/web").glob("*.*")):
        file.unlink()
    assert "/pod/web" not in [row.path for row in read(groups, *rows).pids]
    groups.close()


@pytest.mark.fault("Q18")
def test_a_hierarchy_that_is_not_mounted_is_missing(tree: Path) -> None:
    write(tree / "self", cgroup="8:memory:/x\n0::/pod\n")
    groups = CgroupReader(str(tree))
    found = read(groups, process(pid=12))
    assert (len(found.pids), found.memory) == (2, ())
    assert [(item.part, item.reason) for item in groups.missing][:1] == [
        ("memory", "the hierarchy with memory is not mounted where sockmon runs")
    ]
    groups.close()
    write(tree / "self", mountinfo="23 0 0:20 / / rw - ext4 /dev/vda rw\n")
    blind = CgroupReader(str(tree))
    with pytest.raises(ReadError, match="no cgroup file system is mounted"):
        read(blind, process(pid=12))
    blind.close()


@pytest.mark.fault("R17")
def test_only_the_fullest_groups_are_listed(tree: Path) -> None:
    rows = []
    for number in range(cgroups.MAX_GROUPS + 6):
        write(tree / str(1000 + number), cgroup=f"0::/pod/{number}\n")
        write(tree.parent / f"cg/{number}", pids__max="1000\n", pids__current=f"{number}\n")
        rows.append(process(pid=1000 + number))
    groups = CgroupReader(str(tree))
    found = read(groups, *rows).pids
    assert len(found) == cgroups.MAX_GROUPS
    assert (found[0].path, found[1].path) == ("/pod", f"/pod/{cgroups.MAX_GROUPS + 5}")
    groups.close()


def test_mounts_and_paths() -> None:
    mounts = parse_mounts(HYBRID)
    assert [mount.point for mount in mounts] == ["/sys/fs/cgroup/pids", "/a b", "/sys/fs/cgroup/unified"]
    own = parse_cgroup_paths(b"8:pids:/x\n7:cpu,cpuacct:/\n1:name=systemd:/y\n0::/z\n")
    assert (path_of("pids", own), path_of("memory", own)) == ("/x", "/z")
    assert mount_of("pids", mounts, own) is mounts[0]
    assert mount_of("memory", mounts, own) is mounts[2]
    part = mounts[0]._replace(root="/docker/1")
    assert list(part.chain("/docker/1/a/b")) == ["/docker/1/a/b", "/docker/1/a", "/docker/1"]
    assert (part.below("/docker/1"), part.below("/docker/12"), part.below("/../x")) == (".", None, None)
    assert list(mounts[0].chain("/a")) == ["/a", "/"]


@pytest.mark.fault("Q8")
def test_a_malformed_file_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, pids__max="many\n")
    directory = os.open(tmp_path, os.O_PATH)
    with pytest.raises(ReadError):
        files.read_pids(CgroupDir(directory, ".", True), True)
    os.close(directory)
