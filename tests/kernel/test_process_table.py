"""The table of processes against psutil, hostile names, short lives and missing permissions."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from sockmon.kernel.processes import proc_files, process_table
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.read_timeout import TimeoutReader
from sockmon.model.snapshot import Process
from tests.kernel.sleepers import NAME, NOBODY, as_nobody, sleeper

STAT = "{pid} ({name}) S 1 2 2 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 7 0 {start} 1000 33 0 1 1 0"
LIMITS = "Limit                     Soft Limit           Hard Limit           Units     \n"
LIMITS += "Max open files            1024                 4096                 files     \n"


def row(table: ProcessTable, pid: int) -> Process | None:
    return next((row for row in table.read(0.0).rows if row.pid == pid), None)


def seen(table: ProcessTable, pid: int) -> Process:
    found = row(table, pid)
    assert found is not None
    return found


def fake(root: Path, pid: int, name: str = "nginx", start: int = 100, fds: int = 3) -> Path:
    """A process in a fake /proc."""
    folder = root / str(pid)
    (folder / "fd").mkdir(parents=True, exist_ok=True)
    for number in range(fds):
        (folder / "fd" / str(number)).touch()
    (folder / "stat").write_text(STAT.format(pid=pid, name=name, start=start))
    (folder / "status").write_text("Uid:\t0\t0\t0\t0\n")
    (folder / "cmdline").write_bytes(b"nginx\0-g\0")
    (folder / "limits").write_text(LIMITS)
    return folder


def test_every_field_agrees_with_psutil(table: ProcessTable) -> None:
    with sleeper("held = [os.open('/dev/null', 0) for _ in range(40)]") as process:
        ours, theirs = seen(table, process.pid), psutil.Process(process.pid)
        assert (ours.name, ours.command) == (theirs.name()[:15], " ".join(theirs.cmdline()).replace("\n", "�"))
        assert (ours.uid, ours.user) == (theirs.uids().real, theirs.username())
        assert (ours.fds, ours.threads) == (theirs.num_fds(), theirs.num_threads())
        assert (ours.soft, ours.hard) == theirs.rlimit(psutil.RLIMIT_NOFILE)
        assert ours.rss == pytest.approx(theirs.memory_info().rss, abs=1 << 20)
        ticks = os.sysconf("SC_CLK_TCK")
        assert abs(psutil.boot_time() + ours.start / ticks - theirs.create_time()) < 2


@pytest.mark.usefixtures("sees_everyone")
def test_no_process_of_psutil_is_missing(table: ProcessTable) -> None:
    before = set(psutil.pids())
    ours = {row.pid for row in table.read(0.0).rows}
    lasting = before & set(psutil.pids())
    kernel_threads = {pid for pid in lasting - ours if not Path(f"/proc/{pid}/maps").exists() or _kernel(pid)}
    assert lasting - ours - kernel_threads == set()


def _kernel(pid: int) -> bool:
    try:
        return bool(int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[6]) & 0x200000)
    except OSError:
        return True


@pytest.mark.fault("Q3", "Q4")
@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"\x1b[2J", "�[2J"),
        (b"a\nb", "a�b"),
        (b"x) R 1 (", "x) R 1 ("),
        (b"\xff\xfe\x80", "���"),
        (b"[red]x[/red]", "[red]x[/red]"),
    ],
)
def test_hostile_names(table: ProcessTable, raw: bytes, name: str) -> None:
    with sleeper(f"{NAME}name({raw!r})") as process:
        found = seen(table, process.pid)
        assert found.name == name
        # The fields after the name, in stat and in status.
        assert (found.threads, found.uid) == (1, os.getuid())


def test_descriptors_and_limits_are_asked_each_time(table: ProcessTable) -> None:
    setup = "held = [os.open('/dev/null', 0) for _ in range(253)]\nos.write(1, b'ready\\n'); os.read(0, 1)\n"
    setup += "[os.close(fd) for fd in held[:100]]"
    with sleeper(setup) as process:
        before = seen(table, process.pid)
        assert before.fds == 256
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (10, before.hard or 0))
        assert (seen(table, process.pid).soft, seen(table, process.pid).fds) == (10, 256)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"ready\n"
        assert seen(table, process.pid).fds == 156
        assert hard == before.hard


def test_a_row_that_did_not_change_is_the_same_object(table: ProcessTable) -> None:
    with sleeper() as process:
        reads = [seen(table, process.pid) for _ in range(12)]
        # Its memory may move, and it is read again now and then; in between the row is kept.
        assert any(before is after for before, after in pairwise(reads[4:]))


def test_no_file_of_a_process_that_has_not_run_is_opened(
    table: ProcessTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    read = proc_files.read

    def note(path: str, *more: int) -> bytes:
        opened.append(path)
        return read(path, *more)

    with sleeper() as process:
        first = seen(table, process.pid)
        cpu_time = table.cpu_time(process.pid)
        monkeypatch.setattr(proc_files, "read", note)
        monkeypatch.setattr(process_table, "IDLE_REFRESH_EVERY", 1 << 30)
        assert all(seen(table, process.pid) is first for _ in range(process_table.REFRESH_EVERY))
        assert table.cpu_time(process.pid) == cpu_time
    assert not [path for path in opened if path.startswith(f"{process.pid}/")]


@pytest.mark.fault("Q14")
def test_an_ended_process_is_gone_and_a_zombie_has_no_descriptors(table: ProcessTable) -> None:
    with sleeper() as process:
        assert seen(table, process.pid).fds
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        zombie = seen(table, process.pid)
        assert (zombie.fds, zombie.rss) == (0, 0)
        process.wait()
        assert row(table, process.pid) is None


@pytest.mark.fault("Q14")
def test_a_process_whose_first_thread_ended_keeps_its_descriptors(table: ProcessTable) -> None:
    code = """
import ctypes, os, threading
def stay():
    held = [os.open('/dev/null', 0) for _ in range(20)]
    import time; time.sleep(0.2); os.write(1, b'ready\\n'); os.read(0, 1)
threading.Thread(target=stay).start()
ctypes.CDLL(None).syscall(60, 0)  # exit(2) of this thread alone, x86_64
"""
    if os.uname().machine != "x86_64":
        pytest.skip("the number of exit(2) is that of x86_64")
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            assert (seen(table, process.pid).fds or 0) >= 23
        finally:
            process.kill()


def test_without_sizes_descriptors_are_listed(table: ProcessTable, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.stat

    def older(path: str, *, dir_fd: int | None = None) -> os.stat_result:
        result = real(path, dir_fd=dir_fd)
        return os.stat_result((*result[:6], 0, *result[7:10])) if path.endswith("fd") else result

    with sleeper("held = [os.open('/dev/null', 0) for _ in range(10)]") as process:
        count = seen(table, process.pid).fds
        monkeypatch.setattr(os, "stat", older)
        listing = ProcessTable()
        assert seen(listing, process.pid).fds == count == 13
        listing.close()


@pytest.mark.fault("Q13")
def test_descriptors_that_may_not_be_counted_are_unknown(
    table: ProcessTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.read(0.0)

    def refuse(*_: object, **__: object) -> os.stat_result:
        raise PermissionError

    monkeypatch.setattr(os, "stat", refuse)
    assert seen(table, os.getpid()).fds is None


@pytest.mark.fault("X1")
def test_an_ordinary_user_sees_all_counts_and_limits(root_only: None) -> None:
    code = """
table = ProcessTable()
for _ in range(7):
    rows = table.read(0.0).rows
print(json.dumps({row.pid: (row.fds, row.soft, row.hard, row.uid, row.nproc) for row in rows}))
"""
    with sleeper("held = [os.open('/dev/null', 0) for _ in range(20)]") as process:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (333, 444))
        resource.prlimit(process.pid, resource.RLIMIT_NPROC, (555, 666))
        rows = json.loads(as_nobody(code))
        assert rows[str(process.pid)] == [23, 333, 444, 0, 555]
        assert all(found[0] is not None for found in rows.values())


def test_which_processes_are_exempt_from_the_limit_of_tasks(root_only: None, table: ProcessTable) -> None:
    """What the kernel does, and what we say of it, side by side."""
    nobody = f"os.setgroups([]); os.setresgid(*[{NOBODY}] * 3); os.setresuid(*[{NOBODY}] * 3); libc.prctl(4, 1)\n"
    root_inside = "libc.unshare(0x10000000); open('/proc/self/uid_map', 'w').write(f'0 {os.geteuid()} 1')\n"
    unmapped = "libc.unshare(0x10000000)\n"
    only_admin = f"libc.prctl(8, 1); os.setresuid(*[{NOBODY}] * 3)\n"
    only_admin += (
        "libc.capset(struct.pack('Ii', 0x20080522, 0), struct.pack('6I', 1 << 21, 1 << 21, 0, 0, 0, 0))\n"
    )
    for setup, exempt in (("", True), (nobody, False), (nobody + root_inside, False), (root_inside, True),
                          (nobody + unmapped, False), (only_admin, True)):  # fmt: skip
        with sleeper(NAME + "import resource, struct, threading, time\n" + setup + START_THREADS) as process:
            found = seen(table, process.pid)
            assert (found.nproc, found.exempt, found.threads > 30) == (30, exempt, exempt), setup


START_THREADS = """
resource.setrlimit(resource.RLIMIT_NPROC, (30, 30))
try:
    for _ in range(40):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
