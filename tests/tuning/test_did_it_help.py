"""Did it help: real changes on labs, sampled by `tune history` and `tune keep`, and kept in the history."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from sockmon.errors import LabUnavailable
from sockmon.labs import find_lab
from sockmon.model.outcome import Outcome, OutcomeKind
from sockmon.model.transaction import Transaction
from sockmon.sandbox.session import RunningLab, python_command, run_lab
from tests.tuning.sample_change import RANGE

pytestmark = pytest.mark.usefixtures("needs_userns")

PATIENCE = 180.0
ABOUT_THE_ALARM = """
from sockmon.cli.tune import context_and_observation
from sockmon.tuning.planning.plan import make_plan
from sockmon.tuning.planning.reasons import with_reasons
from sockmon.tuning.transaction.actor import current_actor
from sockmon.tuning.transaction.client import apply

wanted = {"net.ipv4.tcp_tw_reuse": "1"}
context, now = context_and_observation(wanted, None)
alarm = now.alarms[0]
plan = with_reasons(make_plan(wanted, context).plan, now.report, now.snapshot, alarm.key)
assert apply(plan, current_actor(), 600.0).state == "holding"
"""
"""What the screen does if its panel was opened on the first alarm, and another setting is changed."""
FULL_PROCESS = """
import subprocess, sys

code = "import resource, os; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64));"
code += "files = [os.dup(0) for _ in range(61)]; print(flush=True); input()"
child = subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1)
child.stdout.readline()
"""
"""Starts a process without free descriptors."""
END_OF_IT = "child.kill()"
SERVER = """
import socket, time

with socket.create_server(("", 8090), backlog=2048) as listener:
    listener.setblocking(False)
    while True:
        time.sleep(0.2)
        try:
            while True:
                listener.accept()[0].close()
        except BlockingIOError:
            pass
"""
"""A server that asks for a long backlog, and accepts five times per second."""
CLIENTS = """
import socket, time

while True:
    clients = [socket.socket() for _ in range(60)]
    for client in clients:
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", 8090))
    time.sleep(0.2)
    for client in clients:
        client.close()
"""
OVERFLOWED = """
import time
from pathlib import Path

def overflows():
    names, values = (row.split() for row in Path("/proc/net/netstat").read_text().splitlines()[:2])
    return int(values[names.index("ListenOverflows")])

while not overflows():
    time.sleep(0.1)
