"""A unit of their own for the guard and its watcher: where systemd ends what a login or a service has started, it
would end them too, and with both dead nobody puts anything back until sockmon is started again.

A process cannot leave its unit by itself. systemd is asked to make a scope of the two (StartTransientUnit,
org.freedesktop.systemd1(5)); busctl asks, because it comes with systemd, and takes processes that are there.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from sockmon.tuning.apart import BARE
from sockmon.tuning.inside import private
from sockmon.tuning.outlook import unit_of

_BOOTED = "/run/systemd/system"
_PATIENCE = 2.0
_GIVE_UP = 1_000_000
"""Microseconds that a shutdown waits for a guard: the values go with the machine anyway."""
_DIRECTORIES = ("etc", "run", "usr/local/lib", "usr/lib")
_KILLS = re.compile(rb"^[ \t]*KillUserProcesses[ \t]*=[ \t]*(\w+)", re.M)
_TRUE = (b"1", b"yes", b"y", b"true", b"t", b"on")


def own_scope(guard: int, watcher: int) -> list[str]:
    """Have both moved out of the unit that they were started in; a sentence where that may be the end of them."""
    unit = unit_of(guard)
    if os.geteuid() or private() or not unit or not os.path.isdir(_BOOTED):
        return []
    return [] if moved(guard, watcher, shutil.which("busctl", path=BARE["PATH"])) else at_risk(unit)


def moved(guard: int, watcher: int, busctl: str | None) -> bool:
    """Whether systemd has taken them."""
    if busctl is None:
        return False
    argv = [
        busctl, "--system", "--quiet", f"--timeout={_PATIENCE:g}", "call", "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))",
        f"sockmon-guard-{guard}.scope", "fail",
        "4", "Description", "s", "sockmon: puts a change back that nobody keeps",
        "PIDs", "au", "2", str(guard), str(watcher),
        "TimeoutStopUSec", "t", str(_GIVE_UP),
        "CollectMode", "s", "inactive-or-failed",
        "0",
    ]  # fmt: skip
    quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    try:
        child = os.posix_spawn(busctl, argv, BARE, file_actions=quiet)
    except OSError:
        return False
    return _ended_well(child)


def _ended_well(child: int) -> bool:
    """Nobody waits longer for a bus that does not answer."""
    end = time.monotonic() + _PATIENCE + 1
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status == 0
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        time.sleep(0.005)


def at_risk(unit: str, root: str | Path = "/") -> list[str]:
    """What ends the guard before its time, a sentence; nothing where `unit` leaves what it started alone."""
    after = "before its time, and the values stay changed until sockmon is started again"
    if unit.endswith(".service"):
        return [f"the guard ends with {unit}, which started it, {after}"]
    if unit.startswith("session-") and (file := kills_at_logout(root)):
        return [f"a logout ends the guard (KillUserProcesses=yes in {file}) {after}: decide before you log out"]
    return []


def kills_at_logout(root: str | Path = "/") -> str:
    """The file by which logind ends what a login started (logind.conf(5)); empty: it does not."""
    found = ""
    for file in _files(Path(root)):
        for value in _KILLS.findall(file.read_bytes()):
            found = f"/{file.relative_to(root)}" if value.lower() in _TRUE else ""
    return found


def _files(root: Path) -> Iterator[Path]:
    """The one that is first found, and then the drop-ins by name, of which one in /etc hides its namesakes."""
    places = [root / directory / "systemd" for directory in _DIRECTORIES]
    yield from [place / "logind.conf" for place in places if (place / "logind.conf").is_file()][:1]
    named = {file.name: file for place in reversed(places) for file in (place / "logind.conf.d").glob("*.conf")}
    yield from (named[name] for name in sorted(named) if named[name].is_file())
