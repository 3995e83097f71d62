"""Command lines of every kind, and more processes than fit into one slice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sockmon.kernel.processes import process_table
from sockmon.kernel.processes.process_table import ProcessTable
from tests.kernel.sleepers import environment, sleeper
from tests.kernel.test_process_table import fake, seen


@pytest.mark.fault("Q5")
@pytest.mark.parametrize(
    ("argv", "begins", "length"),
    [
        ([b"y" * 130_000] * 13, " yyyy", 256),
        ([b"\xff\xfe\x1b[2J"], " ��", None),
        ([b""], "", None),
        ([b"a\nb", b""], " a�b", None),
    ],
    ids=["1.7 MB", "not UTF-8", "empty argument", "line feed"],
)
def test_a_real_command_line(table: ProcessTable, argv: list[bytes], begins: str, length: int | None) -> None:
    code = "import os; os.write(1, b'ready\\n'); os.read(0, 1)"
    with subprocess.Popen(
        [sys.executable, "-c", code, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            command = seen(table, process.pid).command
        finally:
            process.kill()
    assert command.startswith(f"{sys.executable} -c {code}{begins}")
    assert command.isprintable()
    if length:
        assert (len(command), command[-1]) == (length, "…")


@pytest.mark.fault("Q5")
def test_a_process_without_a_command_line_has_its_name_in_brackets(table: ProcessTable) -> None:
    # PR_SET_MM needs a capability; without it a process can only overwrite its arguments with zero bytes.
    wipe = """
import ctypes
fields = open("/proc/self/stat").read().rpartition(")")[2].split()
begin, end = int(fields[45]), int(fields[46])
ctypes.memset(begin, 0, end - begin)
"""
    with sleeper(wipe) as process:
        assert set(Path(f"/proc/{process.pid}/cmdline").read_bytes()) <= {0}
        found = seen(table, process.pid)
        assert found.command == f"[{found.name}]"


@pytest.mark.fault("R17")
def test_very_many_processes_are_read_in_slices(tmp_path: Path) -> None:
    for pid in range(100, 1100):
        fake(tmp_path, pid, fds=0)
    table = ProcessTable(str(tmp_path))
    slices = sum(1 for _ in table.steps(0.0))
    assert slices == 1000 // process_table._ROWS_PER_STEP
    assert len(table.read(1.0).rows) == 1000
    table.close()


HUNG = """
import sys
from sockmon.kernel.processes.read_timeout import TimeoutReader
from sockmon.kernel.processes.process_table import ProcessTable
table = ProcessTable(sys.argv[1], TimeoutReader(timeout=0.05))
print([row.command for row in table.read(0.0).rows])
"""


@pytest.mark.fault("R22")
def test_a_read_that_hangs_does_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    folder = fake(tmp_path, 12)
    (folder / "cmdline").unlink()
    os.mkfifo(folder / "cmdline")
    done = subprocess.run(
        [sys.executable, "-c", HUNG, str(tmp_path)],
        capture_output=True, text=True, env=environment(), timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "['[nginx] (blocked)']\n"), done.stderr
