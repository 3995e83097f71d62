"""What a process is: against psutil and the kernel's own files, for processes in every state."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sockmon.kernel.netlink import run
from sockmon.kernel.processes import process_counters
from sockmon.kernel.processes.passwd import Users
from sockmon.kernel.processes.process_facts import FactsReader
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.model.process_facts import CPU, MEMORY, ProcessFacts
from sockmon.model.snapshot import Missing
from tests.kernel.sleepers import as_nobody, sleeper
from tests.waiting import until


@pytest.fixture
def reader(table: ProcessTable) -> Iterator[FactsReader]:
    held = FactsReader(table.proc, Users())
    yield held
    held.close()


def facts_of(reader: FactsReader, pid: int, start: int = 7) -> tuple[ProcessFacts, list[Missing]]:
    missing: list[Missing] = []
    found = run(reader.read(pid, start, missing))
    assert found is not None
    return found, missing


def wait_for_state(pid: int, wanted: str) -> None:
    while Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1].decode() != wanted:
        time.sleep(0.01)


def test_the_facts_are_those_of_psutil_and_of_proc(reader: FactsReader) -> None:
    with sleeper("held = bytearray(20_000_000); os.chdir('/usr')") as process:
        wait_for_state(process.pid, "S")
        # On a busy machine it may run once more.
        until(lambda: Path(f"/proc/{process.pid}/wchan").read_text() not in ("", "0"))
        found, missing = facts_of(reader, process.pid)
        other = psutil.Process(process.pid)
        assert missing == []
        assert found.state == "S"
        assert found.wchan
        assert found.executable == os.path.realpath(sys.executable)
        assert found.directory == other.cwd() == "/usr"
        assert [each.pid for each in found.parents] == [each.pid for each in other.parents()]
        assert found.parents[0].pid == os.getpid()
        assert found.parents[-1].pid == 1
        assert (found.user_seconds, found.system_seconds) == other.cpu_times()[:2]
        assert found.resident == other.memory_info().rss
        assert found.resident > 20_000_000
        assert found.written_bytes == other.io_counters().write_bytes
        assert found.written_chars == other.io_counters().write_chars >= len("ready\n")
        assert found.users == (other.username(), other.username())
        assert found.threads_by_state == {"S": 1}
        assert found.swapped == 0
        assert found.peak is not None
        inodes = {each.kind: each.inode for each in found.namespaces}
        assert inodes["net"] == os.stat(f"/proc/{process.pid}/ns/net").st_ino
        assert all(each.shared for each in found.namespaces)


def test_proportional_and_unique_memory_are_those_of_smaps_rollup(reader: FactsReader) -> None:
    with sleeper("held = bytearray(20_000_000)") as process:
        missing: list[Missing] = []
        found = run(reader.counters.memory(process.pid, 7, missing))
        assert found is not None
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        lines = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in text.splitlines()[1:]}
        assert found == (lines["Pss"], lines["Private_Clean"] + lines["Private_Dirty"])
        assert missing == []


@pytest.mark.fault("Q1")
def test_a_process_that_has_ended_has_no_facts(reader: FactsReader) -> None:
    with sleeper() as process:
        pass
    missing: list[Missing] = []
    assert run(reader.read(process.pid, 7, missing)) is None
    assert run(reader.counters.memory(process.pid, 7, missing)) is None
    assert [item.reader for item in missing] == [MEMORY]


def test_a_stopped_process_says_so(reader: FactsReader) -> None:
    with sleeper() as process:
        process.send_signal(signal.SIGSTOP)
        wait_for_state(process.pid, "T")
        found, missing = facts_of(reader, process.pid)
        assert (found.state, missing) == ("T", [])
        assert found.threads_by_state == {"T": 1}


def test_a_zombie_has_parents_and_nothing_else(reader: FactsReader) -> None:
    with subprocess.Popen(["/bin/true"]) as process:
        wait_for_state(process.pid, "Z")
        found, missing = facts_of(reader, process.pid)
        assert (found.state, found.executable, found.namespaces, missing) == ("Z", None, (), [])
        assert found.parents[0].pid == os.getpid()


@pytest.mark.fault("U1")
def test_hostile_names_are_made_safe(reader: FactsReader, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/a\nb\x1b[31m\xff(deleted) [bold]"
    os.mkdir(folder)
    setup = f"os.chdir({folder!r}); open('/proc/self/comm', 'wb').write(b'x) S\\n\\x1b[m')"
    child = "import subprocess; child = subprocess.Popen(['sleep', '60']); os.write(1, b'%d\\n' % child.pid)"
    with sleeper(f"{setup}\nos.write(1, b'ready\\n')\n{child}") as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        try:
            found, _ = facts_of(reader, process.pid)
            assert found.directory is not None
            assert found.directory.endswith("/a\ufffdb\ufffd[31m\ufffd(deleted) [bold]")
            inner, _ = facts_of(reader, pid)
            assert inner.parents[0].name == "x) S\ufffd\ufffd[m"
        finally:
            os.kill(pid, signal.SIGKILL)


def test_a_deleted_executable_and_directory_are_named(reader: FactsReader, tmp_path: Path) -> None:
    program, folder = tmp_path / "program", tmp_path / "gone"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    folder.mkdir()
    with subprocess.Popen([program, "60"], cwd=folder) as process:
        try:
            folder.rmdir()
            program.unlink()
            found, _ = facts_of(reader, process.pid)
            assert (found.executable, found.directory) == (f"{program} (deleted)", f"{folder} (deleted)")
        finally:
            process.kill()


@pytest.fixture
def other() -> Iterator[int]:
    """The pid of another process."""
    with sleeper() as process:
        yield process.pid


@pytest.mark.fault("R22")
def test_a_process_that_does_not_answer_costs_one_thread(
    table: ProcessTable, other: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that blocks stands for a process whose memory lock is held."""
    release = threading.Event()
    real = process_counters._read_psutil

    def read(pid: int) -> process_counters.Counters:
        if pid == other:
            release.wait()
        return real(pid)

    monkeypatch.setattr(process_counters, "_read_psutil", read)
    monkeypatch.setattr(process_counters, "TIMEOUT_SECONDS", 0.05)
    reader = FactsReader(table.proc, Users())
    before = set(threading.enumerate())
    for _ in range(5):
        found, missing = facts_of(reader, other)
        assert (found.state != "", found.user_seconds) == (True, None)
        assert found.parents
        assert [item.reader for item in missing] == [CPU]
        assert "does not answer" in missing[0].reason
    assert len(set(threading.enumerate()) - before) == 1
    assert reader.counters.hangs(other, 7)
    found, missing = facts_of(reader, os.getpid())
    assert (found.user_seconds is not None, missing) == (True, [])
    release.set()
    while reader.counters.hangs(other, 7):
        time.sleep(0.01)
    found, missing = facts_of(reader, other)
    assert found.user_seconds is not None
    reader.close()


def test_for_an_ordinary_user_each_fact_has_its_reason(root_only: None) -> None:
    code = """
table = ProcessTable()
missing = []
found = run(FactsReader(table.proc, Users()).read(PID, 7, missing))
print(json.dumps([found.state, found.executable, found.directory, found.wchan, found.read_bytes, found.resident,
    found.user_seconds, [each.pid for each in found.parents], {item.reader: item.reason for item in missing}]))
"""
    with sleeper() as process:
        wait_for_state(process.pid, "S")
        state, *hidden, resident, seconds, parents, missing = json.loads(
            as_nobody(code.replace("PID", str(process.pid)))
        )
        assert (state, hidden) == ("S", [None] * 4)
        assert resident > 0
        assert seconds >= 0
        assert parents[0] == os.getpid()
        assert set(missing) == {"executable", "directory", "namespaces", "wchan", "I/O"}
        assert all("needs root" in reason for reason in missing.values())


def test_nothing_is_left_open(reader: FactsReader) -> None:
    facts_of(reader, os.getpid())
    before = os.listdir("/proc/self/fd")
    facts_of(reader, os.getpid())
    assert os.listdir("/proc/self/fd") == before