except RuntimeError:
    pass
"""


def test_new_threads_are_counted_after_a_few_reads(table: ProcessTable) -> None:
    code = "import threading, time\nos.write(1, b'ready\\n'); os.read(0, 1)\n"
    code += "for _ in range(9): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
    with sleeper(code) as process:
        assert [seen(table, process.pid).threads for _ in range(4)] == [1] * 4
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"ready\n"
        assert 10 in [seen(table, process.pid).threads for _ in range(2)]


def test_a_changed_limit_of_tasks_is_read_at_the_next_refresh(table: ProcessTable) -> None:
    with sleeper() as process:
        assert seen(table, process.pid).nproc == resource.prlimit(process.pid, resource.RLIMIT_NPROC)[0]
        resource.prlimit(process.pid, resource.RLIMIT_NPROC, (77, 99))
        assert 77 in [seen(table, process.pid).nproc for _ in range(process_table.REFRESH_EVERY)]


def test_a_process_that_changed_its_user_is_that_users(root_only: None, table: ProcessTable) -> None:
    with sleeper(f"os.setresuid({NOBODY}, {NOBODY}, {NOBODY})") as process:
        assert seen(table, process.pid).uid == NOBODY


@pytest.mark.fault("R3")
@pytest.mark.usefixtures("sees_everyone")
def test_out_of_descriptors_the_known_go_on() -> None:
    code = """
import os, resource
from sockmon.kernel.processes.process_table import ProcessTable
table = ProcessTable()
table.read(0.0)
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
for _ in range(6):
    rows = table.read(0.0).rows
ours = [row for row in rows if row.pid in (os.getpid(), os.getppid())]
assert len(ours) == 2, "a cached process is gone"
assert all(row.fds > 0 for row in ours), "a false zero"
assert "EMFILE" in table.missing[0].reason, table.missing
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
table.read(0.0)
assert not table.missing, table.missing
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.fault("Q2")
def test_a_reused_pid_is_another_process(tmp_path: Path) -> None:
    fake(tmp_path, 12)
    table = ProcessTable(str(tmp_path))
    assert seen(table, 12).start == 100
    fake(tmp_path, 12, name="thief", start=200)
    for _ in range(process_table.REFRESH_EVERY):
        found = seen(table, 12)
    assert (found.name, found.start, found.soft, found.hard) == ("thief", 200, 1024, 4096)
    table.close()


@pytest.mark.fault("Q8")
def test_malformed_and_hidden_processes_are_left_out_and_noted(tmp_path: Path, root_only: None) -> None:
    fake(tmp_path, 12)
    (fake(tmp_path, 13) / "stat").write_bytes(b"\0\xff" * 2000)
    (fake(tmp_path, 14) / "status").write_text("")
    (tmp_path / "15").mkdir()
    table = ProcessTable(str(tmp_path))
    assert [row.pid for row in table.read(0.0).rows] == [12]
    assert table.missing[0].reason.startswith("2 processes with a malformed")
    table.close()


@pytest.mark.fault("R22")
def test_a_command_line_that_hangs_is_marked(tmp_path: Path) -> None:
    folder = fake(tmp_path, 12)
    (folder / "cmdline").unlink()
    os.mkfifo(folder / "cmdline")
    fake(tmp_path, 13)
    table = ProcessTable(str(tmp_path), TimeoutReader(timeout=0.05))
    rows = {row.pid: row.command for row in table.read(0.0).rows}
    assert rows == {12: "[nginx] (blocked)", 13: "nginx -g"}
    assert table.hangs(12)
    # End the thread that waits for a writer.
    os.close(os.open(folder / "cmdline", os.O_WRONLY))
    table.close()
