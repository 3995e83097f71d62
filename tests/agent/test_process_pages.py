"""The answers about one process, whichever network namespace it is in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sockmon.agent.details import answer_query
from sockmon.agent.sampler import Sampler, open_sampler
from sockmon.errors import ReadError
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.namespaces import names, of_process
from sockmon.kernel.namespaces.cgroup_owner import owner_of_cgroup
from sockmon.kernel.netlink import run
from sockmon.kernel.setns import EntryRefused
from sockmon.model.detail import Detail, DetailQuery, ProcessDetail, ProcessQuery
from sockmon.model.process_facts import DescriptorsDetail, DescriptorsQuery, MemoryDetail, MemoryQuery
from sockmon.sources.wire import decode, encode
from tests import netns
from tests.kernel.sleepers import sleeper

SERVER = """
import fcntl, socket, struct
lo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(lo, 0x8914, struct.pack('16sh', b'lo', 0x49))  # SIOCSIFFLAGS: up
lo.close()
listener = socket.create_server(('127.0.0.1', 8080))
clients = [socket.create_connection(('127.0.0.1', 8080)) for _ in range(3)]
accepted = [listener.accept()[0] for _ in range(3)]
clients.pop().close()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('127.0.0.1', 53))
unbound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
pair = socket.socketpair()
"""


@pytest.fixture
def sampler() -> Iterator[Sampler]:
    with open_sampler(None, 1.0) as held:
        yield held


def ask(sampler: Sampler, query: DetailQuery) -> Detail:
    answer = run(answer_query(sampler, query))
    assert decode(encode(answer)) == answer
    return answer


def start_of(sampler: Sampler, pid: int) -> int:
    row = sampler.table.read_one(pid)
    assert row is not None
    return row.start


def page(sampler: Sampler, pid: int, start: int | None = None) -> ProcessDetail:
    query = ProcessQuery(pid, start_of(sampler, pid) if start is None else start)
    answer = ask(sampler, query)
    assert isinstance(answer, ProcessDetail)
    assert answer.query == query
    return answer


def descriptors(sampler: Sampler, pid: int, kind: str = "") -> DescriptorsDetail:
    answer = ask(sampler, DescriptorsQuery(pid, start_of(sampler, pid), kind))
    assert isinstance(answer, DescriptorsDetail)
    return answer


@contextmanager
def server_elsewhere() -> Iterator[subprocess.Popen[bytes]]:
    """Start SERVER in a network namespace of its own."""
    if (reason := netns.refusal()) is not None:
        pytest.skip(reason)
    own = "libc = __import__('ctypes').CDLL(None)\nif libc.unshare(0x50000000): raise SystemExit('refused')\n"
    own += "libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, as after an exec\n"
    with sleeper(own + SERVER) as process:
        yield process


def test_the_sockets_are_those_of_its_own_network_namespace(sampler: Sampler) -> None:
    with server_elsewhere() as process:
        found = page(sampler, process.pid)
        assert found.missing == ()
        assert found.netns == os.stat(f"/proc/{process.pid}/ns/net").st_ino != sampler.netns[0].handle.inode
        assert found.states == {"ESTABLISHED": 4, "CLOSE_WAIT": 1, "LISTEN": 1, "udp": 1, "unix": 2}
        assert found.remotes == {"127.0.0.1": 5}
        assert [(each.address, each.port) for each in found.listeners] == [("127.0.0.1", 8080)]
        assert found.accepted == {found.listeners[0].inode: 3}
        assert (found.connections, found.unlisted) == (5, 2)
        assert found.sockets_total == 9
        assert found.facts is not None
        assert {each.kind for each in found.facts.namespaces if not each.shared} == {"net", "user"}


def test_nothing_is_left_open_after_an_answer_about_another_namespace(sampler: Sampler) -> None:
    with server_elsewhere() as process:
        page(sampler, process.pid)
        before = os.listdir("/proc/self/fd")
        page(sampler, process.pid)
        descriptors(sampler, process.pid)
        assert os.listdir("/proc/self/fd") == before


def test_where_it_may_not_be_entered_the_text_of_the_process_is_read(
    sampler: Sampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_process, "open_in_netns", lambda *_: EntryRefused(1))
    with server_elsewhere() as process:
        found = page(sampler, process.pid)
        assert {name: count for name, count in found.states.items() if name != "unix"} == {
            "ESTABLISHED": 4, "CLOSE_WAIT": 1, "LISTEN": 1, "udp": 1,
        }  # fmt: skip
        assert any("text of /proc/net" in item.reason for item in found.missing)
        assert found.accepted == {found.listeners[0].inode: 3}


def test_descriptors_are_listed_by_number_with_the_addresses_of_sockets(sampler: Sampler) -> None:
    with server_elsewhere() as process:
        found = descriptors(sampler, process.pid)
        numbers = sorted(int(name) for name in os.listdir(f"/proc/{process.pid}/fd"))
        assert [each.number for each in found.descriptors] == numbers
        assert found.matching == found.total == len(numbers)
        by_number = {each.number: each for each in found.descriptors}
        for number, each in by_number.items():
            assert each.target == os.readlink(f"/proc/{process.pid}/fd/{number}")
        listening = [each for each in found.descriptors if each.state == "LISTEN"]
        assert [(each.kind, each.protocol, each.local) for each in listening] == [
            ("socket", "tcp", "127.0.0.1:8080")
        ]
        assert sum(each.remote == "127.0.0.1:8080" for each in found.descriptors) == 2
        only = descriptors(sampler, process.pid, "pipe")
        assert {each.kind for each in only.descriptors} == {"pipe"}
        assert (only.matching, only.total) == (len(only.descriptors), len(numbers))


def test_of_five_thousand_descriptors_the_first_are_listed_and_all_are_counted(sampler: Sampler) -> None:
    many = "import resource, socket\nresource.setrlimit(resource.RLIMIT_NOFILE, (5200, 5200))\n"
    many += "files = [os.open('/dev/null', os.O_RDONLY) for _ in range(5000)]\nlast = socket.socket()"
    if os.sysconf("SC_OPEN_MAX") < 5200:
        pytest.skip("needs 5,200 descriptors")
    with sleeper(many) as process:
        found = descriptors(sampler, process.pid)
        assert (len(found.descriptors), found.matching, found.total) == (2000, 5004, 5004)
        assert found.kinds["device"] == 5000
        assert [each.number for each in found.descriptors] == list(range(2000))
        sockets = descriptors(sampler, process.pid, "socket")
        assert [(each.number, each.target[:7]) for each in sockets.descriptors] == [(5003, "socket:")]


@pytest.mark.fault("Q1", "Q2")
def test_an_ended_process_and_a_reused_pid_are_reported_as_ended(sampler: Sampler) -> None:
    with sleeper() as process:
        start = start_of(sampler, process.pid)
        for wrong in (start + 1, start - 1):
            assert page(sampler, process.pid, wrong).process is None
            listed = ask(sampler, DescriptorsQuery(process.pid, wrong))
            assert isinstance(listed, DescriptorsDetail)
            assert (listed.total, listed.descriptors) == (None, ())
    assert page(sampler, process.pid, start).process is None
    memory = ask(sampler, MemoryQuery(process.pid, start))
    assert isinstance(memory, MemoryDetail)
    assert (memory.proportional, memory.missing[0].reason) == (None, "the process has ended")


@pytest.mark.fault("Q1")
def test_a_process_may_end_at_any_step_of_its_page(sampler: Sampler) -> None:
    for steps in range(0, 40, 3):
        with server_elsewhere() as process:
            work = answer_query(sampler, ProcessQuery(process.pid, start_of(sampler, process.pid)))
            answer = None
            try:
                for _ in range(steps):
                    next(work)
                process.kill()
                process.wait()
                answer = run(work)
            except StopIteration as end:
                answer = end.value
            assert isinstance(answer, ProcessDetail)
            if answer.process is None:
                return
    pytest.fail("the process was never seen to end")


def test_a_zombie_is_a_process_without_sockets(sampler: Sampler) -> None:
    with subprocess.Popen(["/bin/true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        found = page(sampler, process.pid)
        assert found.process is not None
        assert found.facts is not None
        assert (found.facts.state, found.sockets, found.kinds, found.missing) == ("Z", (), {}, ())


def test_a_container_is_named_by_its_cgroup(sampler: Sampler, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = "4f" * 32
    monkeypatch.setattr(names.NamespaceNames, "_read_owner", lambda *_: owner_of_cgroup(f"/docker/{digits}"))
    found = page(sampler, os.getpid())
    assert found.facts is not None
    assert found.facts.owner is not None
    assert (found.facts.owner.kind, found.facts.owner.runtime) == ("container", "docker")
    assert found.facts.owner.name == digits[:12]


def test_for_an_ordinary_user_the_page_of_another_user_says_what_needs_root(root_only: None) -> None:
    code = """
import os, sys, json, psutil
from sockmon.agent.details import answer_query
from sockmon.agent.sampler import open_sampler
from sockmon.kernel.netlink import run
from sockmon.model.detail import ProcessQuery
from sockmon.model.process_facts import DescriptorsQuery
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
with open_sampler(None, 1.0) as sampler:
    row = sampler.table.read_one({pid})
    page = run(answer_query(sampler, ProcessQuery(row.pid, row.start)))
    listed = run(answer_query(sampler, DescriptorsQuery(row.pid, row.start)))
missing = {{item.reader: item.reason for item in (*page.missing, *listed.missing)}}
print(json.dumps([page.process.fds, page.facts.resident > 0, page.netns, page.sockets_total, listed.total,
    missing]))
"""
    with server_elsewhere() as process:
        done = subprocess.run(
            [sys.executable, "-c", code.format(pid=process.pid)],
            env=netns.child_environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        fds, resident, inode, sockets, total, missing = json.loads(done.stdout)
        assert fds == len(os.listdir(f"/proc/{process.pid}/fd"))
        assert (resident, inode, sockets, total) == (True, 0, 0, None)
        assert {"descriptors", "executable", "directory", "namespaces", "I/O", "maps"} <= set(missing)
        assert all("root" in reason for reason in missing.values()), missing


def test_a_namespace_that_cannot_be_read_says_why(sampler: Sampler, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> NetnsHandle:
        raise ReadError("sockets", "needs root to enter its network namespace")

    monkeypatch.setattr(of_process.ProcessNetns, "open", refuse)
    with server_elsewhere() as process:
        found = page(sampler, process.pid)
        assert (found.netns, found.sockets) == (0, ())
        assert "needs root" in next(item.reason for item in found.missing if item.reader == "sockets")
        assert found.kinds["socket"] == 11
