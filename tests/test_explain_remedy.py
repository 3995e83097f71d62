"""The first remedy of an explained line is that of the program, port, path or cgroup that the line names."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from sockmon.assess import Assessor
from sockmon.explain.evidence import evidence
from sockmon.explain.explanation import build_explanation
from sockmon.explain.first_remedy import first_remedy
from sockmon.explain.log_line import read_log_line
from sockmon.explain.observation import Observation
from sockmon.explain.topics import find
from sockmon.model.snapshot import Cgroups, PidsCgroup
from tests.snapshots import listener, netns, process, snapshot


def observation() -> Observation:
    """Two programs without a free descriptor, a full queue of a port and of a path, and a full cgroup."""
    queues = (
        listener(queue=200, port=8080, inode=71),
        listener(queue=200, protocol="unix", address="/run/php-fpm.sock", port=0, inode=72),
    )
    full = snapshot(
        0.0,
        process(pid=1044, fds=1024, name="nginx"),
        process(pid=2000, fds=512, soft=512, name="redis-server"),
        process(pid=3000, fds=9, name="app"),
        netns=(netns(listeners=queues),),
        cgroups=Cgroups(0.0, (PidsCgroup("/system.slice/web.service", 900, 900, 0, "nginx", 1),), (), False),
    )
    assessor = Assessor()
    assessor.add(full)
    found = assessor.add(msgspec.structs.replace(full, at=1.0))
    return Observation(found.report, found.snapshot, {}, queries=found.queries)


NOW = observation()
FULL_QUEUE = ("accept-queue",)


@pytest.mark.parametrize(
    ("text", "pid"),
    [
        ("[crit] 1044#0: accept4() failed (24: Too many open files)", 1044),
        ("Nov 28 20:43:54 web nginx[1044]: accept4() failed (24: Too many open files)", 1044),
        ("redis-server: Accepting client connection: accept: Too many open files", 2000),
        ("redis-server[77]: Accepting client connection: accept: Too many open files", 2000),
        ("haproxy[77]: accept4() failed: Too many open files", None),
        ("[crit] 77#0: accept4() failed (24: Too many open files)", 1044),
        ("postgres[3001]: could not open file: Too many open files", None),
    ],
)
def test_only_the_program_that_the_line_names(text: str, pid: int | None) -> None:
    remedy = first_remedy(["process-fds"], NOW, read_log_line(text))
    assert (f"--pid {pid} " in remedy) if pid else remedy == ""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("connect() to 10.0.0.9:8080 failed (110: Connection timed out)", True),
        ("connect() to 10.0.0.9:9999 failed (110: Connection timed out)", False),
        ("connect() to unix:/run/php-fpm.sock failed (11: Resource temporarily unavailable)", True),
        ("connect() to unix:/run/other.sock failed (11: Resource temporarily unavailable)", False),
        ("Connection timed out", True),
    ],
)
def test_only_the_listener_that_the_line_names(text: str, named: bool) -> None:
    assert bool(first_remedy(FULL_QUEUE, NOW, read_log_line(text))) == named


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("batch[50]: fork: Resource temporarily unavailable", True),
        ("web[60]: fork: Resource temporarily unavailable", False),
        ("fork: Resource temporarily unavailable", True),
        ("ended[70]: fork: Resource temporarily unavailable", True),
    ],
)
def test_only_the_user_of_the_program_that_the_line_names(text: str, named: bool) -> None:
    full = snapshot(
        0.0,
        process(pid=50, name="batch", uid=1000, user="jobs", threads=100, nproc=100),
        process(pid=60, name="web", uid=1001, user="www", threads=1, nproc=100),
    )
    found = Assessor().add(full)
    now = Observation(found.report, found.snapshot, {}, queries=found.queries)
    assert [row.ceiling for row in now.alarms] == ["user-processes"]
    assert bool(first_remedy(["user-processes"], now, read_log_line(text))) == named


@pytest.mark.parametrize(
    ("path", "named"),
    [("/system.slice/web.service", True), ("/system.slice/web.service/task", True), ("/system.slice/db", False)],
)
def test_only_the_cgroup_that_the_line_names(path: str, named: bool) -> None:
    line = read_log_line(f"cgroup: fork rejected by pids controller in {path}")
    assert line.cgroup == path
    assert bool(first_remedy(["cgroup-pids"], NOW, line)) == named


@pytest.mark.parametrize(
    ("text", "used", "causes"),
    [
        ("[crit] 1044#0: accept4() failed (24: Too many open files)", "nginx[1044] has 1,024 of 1,024", 1),
        ("app[3000]: inotify_init: too many open files", "app[3000] has 9 of 1,024", 1),
        ("app[3000]: too many open files", "app[3000] has 9 of 1,024", 5),
        ("app[4000]: too many open files", "", 5),
    ],
)
def test_the_use_of_the_process_that_the_line_names(text: str, used: str, causes: int) -> None:
    line = read_log_line(text)
    found = build_explanation(find(text), NOW, {}, line).sections
    shown = {section.name: section.paragraphs for section in found}
    assert used in " ".join(shown.get("This line", ("",)))
    assert len(shown["Causes"]) == causes
    assert ("First remedy" in shown) == ("nginx[1044]" in used)


def test_the_maximum_of_limits_conf_is_that_of_this_machine() -> None:
    line = read_log_line("pam_limits(sshd:session): Could not set limit for 'nofile': Operation not permitted")
    assert evidence(line, NOW, "EPERM").paragraphs
    counted = replace(NOW, counters={"conntrack.drop": 7})
    shown = {section.name for section in build_explanation(find("EPERM"), counted, {}, line).sections}
    assert "Now" not in shown, "no counter proves that cause"
    assert "Now" in {section.name for section in build_explanation(find("EPERM"), counted, {}).sections}
    assert not evidence(read_log_line("Operation not permitted"), NOW, "EPERM").paragraphs


def test_the_victim_of_the_kernel_is_a_process() -> None:
    for text in (
        "mmap: java (812): VmData 4299161600 exceed data ulimit 4294967296.",
        "Memory cgroup out of memory: Killed process 812 (java) total-vm:1kB",
        "__vm_enough_memory: pid: 812, comm: java, bytes: 8 not enough memory for the allocation",
        "java[812]: mmap: Cannot allocate memory",
    ):
        line = read_log_line(text)
        assert (line.program, line.pid) == ("java", 812)


def test_without_a_line_the_first_alarm_is_meant() -> None:
    assert first_remedy(["process-fds"], NOW)
    assert not first_remedy(["process-fds"], Observation(None, None, {}, "not read"))


def test_the_other_causes_are_named_in_a_line_each() -> None:
    text = "connect() to unix:/run/php-fpm.sock failed (11: Resource temporarily unavailable)"
    explanation = build_explanation(find(text), NOW, {}, read_log_line(text))
    found = {section.name: section.paragraphs for section in explanation.sections}
    assert len(found["Causes"]) == 1
    assert len(found["Other causes"]) > 5
    assert max(map(len, found["Other causes"])) < 60
    assert "EAGAIN" in found["See also"][0]
