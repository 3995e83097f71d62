"""Bring a lab up, look into it, and leave nothing behind.

with running(find("process-fds")) as world:
    print(world.check().readings[0])
"""

from __future__ import annotations

import json
import os
import pickle
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import IO, Any

import msgspec

from sockmon.errors import LabUnavailable, SockmonError
from sockmon.labs import cgroups, namespaces
from sockmon.labs.lab import Lab
from sockmon.model.report import Report

RECORDINGS = Path(__file__).parent / "recordings"
Progress = Callable[[float, str], None]
_PATIENCE = 15.0
_KILLED = 128 + signal.SIGKILL
_STALLED = 180.0
"""Seconds without a word after which a lab that is being built will not stand any more."""
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@dataclass(frozen=True)
class World:
    """A lab that stands, or its recording."""

    lab: Lab
    pid: int = 0
    """A process inside, as seen from here."""
    isolated: bool = True
    """Inside only the lab's own processes are to be seen; False: all of this machine's."""
    pids: dict[str, list[int]] = field(default_factory=dict)
    """Its processes by name, as numbered inside."""
    facts: dict[str, Any] = field(default_factory=dict)
    instead: str = ""
    """Why it is a recording, where elsewhere it is lived in."""

    def command(self, argv: Sequence[str]) -> list[str]:
        """`argv` as it must be called from here to run inside, as root of the lab's user namespace."""
        if self.lab.recorded:
            raise SockmonError(f"nothing can run in {self.lab.name}: it is a recording")
        return [*python("sockmon.labs.enter"), str(self.pid), "--", *argv]

    def sockmon(self, *verb: str) -> list[str]:
        """The same for a verb of sockmon; none, or options alone: the screen, with the lab's story. Of a
        recording the verb is shown what was recorded."""
        program = python("sockmon")
        on_screen = not verb or verb[0].startswith("-")
        story = ["--story", self.lab.story] if on_screen else []
        if self.lab.recording is None or not self.lab.recorded:
            return self.command([*program, *story, *verb])
        if not on_screen and verb[0] != "check":
            raise SockmonError(f"{self.lab.name} is a recording: only the screen and check can look at it")
        return [*program, *story, *verb, "--from", str(RECORDINGS / self.lab.recording)]

    def run(self, argv: Sequence[str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """What a command said that ran inside."""
        return _said(self.command(argv), timeout)

    def call(self, *verb: str) -> int:
        """Run a verb of sockmon with our own terminal and pipes; its exit code, as a shell would have it. Signals
        that would end us are passed on to it. SockmonError where the lab did not live as long."""
        # ^C is the verb's business; when it ends, so do we.
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, *_PASSED_ON)}
        try:
            process = subprocess.Popen(self.sockmon(*verb), env=environment(), preexec_fn=_default_signals)
            for number in _PASSED_ON:
                signal.signal(number, lambda number, frame: process.send_signal(number))
            code = process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self.pid and _has_ended(self.pid, patience=1.0 if code in (-signal.SIGKILL, _KILLED) else 0.0):
            raise SockmonError(
                f"{self.lab.name} ended while it was looked at",
                f"one of its processes was killed, or its {self.lab.deadline:,.0f} s are over: run it again",
            )
        return code if code >= 0 else 128 - code

    def check(self, watch: float | None = None) -> Report:
        """What `sockmon check --json` says inside, after `watch` seconds (the lab's own without)."""
        seconds = self.lab.watch if watch is None else watch
        look = [] if self.lab.recorded else ["--watch", str(seconds)]
        done = _said(self.sockmon("check", "--json", *look), seconds + 60)
        if not done.stdout:
            words = done.stderr.strip() or "one of its processes died while it was looked at"
            raise SockmonError(f"check failed in {self.lab.name}: {words}")
        return msgspec.json.decode(done.stdout, type=Report)


def _has_ended(pid: int, patience: float) -> bool:
    """True where a lab has ended, or does so now: the first of a pid namespace is the last of it that goes."""
    until = time.monotonic() + patience
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() >= until:
            return False
        time.sleep(0.02)
    return True


def _default_signals() -> None:
    for number in (signal.SIGINT, *_PASSED_ON):
        signal.signal(number, signal.SIG_DFL)


def _said(argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, env=environment())


