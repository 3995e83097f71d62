"""The log: what is written, who may read it, and that it never stops the program."""

from __future__ import annotations

import logging
import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from sockmon import log
from sockmon.own_process import PipedChild
from sockmon.tuning.transaction.guard_watchdog import start_pair
from tests.netns import child_environment, enter, inside_as_root

FAULT = "a fault"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A private state directory; the logging of this process is restored afterwards."""
    top, ours = logging.getLogger(), logging.getLogger("sockmon")
    hooks = threading.excepthook, sys.unraisablehook
    before = list(top.handlers), ours.level, logging.lastResort
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.delenv(log.DEBUG, raising=False)
    yield tmp_path / "sockmon"
    top.handlers[:] = before[0]
    ours.setLevel(before[1])
    logging.lastResort = before[2]
    logging.captureWarnings(False)
    threading.excepthook, sys.unraisablehook = hooks


def fail() -> None:
    try:
        raise ZeroDivisionError(FAULT)
    except ZeroDivisionError:
        logging.getLogger("sockmon.agent.part").exception("owners of %s", "x\n2026-01-01 forged\x1b[2J")


@pytest.mark.fault("U4")
def test_a_fault_is_one_record_with_its_traceback(home: Path) -> None:
    """U4: text of another process makes no second record."""
    log.start("agent")
    fail()
    head, *trace = (home / log.NAME).read_text().splitlines()
    assert f" ERROR agent[{os.getpid()}] sockmon.agent.part: owners of x" in head
    assert "\x1b" not in head
    assert all(line.startswith("  | ") for line in trace)
    assert f"ZeroDivisionError: {FAULT}" in trace[-1]
    assert log.path() == str(home / log.NAME)
    assert log.path() in log.hint()


def test_only_its_owner_reads_it(home: Path) -> None:
    log.start("check")
    fail()
    assert stat.S_IMODE((home / log.NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_nothing_but_warnings_unless_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.start("check")
    logging.getLogger("sockmon.x").info("not written")
    assert not home.exists()
    monkeypatch.setenv(log.DEBUG, "1")
    log.start("check")
    logging.getLogger("sockmon.x").debug("written")
    assert "DEBUG" in (home / log.NAME).read_text()


def test_a_large_log_is_replaced(home: Path) -> None:
    log.start("check")
    home.mkdir(mode=0o700)
    (home / log.NAME).write_bytes(b"x" * log.MAX_BYTES)
    fail()
    assert (home / f"{log.NAME}.1").stat().st_size == log.MAX_BYTES
    assert (home / log.NAME).stat().st_size < log.MAX_BYTES


@pytest.mark.parametrize("prepared", ["symlink", "fifo", "hard link", "folder of links", "writable by others"])
def test_what_another_user_could_have_prepared_is_left_alone(home: Path, prepared: str) -> None:
    target = home.parent / "target"
    target.write_text("")
    if prepared == "folder of links":
        (home.parent / "elsewhere").mkdir()
        home.symlink_to(home.parent / "elsewhere")
    else:
        home.mkdir(mode=0o700)
    if prepared == "symlink":
        (home / log.NAME).symlink_to(target)
    elif prepared == "fifo":
        os.mkfifo(home / log.NAME)
    elif prepared == "hard link":
        os.link(target, home / log.NAME)
    elif prepared == "writable by others":
        home.chmod(0o777)
    log.start("check")
    fail()
    assert (target.read_text(), log.path(), log.hint()) == ("", "", "")
    assert not (home.parent / "elsewhere" / log.NAME).exists()


@pytest.mark.fault("R3")
def test_without_a_free_descriptor_a_record_is_dropped(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """R3: neither an exception nor a word on the terminal."""
    log.start("agent")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        fail()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert (capfd.readouterr().err, log.path(), home.exists()) == ("", "", home.exists())
    fail()
    assert log.path()


def _on_a_full_disk() -> tuple[str, int]:
    enter(isolated=True)
    mounted = Path("/dev/shm")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", mounted], check=True)
    (mounted / "sockmon").mkdir(mode=0o700)
    with suppress(OSError):
        (mounted / "filling").write_bytes(bytes(1 << 16))
    os.environ["XDG_STATE_HOME"] = str(mounted)
    log.start("agent")
    fail()
    return log.path(), (mounted / "sockmon" / log.NAME).stat().st_size


@pytest.mark.usefixtures("root_only")
def test_on_a_full_disk_a_record_is_dropped() -> None:
    assert inside_as_root(_on_a_full_disk) == ("", 0)


def test_an_exception_in_a_thread_goes_to_the_log(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log.start("screen")
    thread = threading.Thread(target=lambda: 1 // 0)
    thread.start()
    thread.join()
    assert "integer division" in (home / log.NAME).read_text()
    assert capfd.readouterr().err == ""


def test_the_guards_pipe_never_blocks(home: Path) -> None:
    """A guard must not wait for the reader of its log: records that a full pipe does not take are dropped."""
    log.start("watchdog")
    read, write = os.pipe()
    os.set_blocking(write, False)
    os.set_blocking(read, False)
    log.start_to_pipe(write, "guard")
    for _ in range(5000):
        fail()
    records = os.read(read, 1 << 20)
    assert b"ERROR guard[" in records
    assert b"in fail" in records
    log.start("watchdog")
    log.append(records)
    assert (home / log.NAME).read_bytes() == records
    for end in (read, write):
        os.close(end)


def test_a_fault_of_the_guard_reaches_the_log_through_the_watchdog(tmp_path: Path) -> None:
    pair = PipedChild()
    pair.start(partial(start_pair, str(tmp_path)))
    with pair.stdin as order:
        order.write(b'{"no": "order"}\n')
    with pair.stdout as answers:
        # The watchdog ends last.
        answers.read()
    assert pair.wait() == 0
    written = (tmp_path / "var/log/sockmon" / log.NAME).read_text()
    assert " ERROR guard[" in written
    assert "msgspec.ValidationError" in written or "ValidationError" in written
    assert " WARNING watchdog[" in written


def test_a_standby_that_is_not_needed_leaves_no_record(tmp_path: Path) -> None:
    pair = PipedChild()
    pair.start(partial(start_pair, str(tmp_path)))
    # Whoever started it ends before it is ready.
    pair.stdout.close()
    pair.stdin.close()
    assert pair.wait() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_a_verb_names_the_log(home: Path) -> None:
    program = (
        "import sockmon.observe as observe, sys\n"
        "def fail(*_): raise LookupError('fault 7')\n"
        "observe.current_report = fail\n"
        "sys.argv = ['sockmon', 'check']\n"
        "from sockmon.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=child_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "LookupError: fault 7" in done.stderr
    assert str(home / log.NAME) in done.stderr
    assert "Traceback" not in done.stderr
    assert "in fail" in (home / log.NAME).read_text()
