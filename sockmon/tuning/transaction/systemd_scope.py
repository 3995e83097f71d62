"""A systemd scope for the guard and its watchdog, out of the login or service that has started them: when systemd
ends that unit it ends both, and then nothing rolls the change back before sockmon is started again.

A process cannot leave its unit by itself. The guard asks systemd for a scope with both (StartTransientUnit,
org.freedesktop.systemd1(5)), through busctl, which comes with systemd and accepts processes that already run.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from sockmon.kernel.limit_origin.process_chain import unit_of_process
from sockmon.tuning.transaction.confinement import in_user_namespace
from sockmon.tuning.transaction.daemonize import clean_environment

_BOOTED = "/run/systemd/system"
_BUSCTL_TIMEOUT = 2.0
_STOP_TIMEOUT_US = 1_000_000
"""A shutdown waits this long for a guard: the values end with the machine anyway."""
_DIRECTORIES = ("etc", "run", "usr/local/lib", "usr/lib")
_KILL_USER_PROCESSES = re.compile(rb"^[ \t]*KillUserProcesses[ \t]*=[ \t]*(\w+)", re.M)
_TRUE = (b"1", b"yes", b"y", b"true", b"t", b"on")


def leave_unit(guard: int, watchdog: int) -> list[str]:
    """Move both out of the unit that has started them; if that fails, return a message if systemd may end them."""
    unit = unit_of_process(guard)
    if os.geteuid() or in_user_namespace() or not unit or not os.path.isdir(_BOOTED):
        return []
    busctl = shutil.which("busctl", path=clean_environment()["PATH"])
    return [] if move_to_scope(guard, watchdog, busctl) else early_end_reason(unit)


def move_to_scope(guard: int, watchdog: int, busctl: str | None) -> bool:
    """Ask systemd for a scope with both; return whether it has moved them."""
    if busctl is None:
        return False
    argv = [
        busctl, "--system", "--quiet", f"--timeout={_BUSCTL_TIMEOUT:g}", "call", "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))",
        f"sockmon-guard-{guard}.scope", "fail",
        "4", "Description", "s", "sockmon: rolls a change back unless it is kept",
        "PIDs", "au", "2", str(guard), str(watchdog),
        "TimeoutStopUSec", "t", str(_STOP_TIMEOUT_US),
        "CollectMode", "s", "inactive-or-failed",
        "0",
    ]  # fmt: skip
    quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    try:
        child = os.posix_spawn(busctl, argv, clean_environment(), file_actions=quiet)
    except OSError:
        return False
    return _wait_for_success(child)


def _wait_for_success(child: int) -> bool:
    """Return whether the child succeeded; kill it if the bus does not answer in time."""
    end = time.monotonic() + _BUSCTL_TIMEOUT + 1
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status == 0
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        time.sleep(0.005)


def early_end_reason(unit: str, root: str | Path = "/") -> list[str]:
    """Return a message if the guard ends together with `unit`, which has started it; empty if it does not."""
    then = "the values then stay changed until sockmon is started again"
    if unit.endswith(".service"):
        return [f"the guard ends when {unit} ends, which has started it: {then}"]
    if unit.startswith("session-") and (file := file_that_kills_at_logout(root)):
        return [f"a logout ends the guard (KillUserProcesses=yes in {file}): {then}; decide before you log out"]
    return []


def file_that_kills_at_logout(root: str | Path = "/") -> str:
    """Return the file that makes logind end the processes of a login at logout (logind.conf(5)); empty if none
    does."""
    found = ""
    for file in _files(Path(root)):
        for value in _KILL_USER_PROCESSES.findall(file.read_bytes()):
            found = f"/{file.relative_to(root)}" if value.lower() in _TRUE else ""
    return found


def _files(root: Path) -> Iterator[Path]:
    """Yield the first logind.conf, then the drop-ins by name; one in /etc replaces others of the same name."""
    folders = [root / directory / "systemd" for directory in _DIRECTORIES]
    yield from [folder / "logind.conf" for folder in folders if (folder / "logind.conf").is_file()][:1]
    named = {file.name: file for folder in reversed(folders) for file in (folder / "logind.conf.d").glob("*.conf")}
    yield from (named[name] for name in sorted(named) if named[name].is_file())