def environment() -> dict[str, str]:
    """This one, with the programs of this Python and of sbin to be found."""
    # Inside we are root without sudo: nobody must try to become the invoker, who does not exist there.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SUDO_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), namespaces.TOOLS])
    return {**kept, "PATH": path}


def python(module: str) -> list[str]:
    """The command that runs `module` as a program, in an interpreter that imports what we can import and that
    neither the environment nor the directory that it is called in can lead astray."""
    code = f"import runpy, sys; sys.path[:] = {list(filter(None, sys.path))}; "
    return [sys.executable, "-I", "-c", f"{code}runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"]


@contextmanager
def running(lab: Lab, progress: Progress | None = None) -> Iterator[World]:
    """The lab while the block lasts; `progress` is told how much of it stands (0 to 1, words). LabUnavailable with
    the reason where it cannot be here, SockmonError where it failed."""
    reason = refusal(lab)
    if reason and (lab.recorded or not lab.recording):
        raise LabUnavailable(f"{lab.name} cannot run here: {reason}")
    if reason or lab.recorded:
        yield World(replace(lab, build=None), instead=reason)
        return
    cgroups.sweep()
    # A session of its own: ^C and the end of the terminal are ours, and reach it as the end of its stdin.
    process = subprocess.Popen(
        python("sockmon.labs.supervise"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), start_new_session=True,
    )  # fmt: skip
    try:
        pipe = _pipe(process.stdin)
        pipe.write(pickle.dumps(lab))
        pipe.flush()
        yield _standing(lab, _pipe(process.stdout), progress)
    finally:
        _end(process)


def _standing(lab: Lab, messages: IO[bytes], progress: Progress | None) -> World:
    """Read what the lab tells until it stands."""
    inside: dict[str, Any] = {}
    for line in _lines(messages, lab):
        said = json.loads(line)
        if "inside" in said:
            inside = said
        elif "progress" in said:
            if progress:
                progress(*said["progress"])
        elif "stands" in said:
            return World(lab, inside["inside"], inside["isolated"], **said["stands"])
        elif "unavailable" in said:
            message, *hint = said["unavailable"]
            raise LabUnavailable(f"{lab.name} cannot run here: {message}", *hint)
        else:
            raise SockmonError(f"{lab.name} could not be built: {said['error']}")
    raise SockmonError(f"{lab.name} could not be built: it died")


def _lines(messages: IO[bytes], lab: Lab) -> Iterator[bytes]:
    rest = b""
    while True:
        if not select.select([messages], [], [], _STALLED)[0]:
            raise SockmonError(f"{lab.name} could not be built: for {_STALLED:.0f} s it has not got on")
        if not (said := os.read(messages.fileno(), 1 << 16)):
            return
        *whole, rest = (rest + said).split(b"\n")
        yield from whole


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(BrokenPipeError):
        _pipe(process.stdin).close()
    try:
        process.wait(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _pipe(process.stdout).close()
    cgroups.sweep(_PATIENCE if process.returncode < 0 else 0.0)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def refusal(lab: Lab) -> str:
    """Why `lab` cannot run here, in words; empty: nothing is known against it."""
    if lab.recorded:
        return (
            ""
            if lab.recording and (RECORDINGS / lab.recording).exists()
            else f"its recording {lab.recording} is not there"
        )
    if not Path("/proc/self/ns").exists():
        return "/proc is not mounted"
    if "root" not in lab.needs and (code := _userns()):
        return f"user namespaces are refused here: {os.strerror(code)}"
    return next((reason for need in lab.needs if (reason := _lacks(need))), "")


@cache
def _userns() -> int:
    return namespaces.refusal()


def _lacks(need: str) -> str:
    kind, _, what = need.replace(" ", ":").partition(":")
    if need == "root":
        return "" if os.geteuid() == 0 else "it needs root"
    if kind == "Linux":
        return (
            ""
            if _kernel() >= tuple(map(int, what.split(".")))
            else f"it needs {need}, this is {os.uname().release}"
        )
    if kind == "cgroup":
        try:
            cgroups.home(what)
        except LabUnavailable as error:
            return error.message
        return ""
    return "" if shutil.which(need, path=namespaces.TOOLS) else f"{need} is not installed"


def _kernel() -> tuple[int, ...]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(filter(str.isdigit, minor.partition("-")[0])))
