"""Start a lab, run commands in it, and leave nothing behind.

with run_lab(find_lab("process-fds")) as running:
    print(running.check().readings[0])
"""

from __future__ import annotations

import json
import os
import pickle
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import IO, Any

import msgspec

from sockmon.errors import LabUnavailable, SockmonError
from sockmon.model.report import Report
from sockmon.privileges import INVOKER_VARIABLES
from sockmon.sandbox import cgroups, namespaces
from sockmon.sandbox.availability import RECORDINGS, unavailable_reason
from sockmon.sandbox.scenario import Lab

Progress = Callable[[float, str], None]
"""Is called with a fraction from 0 to 1 and a message."""
_STOP_TIMEOUT = 15.0
_STALL_TIMEOUT = 180.0
"""A lab that sends no message for this many seconds while it is built is given up."""
_KILLED_EXIT = 128 + signal.SIGKILL
_FORWARDED_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@dataclass(frozen=True)
class RunningLab:
    """A lab that is built, or its recording."""

    lab: Lab
    pid: int = 0
    """A process inside, as seen from here; 0 for a recording."""
    isolated: bool = True
    """True if only the lab's own processes are visible inside; False: all processes of this machine are."""
    pids: dict[str, list[int]] = field(default_factory=dict)
    """Its processes by name, with their pids inside."""
    facts: dict[str, Any] = field(default_factory=dict)
    recording_reason: str = ""
    """Why it is a recording, if on another machine it is not."""

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs `argv` inside, as root of the lab's user namespace."""
        if self.lab.recorded:
            raise SockmonError(f"{self.lab.name} is a recording: no command can run in it")
        return [*python_command("sockmon.sandbox.nsenter"), str(self.pid), "--", *argv]

    def sockmon_command(self, *verb: str) -> list[str]:
        """Return the command that runs a verb of sockmon inside, or on the recording.

        Without a verb, or with options only, it is the screen, which shows the lab's summary."""
        program = python_command("sockmon")
        on_screen = not verb or verb[0].startswith("-")
        summary = ["--story", self.lab.summary] if on_screen else []
        if self.lab.recording is None or not self.lab.recorded:
            return self.command([*program, *summary, *verb])
        if not on_screen and verb[0] not in ("check", "guide"):
            raise SockmonError(f"{self.lab.name} is a recording: only the screen, check and guide can show it")
        return [*program, *summary, *verb, "--from", str(RECORDINGS / self.lab.recording)]

    def run(self, argv: Sequence[str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command inside, and return its output."""
        return _run(self.command(argv), timeout)

    def run_in_terminal(self, *verb: str) -> int:
        """Run a verb of sockmon with our terminal and pipes, and return its exit code as a shell would.

        Signals that would end us are forwarded to it. Raise SockmonError if the lab ended before the verb."""
        process: subprocess.Popen[bytes] | None = None

        def forward(number: int, frame: FrameType | None) -> None:
            # The terminal sends ^C to the verb itself; when the verb ends, so do we.
            if process and number != signal.SIGINT:
                process.send_signal(number)

        # Not SIG_IGN, which the verb would inherit.
        before = {number: signal.signal(number, forward) for number in (signal.SIGINT, *_FORWARDED_SIGNALS)}
        try:
            process = subprocess.Popen(self.sockmon_command(*verb), env=lab_environment())
            code = process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self.pid and _has_ended(self.pid, timeout=1.0 if code in (-signal.SIGKILL, _KILLED_EXIT) else 0.0):
            raise SockmonError(
                f"{self.lab.name} ended before the command did",
                f"one of its processes was killed, or its {self.lab.deadline:,.0f} s are over; run it again",
            )
        return code if code >= 0 else 128 - code

    def check(self, seconds: float | None = None) -> Report:
        """Return what `sockmon check --json` reports inside, after `seconds` (default: the lab's own)."""
        seconds = self.lab.check_seconds if seconds is None else seconds
        watch = [] if self.lab.recorded else ["--watch", str(seconds)]
        done = _run(self.sockmon_command("check", "--json", *watch), seconds + 60)
        if not done.stdout:
            reason = done.stderr.strip() or "one of its processes died meanwhile"
            raise SockmonError(f"check failed in {self.lab.name}: {reason}")
        return msgspec.json.decode(done.stdout, type=Report)


def _has_ended(pid: int, timeout: float) -> bool:
    """Return whether the lab ends within `timeout`; the first process of a pid namespace is the last to go."""
    deadline = time.monotonic() + timeout
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True


def _run(argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=timeout, check=False, env=lab_environment()
    )


def lab_environment() -> dict[str, str]:
    """Return this environment, with a PATH that has the programs of this Python and of sbin."""
    # Inside we are root without sudo: the user who called sudo does not exist there.
    kept = {name: value for name, value in os.environ.items() if name not in INVOKER_VARIABLES}
    path = os.pathsep.join([str(Path(sys.executable).parent), namespaces.TOOL_PATH])
    return {**kept, "PATH": path}


def python_command(module: str) -> list[str]:
    """Return the command that runs `module` in an isolated interpreter that can import what this one can import.

    Unlike `-I -m`, it finds the modules of a source tree and of the tests, where `build` functions are defined."""
    code = f"import runpy, sys; sys.path[:] = {list(filter(None, sys.path))}; "
    return [sys.executable, "-I", "-c", f"{code}runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"]


@contextmanager
def run_lab(lab: Lab, progress: Progress | None = None) -> Iterator[RunningLab]:
    """Run the lab, or open its recording, while the block lasts.

    Raise LabUnavailable with the reason if it cannot run here, SockmonError if building it failed."""
    reason = unavailable_reason(lab)
    if reason and (lab.recorded or not lab.recording):
        raise LabUnavailable(f"{lab.name} cannot run here: {reason}")
    if reason or lab.recorded:
        yield RunningLab(replace(lab, build=None), recording_reason=reason)
        return
    cgroups.remove_abandoned()
    # In a new session: ^C and the end of the terminal reach us; the supervisor then reads the end of its stdin.
    process = subprocess.Popen(
        python_command("sockmon.sandbox.supervisor"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=lab_environment(), start_new_session=True,
    )  # fmt: skip
    try:
        pipe = _pipe(process.stdin)
        pipe.write(pickle.dumps(lab))
        pipe.flush()
        yield _wait_until_built(lab, _pipe(process.stdout), progress)
    finally:
        _stop(process)


def _wait_until_built(lab: Lab, messages: IO[bytes], progress: Progress | None) -> RunningLab:
    """Read the supervisor's messages until the lab is built."""
    # The lab and its parent write to one pipe: a small lab can be built before its parent has reported its pid.
    inside: dict[str, Any] = {}
    built: dict[str, Any] = {}
    for line in _read_lines(messages, lab):
        event = json.loads(line)
        if "inside" in event:
            inside = event
        elif "progress" in event:
            if progress:
                progress(*event["progress"])
        elif "built" in event:
            built = event["built"]
        elif "unavailable" in event:
            reason, *hint = event["unavailable"]
            raise LabUnavailable(f"{lab.name} cannot run here: {reason}", *hint)
        else:
            raise SockmonError(f"{lab.name} could not be built: {event['error']}")
        if inside and built:
            return RunningLab(lab, inside["inside"], inside["isolated"], **built)
    raise SockmonError(f"{lab.name} could not be built: it died")


def _read_lines(messages: IO[bytes], lab: Lab) -> Iterator[bytes]:
    rest = b""
    while True:
        if not select.select([messages], [], [], _STALL_TIMEOUT)[0]:
            raise SockmonError(f"{lab.name} could not be built: no progress for {_STALL_TIMEOUT:.0f} s")
        if not (chunk := os.read(messages.fileno(), 1 << 16)):
            return
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole


def _stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(BrokenPipeError):
        _pipe(process.stdin).close()
    try:
        process.wait(timeout=_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _pipe(process.stdout).close()
    cgroups.remove_abandoned(_STOP_TIMEOUT if process.returncode < 0 else 0.0)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe
