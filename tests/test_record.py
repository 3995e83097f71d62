"""`sockmon record` on a disk that fails: it pauses, continues, and the recording stays readable."""

from __future__ import annotations

import errno
import json
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sockmon.cli.record import Recording
from sockmon.model.snapshot import Snapshot
from sockmon.sources.recording_damage import Damage
from sockmon.sources.replay import Replay
from sockmon.sources.wire import encode, hello
from tests.netns import child_environment
from tests.snapshots import snapshot

RECORD = [sys.executable, "-m", "sockmon", "record", "--interval", "0.2"]
PATIENCE = 60.0


@contextmanager
def recorder(*argv: str, log: Path, stdin: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as errors:
        process = subprocess.Popen(
            argv, stderr=errors, stdin=stdin, env=child_environment(), start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(happened: Callable[..., bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def whole_lines(path: Path) -> int:
    """The number of lines, all of which are JSON and end."""
    text = path.read_bytes()
    assert text.endswith(b"\n")
    return len([json.loads(line) for line in text.splitlines()])


def fill(filler: Path) -> None:
    """Take all the space that the disk of `filler` has."""
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


SCRIPT = """
mount -t tmpfs -o size=24m tmpfs "$1" && shift && exec "$@"
"""


@pytest.mark.fault("R13")
@pytest.mark.usefixtures("needs_userns")
def test_it_pauses_on_a_full_disk_and_continues_when_there_is_space(tmp_path: Path) -> None:
    """The disk is a tmpfs that is filled, freed and filled again, seen through the recorder's /proc/PID/root."""
    disk, log = tmp_path / "disk", tmp_path / "stderr"
    disk.mkdir()
    file = disk / "incident.jsonl"
    argv = ["unshare", "-Urm", "sh", "-c", SCRIPT, "sh", str(disk), *RECORD, str(file)]
    # SIGINT is ignored by what a background shell starts; Python's own handler must be there.
    with recorder(*argv, log=log) as process:
        inside = Path(f"/proc/{process.pid}/root")
        seen, filler = inside / file.relative_to("/"), inside / disk.relative_to("/") / "filler"
        until(lambda: seen.exists() and seen.read_bytes().count(b"\n") > 2)
        for count in (1, 2):
            fill(filler)
            until(lambda count=count: log.read_text().count("no space left: recording pauses") == count)
            lines = whole_lines(seen)
            assert lines > 2
            filler.unlink()
            until(lambda count=count: log.read_text().count("recording continues") == count)
            until(lambda lines=lines: seen.read_bytes().count(b"\n") > lines + 1)
        process.send_signal(signal.SIGTERM)
        until(lambda: "samples written, " in log.read_text() or process.poll() is not None)
        assert process.wait(PATIENCE) == 1
    said = log.read_text().splitlines()
    assert [line for line in said if "samples written, " in line and line.endswith(" not written")], said
    assert "Traceback" not in log.read_text()


@pytest.mark.fault("R15")
@pytest.mark.parametrize("error", ["EIO", "EDQUOT", "ENOSPC"])
def test_a_write_that_fails_leaves_whole_lines(tmp_path: Path, error: str) -> None:
    if not shutil.which("strace"):
        pytest.skip("needs strace")
    file, log = tmp_path / "incident.jsonl", tmp_path / "stderr"
    inject = ["-P", str(file), "-e", "trace=write", "-e", f"inject=write:error={error}:when=4..6"]
    with recorder("strace", "-f", "-qq", "-o", "/dev/null", *inject, *RECORD, str(file), log=log) as process:
        until(lambda: process.poll() is not None or "recording continues" in log.read_text())
        if process.poll() is not None and "ptrace" in log.read_text():
            pytest.skip("strace may not trace here")
        assert "3 samples were not written" in log.read_text()
        whole_lines(file)


@pytest.mark.fault("R15")
def test_a_file_that_may_not_grow_ends_the_recording_with_a_reason(tmp_path: Path) -> None:
    """RLIMIT_FSIZE: EFBIG, and no later write can succeed."""
    file, log = tmp_path / "incident.jsonl", tmp_path / "stderr"
    with recorder(*RECORD, str(file), log=log) as process:
        until(lambda: file.exists() and file.read_bytes().count(b"\n") > 2)
        hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (file.stat().st_size, hard))
        assert process.wait(PATIENCE) == 1
    assert "File too large" in log.read_text()
    assert "complete up to this moment" in log.read_text()
    assert whole_lines(file) > 2


@pytest.mark.fault("R15")
def test_half_a_line_that_cannot_be_cut_off_damages_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """write(2) stores half a line and fails, and ftruncate(2) fails too."""
    line, said = encode(snapshot(1.0)), list[str]()
    written = os.write

    def half(file: int, data: memoryview) -> int:
        written(file, data[: len(data) // 2])
        raise OSError(errno.EIO, "Input/output error")

    def refuse(file: int, size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with Recording(str(tmp_path / "incident.jsonl"), said.append) as out:
        out.begin(hello(), line)
        with monkeypatch.context() as faulty:
            faulty.setattr(os, "write", half)
            faulty.setattr(os, "ftruncate", refuse)
            out.write(line)
        out.write(line)
    events = list(Replay(str(tmp_path / "incident.jsonl"), pace=False).lines())
    assert [type(event) for event in events] == [Snapshot, Damage, Snapshot, Damage]
    assert said[0].endswith("input/output error: recording pauses")
    assert said[-1].endswith("2 samples written, 1 not written")


@pytest.mark.fault("R15")
@pytest.mark.usefixtures("needs_userns")
def test_a_disk_without_room_for_the_first_sample_keeps_no_file(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=4k tmpfs "$1" && shift && "$@"; code=$?; ls -A "$0"; exit $code'
    argv = ["unshare", "-Urm", "sh", "-c", script, str(disk), str(disk), *RECORD, str(disk / "a.jsonl")]
    done = subprocess.run(argv, capture_output=True, text=True, env=child_environment(), timeout=PATIENCE)
    assert done.returncode == 1
    assert "nothing was recorded" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("target", ["/dev/full", "/dev/null", "/", "/nonexistent/a", "/proc/a"])
def test_a_target_that_is_not_a_new_file_is_refused(target: str) -> None:
    done = subprocess.run([*RECORD, target], capture_output=True, text=True, env=child_environment(), timeout=60)
    assert done.returncode == 1
    assert target in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.fault("R26")
def test_it_continues_while_its_terminal_is_not_read(tmp_path: Path) -> None:
    """Nobody reads the terminal, whose buffer is full: the samples still go to the file."""
    file = tmp_path / "incident.jsonl"
    controller, terminal = pty.openpty()
    os.set_blocking(terminal, False)
    with suppress(BlockingIOError):
        while True:
            os.write(terminal, bytes(1024))
    os.set_blocking(terminal, True)
    process = subprocess.Popen([*RECORD, str(file)], stderr=terminal, stdin=terminal, env=child_environment())
    try:
        until(lambda: file.exists() and file.read_bytes().count(b"\n") > 5)
    finally:
        process.kill()
        process.wait()
        os.close(controller)
        os.close(terminal)
    assert whole_lines(file) > 5


@pytest.mark.fault("V7")
@pytest.mark.parametrize("target", [subprocess.DEVNULL, subprocess.PIPE])
def test_it_needs_no_terminal(tmp_path: Path, target: int) -> None:
    file = tmp_path / "incident.jsonl"
    done = subprocess.run(
        [*RECORD, str(file), "--for", "0.5"],
        stdin=subprocess.DEVNULL, stdout=target, stderr=target, env=child_environment(), timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0
    assert whole_lines(file) > 2
