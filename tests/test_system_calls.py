"""sockmon does not change the host: strace(1) records its system calls while it samples."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from sockmon.sandbox.namespaces import TOOL_PATH, set_sysctl
from tests.netns import child_environment, inside
from tests.tuning.sysctl_programs import cover, private_mounts

pytestmark = [
    pytest.mark.usefixtures("needs_userns"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

MARK = "a-file-behind-a-descriptor"
DROP = "add table inet t; add chain inet t c { type filter hook output priority 0; policy drop; };"


def traced(*argv: str) -> tuple[dict[str, object], list[str]]:
    """What `sockmon check` reports as JSON, and its system calls that open, look up or send something."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, "trace")
        done = subprocess.run(
            ["strace", "-f", "-qq", "-s", "200", "-e", "trace=%network,%file,setns", "-o", str(trace),
             sys.executable, "-m", "sockmon", "check", "--json", *argv],
            capture_output=True, text=True, env=child_environment(), timeout=120, check=False,
        )  # fmt: skip
        assert done.stdout, done.stderr
        return json.loads(done.stdout), trace.read_text().splitlines()


def without_ports() -> tuple[list[str], list[str], list[str]]:
    """Ceilings that are hit, families of the sockets that were made, and calls that name a file that is open."""
    set_sysctl("net.ipv4.ip_local_port_range", "40000 40001")
    with socket.create_server(("127.0.0.1", 9000)) as server, tempfile.TemporaryDirectory() as folder:
        clients = []
        with suppress(OSError):
            while True:
                clients.append(socket.create_connection(server.getsockname()))
        if nft := shutil.which("nft", path=TOOL_PATH):
            # As with a full table of tracked connections: no new flow leaves.
            subprocess.run([nft, DROP], check=True)
        with open(Path(folder, MARK), "w"):
            report, calls = traced("--watch", "1")
        for client in clients:
            client.close()
    readings = report["readings"]
    assert isinstance(readings, list)
    families = re.findall(r"\bsocket\((\w+)", "\n".join(calls))
    return (
        [each["ceiling"] for each in readings if each["severity"] == "hit"],
        sorted(set(families) | {call for call in calls if "connect(" in call or "sin_addr" in call}),
        [re.sub(r"^\d+ +", "", call).partition("(")[0] for call in calls if MARK in call],
    )


@pytest.mark.fault("R18", "R19", "R23", "R24")
def test_it_opens_no_connection_and_touches_no_open_file() -> None:
    hits, sockets, touched = inside(without_ports)
    assert "ephemeral-ports" in hits
    assert sockets == ["AF_NETLINK"]
    # The walk over descriptors came by, and read the link.
    assert set(touched) <= {"readlinkat", "readlink"}
    assert touched


def another_namespace() -> tuple[set[str], set[str], str]:
    """Processes that entered a network namespace, those that were there, and what is reported of it."""
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo ready; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as there:
        assert there.stdout is not None
        assert there.stdout.readline() == b"ready\n"
        report, calls = traced("--netns", str(there.pid))
        there.kill()
    pids = [call.partition(" ")[0] for call in calls]
    entered = {call.partition(" ")[0] for call in calls if "setns(" in call}
    return entered, {pids[0]}, str(report["netns"])


@pytest.mark.fault("X6")
def test_only_a_child_enters_another_namespace() -> None:
    entered, main, name = inside(another_namespace)
    assert entered
    assert not entered & main
    assert name


def without_conntrack() -> tuple[str, list[str]]:
    """What is reported of the table, and the netlink protocols that were spoken: a host without the module."""
    private_mounts()
    cover("/proc/sys/net/netfilter", "")
    report, calls = traced()
    missing = report["missing"]
    assert isinstance(missing, list)
    reasons = [each["reason"] for each in missing if "conntrack" in each["reader"]]
    return " ".join(reasons), re.findall(r"NETLINK_[A-Z_]+", "\n".join(calls))


@pytest.mark.fault("N10")
def test_sampling_loads_no_kernel_module() -> None:
    if not os.path.exists("/proc/sys/net/netfilter"):
        pytest.skip("nf_conntrack is not loaded here, so nothing has to be hidden")
    reason, protocols = inside(without_conntrack)
    assert "nf_conntrack is not loaded" in reason
    assert "NETLINK_SOCK_DIAG" in protocols
    assert "NETLINK_NETFILTER" not in protocols
