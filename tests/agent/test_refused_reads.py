"""Reads that the kernel, or a sandbox around sockmon, refuses: the rest is shown, and what is missing is named."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sockmon.agent.details import answer_query
from sockmon.agent.sampler import open_sampler
from sockmon.kernel import namespace_files
from sockmon.kernel.netlink import run
from sockmon.model.detail import ProcessDetail, ProcessQuery
from sockmon.model.snapshot import Snapshot
from sockmon.sources.wire import decode
from tests import seccomp
from tests.agent.test_part import parts
from tests.netns import child_environment
from tests.seccomp import no_netlink, sockmon_without, without_netlink

ALWAYS_KNOWN = {"process-fds", "system-fds", "pid-max", "ephemeral-ports", "udp-ports", "time-wait-buckets"}


@pytest.fixture
def needs_seccomp() -> None:
    """Skip where no seccomp filter can be set."""
    if reason := seccomp.why_not():
        pytest.skip(reason)


def _report(done: subprocess.Popen[bytes]) -> dict[str, Any]:
    out, err = done.communicate(timeout=120)
    assert done.returncode in (0, 1, 2, 3), err.decode()
    assert b"Traceback" not in err
    report: dict[str, Any] = json.loads(out)
    return report


def _known(report: dict[str, Any]) -> set[str]:
    return {row["ceiling"] for row in report["readings"] if row["severity"] != "unknown"}


def _said(report: dict[str, Any]) -> str:
    return " ".join(f"{item['reader']}: {item['reason']}" for item in report["missing"])


@pytest.mark.fault("R21", "N4")
@pytest.mark.usefixtures("needs_seccomp")
@pytest.mark.parametrize("code", [errno.EPERM, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ENOMEM])
def test_without_netlink_the_text_files_are_read_and_that_is_reported(code: int) -> None:
    report = _report(sockmon_without(without_netlink(code), "check", "--json", "--here"))
    assert _known(report) >= ALWAYS_KNOWN
    assert "sock_diag: netlink is refused" in _said(report)
    assert "text of /proc/net" in _said(report)
    queues = [row for row in report["readings"] if row["ceiling"] in ("accept-queue", "syn-queue")]
    assert {row["severity"] for row in queues} == {"unknown"}
    assert {row["limit"] for row in queues} == {None}, "a backlog that is not shown is unknown, never 0"


@pytest.mark.fault("R21")
@pytest.mark.usefixtures("needs_seccomp")
def test_without_netlink_the_agent_sends_listeners_and_states() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        agent = sockmon_without(without_netlink(errno.EPERM), "agent", "--attached", "--interval", "0.2")
        with agent:
            assert agent.stdout
            agent.stdout.readline()
            for _ in range(50):
                snapshot = decode(agent.stdout.readline())
                assert isinstance(snapshot, Snapshot)
                seen = snapshot.netns[0]
                if seen.states and seen.ports and seen.udp:
                    break
            agent.kill()
    (mine,) = [row for row in seen.listeners or () if row.port == port]
    assert mine.backlog is None
    assert mine.queue == 0
    assert seen.states
    assert seen.states.tcp["LISTEN"].total >= 1
    assert seen.ports
    assert seen.udp


def _gives_up(code: int) -> tuple[bool, bool, str]:
    """Sockets that can be made and are not answered: as a policy of nlmsg_read, or a kernel without inet_diag."""
    from sockmon.agent import listener_sampler
    from sockmon.errors import Forbidden, NotPresent
    from sockmon.kernel.netlink import Incremental
    from sockmon.kernel.sockets.listeners import listeners
    from sockmon.kernel.sockets.sock_diag import TextDiag

    def only_text(diag: Any) -> Incremental[Any]:
        if not isinstance(diag, TextDiag):
            raise (Forbidden if code == errno.EACCES else NotPresent)("sock_diag", "the kernel refuses")
        return (yield from listeners(diag))

    with pytest.MonkeyPatch.context() as patched, open_sampler(None, 1.0) as kernel:
        patched.setattr(listener_sampler, "listeners", only_text)
        kernel.sample(complete=True)
        snapshot = kernel.sample(complete=True)
        said = " ".join(item.reason for item in snapshot.missing)
        return snapshot.netns[0].listeners is not None, kernel.netns[0].handle.netlink_fallback is not None, said


@pytest.mark.fault("N4")
@pytest.mark.parametrize("code", [errno.EACCES, errno.EOPNOTSUPP])
def test_sockets_that_are_not_answered_are_given_up(code: int) -> None:
    listed, text, said = _gives_up(code)
    assert listed
    assert text
    assert "netlink is refused" in said


@pytest.mark.fault("N10", "N12")
@pytest.mark.usefixtures("needs_seccomp")
def test_without_ctnetlink_the_counters_of_connection_tracking_serve() -> None:
    report = _report(sockmon_without(lambda: no_netlink(errno.EPERM, 12), "check", "--json"))
    loaded = Path("/proc/sys/net/netfilter/nf_conntrack_count").exists()
    assert ("conntrack-table" in _known(report)) == loaded
    assert "accept-queue" in _known(report)
    assert "sock_diag" not in _said(report)


FILES: list[tuple[str, str, set[str]]] = [
    ("net/sockstat", "sockstat", {"sockstat", "memory", "states"}),
    ("net/sockstat6", "sockstat6", set()),
    ("net/protocols", "protocols", set()),
    ("net/netstat", "netstat", set()),
    ("net/snmp", "snmp", {"states"}),
    ("sys/net/ipv4/ip_local_port_range", "ports", {"ports", "udp"}),
    ("sys/fs/file-nr", "fs.file-nr", {"files"}),
    ("loadavg", "loadavg", {"tasks"}),
    ("meminfo", "meminfo", {"available_memory"}),
    ("net/softnet_stat", "softnet", {"softnet"}),
    ("net/stat/arp_cache", "", set()),
]


@pytest.mark.fault("Q8")
@pytest.mark.parametrize("code", [errno.ENOENT, errno.EACCES, errno.EIO])
@pytest.mark.parametrize(("path", "reader", "lost"), FILES, ids=[row[0] for row in FILES])
def test_a_file_that_cannot_be_opened_is_missing_alone(
    monkeypatch: pytest.MonkeyPatch, path: str, reader: str, lost: set[str], code: int
) -> None:
    with open_sampler(None, 1.0) as kernel:
        whole = parts(kernel.sample(complete=True))
    opened = namespace_files.open_file

    def failing(name: str, proc: str = "/proc") -> int:
        if name == path:
            raise OSError(code, os.strerror(code))
        return opened(name, proc)

    monkeypatch.setattr(namespace_files, "open_file", failing)
    with open_sampler(None, 1.0) as kernel:
        snapshot = kernel.sample(complete=True)
    assert whole - parts(snapshot) <= lost | ({"neighbours"} if "arp_cache" in path else set()), snapshot.missing
    optional = code == errno.ENOENT and path in ("net/sockstat6", "net/protocols")  # older kernels, no IPv6
    if reader and not optional:
        assert reader in {item.reader for item in snapshot.missing}, snapshot.missing


def _check_with(path: str, over: str) -> dict[str, Any]:
    """Run `check` in a private mount namespace with `over` mounted on `path`."""
    script = f'mount --bind {over} {path}\nexec "$@"'
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-ec", script, "sh", sys.executable, "-m", "sockmon", "check", "--json"],
        capture_output=True, env=child_environment(), check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode in (0, 1, 2, 3), done.stderr.decode()
    assert b"Traceback" not in done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.fault("Q8", "S19")
@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize(
    ("path", "lost"),
    [
        ("/proc/sys/net/ipv4/ip_local_port_range", {"ephemeral-ports", "bound-ports", "udp-ports"}),
        ("/proc/sys/fs/file-nr", {"system-fds"}),
        ("/proc/loadavg", {"pid-max", "threads-max"}),
    ],
    ids=["range", "file-nr", "loadavg"],
)
def test_a_file_that_a_sandbox_has_masked_is_missing_alone(path: str, lost: set[str]) -> None:
    """As the masked paths of a container runtime do it: an empty file over it."""
    unknown = _check_with(path, "/dev/null")
    assert not lost & _known(unknown)
    assert _known(unknown) >= ALWAYS_KNOWN - lost | {"accept-queue"}


@pytest.mark.fault("Q8", "Q13")
@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize("code", ["EIO", "ENOMEM", "EACCES"])
@pytest.mark.parametrize("path", ["/proc/loadavg", "/proc/sys/fs/file-nr"])
def test_an_error_of_the_kernel_for_one_file_is_missing_alone(path: str, code: str) -> None:
    inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", path, "-e", f"inject=openat:error={code}"]
    command = [*inject, sys.executable, "-m", "sockmon", "check", "--json"]
    done = subprocess.run(command, capture_output=True, env=child_environment(), check=False, timeout=180)
    if b"PTRACE" in done.stderr or not done.stdout:
        pytest.skip(f"strace cannot be used here: {done.stderr.decode()[:200]}")
    report = json.loads(done.stdout)
    assert _known(report) >= {"process-fds", "accept-queue", "ephemeral-ports"}
    assert {item["reader"] for item in report["missing"]} & {"loadavg", "fs.file-nr"}


def _one_port(reserve: str) -> tuple[dict[str, Any], int]:
    from tests.netns import set_sysctl

    set_sysctl("net.ipv4.ip_local_port_range", "40000 40000")
    if reserve:
        set_sysctl("net.ipv4.ip_local_reserved_ports", reserve)
    done = subprocess.run(
        [sys.executable, "-m", "sockmon", "check", "--json"],
        capture_output=True, env=child_environment(), check=False, timeout=120,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report, done.returncode


@pytest.mark.fault("S14")
@pytest.mark.usefixtures("needs_userns")
def test_a_range_without_a_usable_port_is_a_hit_and_not_a_fault() -> None:
    from tests.netns import inside

    report, code = inside(_one_port, "40000")
    (ports,) = [row for row in report["readings"] if row["ceiling"] == "ephemeral-ports"]
    assert (ports["used"], ports["limit"], ports["severity"], code) == (0, 0, "hit", 2)
    assert "failed" not in _said(report)
    report, _ = inside(_one_port, "")
    (ports,) = [row for row in report["readings"] if row["ceiling"] == "ephemeral-ports"]
    assert (ports["used"], ports["limit"]) == (0, 1)


@pytest.mark.fault("R21")
@pytest.mark.usefixtures("needs_seccomp", "needs_userns")
def test_another_namespace_is_read_from_text_too() -> None:
    code = (
        "import socket, sys\nheld = socket.create_server(('127.0.0.1', 7777))\nprint(flush=True)\nsys.stdin.read()"
    )
    argv = ["unshare", "-Urn", sys.executable, "-c", "import os; os.system('ip link set lo up')\n" + code]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as there:
        assert there.stdout
        assert there.stdout.readline() == b"\n"
        verb = ("check", "--json", "--netns", str(there.pid))
        report = _report(sockmon_without(without_netlink(errno.EPERM), *verb))
        there.kill()
    assert _known(report) >= {"ephemeral-ports", "udp-ports", "time-wait-buckets"}
    assert "sock_diag: netlink is refused" in _said(report)


@pytest.mark.fault("R21")
def test_one_process_is_shown_with_its_sockets_from_text() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()),
        open_sampler(None, 1.0) as kernel,
    ):
        kernel.netns[0].handle.fall_back_to_text(errno.EPERM)
        snapshot = kernel.sample(complete=True)
        assert snapshot.processes
        mine = next(row for row in snapshot.processes.rows if row.pid == os.getpid())
        detail = run(answer_query(kernel, ProcessQuery(mine.pid, mine.start)))
    assert isinstance(detail, ProcessDetail)
    port = f":{detail.listeners[0].port}"
    assert detail.listeners[0].backlog is None
    assert any(row.remote.endswith(port) and row.state == "ESTABLISHED" for row in detail.sockets)
    assert any("/proc/net/unix" in item.reason for item in detail.missing)