"""
OPEN_FILES = "import os, time; files = [os.dup(0) for _ in range(61)]; time.sleep(3600)"
"""A program that opens 64 files, however many it may open."""


class Changes:
    """Runs `sockmon tune` in a lab."""

    def __init__(self, lab: RunningLab) -> None:
        self._lab = lab

    def tune(self, *argv: str) -> tuple[str, str]:
        """Return what it prints to standard output and standard error."""
        done = self._lab.run([*python_command("sockmon"), "tune", *argv], timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    def python(self, code: str) -> None:
        """Run code in the lab."""
        done = self._lab.run([sys.executable, "-c", code], timeout=120)
        assert done.returncode == 0, done.stderr

    def start(self, code: str, nofile: int = 4096) -> None:
        """Start a program that goes on in the lab, with a limit of open files."""
        self.python(
            "import resource, subprocess, sys\n"
            f"resource.setrlimit(resource.RLIMIT_NOFILE, ({nofile}, {nofile}))\n"
            f"subprocess.Popen([sys.executable, '-c', {code!r}], start_new_session=True, **dict.fromkeys(\n"
            "    ('stdin', 'stdout', 'stderr'), subprocess.DEVNULL))\n"
        )

    def end_the_process(self) -> None:
        """Kill the process that the only reason of the pending change is about."""
        identity = self.newest().plan.reasons[0].identity
        assert identity is not None
        self.python(f"import os; os.kill({identity.pid}, 9)")

    def newest(self) -> Transaction:
        """Return the newest change, a pending one as it is sampled now."""
        return msgspec.json.decode(self.tune("history", "--json")[0].splitlines()[0], type=Transaction)

    def until(self, kind: OutcomeKind) -> Outcome:
        """Sample the pending change until its one outcome is of this kind."""
        end = time.monotonic() + PATIENCE
        while (found := self.newest()).outcomes[0].kind != kind:
            assert found.state == "holding", found
            assert time.monotonic() < end, found
        return found.outcomes[0]


@contextmanager
def changes(name: str) -> Iterator[Changes]:
    try:
        with run_lab(find_lab(name)) as lab:
            if not lab.isolated:
                pytest.skip("this kernel does not allow mounting a /proc here")
            yield Changes(lab)
    except LabUnavailable as refused:
        pytest.skip(refused.message)


def test_a_change_that_helps() -> None:
    with changes("ephemeral-ports") as lab:
        _, said = lab.tune("apply", f"{RANGE}=20000 60000", "--yes", "--hold", "600")
        held = lab.newest()
        assert [(each.ceiling, each.severity) for each in held.plan.reasons] == [("ephemeral-ports", "hit")]
        assert held.plan.reasons[0].subject in said
        found = lab.until("left")
        assert (found.before, found.limit_before, found.limit) == ("hit", 200, 40001)
        _, said = lab.tune("keep")
        assert held.plan.reasons[0].subject in said
        kept = lab.newest()
        assert (kept.state, [each.kind for each in kept.outcomes]) == ("kept", ["left"])
        text, _ = lab.tune("history")
        assert held.plan.reasons[0].subject in text


def test_a_change_that_is_not_enough() -> None:
    with changes("ephemeral-ports") as lab:
        lab.tune("apply", f"{RANGE}=40000 40249", "--yes", "--hold", "600")
        found = lab.until("unchanged")
        assert (found.severity, found.limit_before, found.limit) == ("hit", 200, 250)
        lab.tune("revert")
        ended = lab.newest()
        assert (ended.state, ended.outcomes[0].kind) == ("reverted", "unchanged")


def test_a_change_of_another_setting() -> None:
    with changes("accept-queue") as lab:
        lab.python(ABOUT_THE_ALARM)
        found = lab.until("unchanged")
        assert (found.ceiling, found.severity) == ("accept-queue", "hit")
        assert any(rate > 0 for _, rate in found.rates)
        lab.tune("keep")
        kept = lab.newest()
        assert (kept.state, kept.outcomes[0].kind) == ("kept", "unchanged")


def test_no_alarm_has_the_setting_as_its_remedy_and_a_process_that_has_ended() -> None:
    with changes("idle-box") as lab:
        lab.tune("apply", "net.core.somaxconn=8192", "--yes", "--hold", "600")
        assert lab.newest().plan.reasons == ()
        lab.tune("keep")
        assert (lab.newest().state, lab.newest().outcomes) == ("kept", ())
        lab.python(FULL_PROCESS + ABOUT_THE_ALARM + END_OF_IT)
        found = lab.until("unknown")
        assert (found.ceiling, found.cause) == ("process-fds", "ended")
        lab.tune("keep")
        assert [each.kind for each in lab.newest().outcomes] == ["unknown"]


def test_a_server_that_is_restarted_with_a_longer_backlog() -> None:
    with changes("idle-box") as lab:
        lab.tune("apply", "net.core.somaxconn=16", "--yes", "--hold", "600")
        lab.tune("keep")
        lab.start(SERVER)
        lab.start(CLIENTS)
        lab.python(OVERFLOWED)
        lab.tune("apply", "net.core.somaxconn=4096", "--yes", "--hold", "600")
        (reason,) = lab.newest().plan.reasons
        assert (reason.ceiling, reason.limit) == ("accept-queue", 16)
        lab.end_the_process()
        assert lab.until("unknown").cause == "ended"
        lab.start(SERVER)
        found = lab.until("left")
        assert (found.before, found.limit_before, found.limit) == ("hit", 16, 2048)
        assert found.new_process is not None
        assert f"[{found.new_process.pid}]" not in reason.subject
        _, said = lab.tune("keep")
        assert f"[{found.new_process.pid}]" in said
        assert f"[{found.new_process.pid}]" in lab.tune("history")[0]


def test_a_process_that_is_restarted_with_its_old_limit_and_with_a_higher_one() -> None:
    with changes("idle-box") as lab:
        lab.start(OPEN_FILES, nofile=64)
        lab.python(ABOUT_THE_ALARM)
        lab.end_the_process()
        lab.start(OPEN_FILES, nofile=64)
        again = lab.until("unchanged")
        assert (again.ceiling, again.limit) == ("process-fds", 64)
        assert again.new_process is not None
        lab.python(f"import os; os.kill({again.new_process.pid}, 9)")
        lab.start(OPEN_FILES, nofile=4096)
        found = lab.until("left")
        assert (found.limit_before, found.limit) == (64, 4096)
        assert found.new_process not in (None, again.new_process)
