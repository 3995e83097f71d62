"""The load is what was asked for, according to the kernel, and nothing of it is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.load import Load
from tests.netns import ROOT, child_environment

pytestmark = pytest.mark.usefixtures("needs_userns")


def states(load: Load) -> Counter[str]:
    """TCP sockets by state, as /proc/net/tcp and tcp6 of the namespace have them (hexadecimal)."""
    text = load.run(["cat", "/proc/net/tcp", "/proc/net/tcp6"]).stdout
    return Counter(words[3] for line in text.splitlines() if (words := line.split())[0] != "sl")


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def alive(load: Load) -> list[int]:
    everyone = [load.pid, *(pid for pids in load.pids.values() for pid in pids)]
    return [pid for pid in everyone if Path(f"/proc/{pid}").exists() and not zombie(pid)]


def zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize(
    ("kind", "state", "total"),
    [
        ("established", "01", 80),
        ("fin_wait2", "05", 40),
        ("time_wait", "06", 40),
        ("close_wait", "08", 40),
        ("v6", "01", 80),
        ("v4_mapped", "01", 80),
        ("syn_recv", "03", 40),
    ],
)
def test_sockets_are_in_their_state(kind: str, state: str, total: int) -> None:
    wanted: dict[str, Any] = {kind: 40}
    with Load(**wanted) as load:
        end = time.monotonic() + 10
        while states(load)[state] != total and time.monotonic() < end:
            time.sleep(0.05)  # the last FIN may still be on its way
        assert states(load)[state] == total
        assert load.facts[kind] == 40


def test_close_wait_and_fin_wait2_have_no_peers() -> None:
    with Load(close_wait=30, fin_wait2=20) as load:
        found = states(load)
    assert found == {"08": 30, "05": 20}


def test_time_wait_is_spread_over_addresses_if_there_are_few_ports() -> None:
    with Load(time_wait=1000, ports=(180, 200)) as load:
        assert states(load)["06"] == 1000
        assert load.run(["cat", "/proc/sys/net/ipv4/ip_local_port_range"]).stdout.split() == ["40000", "40199"]


@pytest.mark.parametrize("inside", [False, True])
def test_a_proxy_uses_ports_to_one_destination(inside: bool) -> None:
    with Load(ports=(180, 200), listener_inside=inside) as load:
        text = load.run(["cat", "/proc/net/tcp"]).stdout
        remote = f"0100007F:{40007 if inside else 5432:04X}"
        assert sum(line.split()[2] == remote for line in text.splitlines()) == 180
        (proxy,) = load.pids["proxy"]
        assert Path(f"/proc/{proxy}/comm").read_text() == "proxy\n"
        assert Path(f"/proc/{proxy}/cmdline").read_bytes().rstrip(b"\0") == b"proxy"
        assert descriptors(proxy) >= 180


def test_more_ports_than_the_range_has_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"proxy: OSError: .*assign requested address"), Load(ports=(201, 200)):
        pass


@pytest.mark.parametrize("used", [240, 256])
def test_a_worker_holds_exactly_its_descriptors(used: int) -> None:
    with Load(fds=(used, 256)) as load:
        (worker,) = load.pids["leaky-worker"]
        assert descriptors(worker) == used
        limits = Path(f"/proc/{worker}/limits").read_text()
        assert next(line.split()[3] for line in limits.splitlines() if line.startswith("Max open files")) == "256"


def test_a_leak_ends_at_the_limit() -> None:
    with Load(fds=(40, 64), leak=500) as load:
        (worker,) = load.pids["leaky-worker"]
        give_up = time.monotonic() + 20
        while descriptors(worker) < 64 and time.monotonic() < give_up:
            time.sleep(0.05)
        assert descriptors(worker) == 64


def test_a_stuck_listener_is_full_and_overflows() -> None:
    with Load(stuck_listener=5, overflow=7) as load:
        # 6 pairs and 7 clients that try: the queue holds one more than the backlog.
        assert states(load) == {"0A": 1, "01": 12, "02": 7}
        names, numbers = (
            line.split()[1:]
            for line in load.run(["cat", "/proc/net/netstat"]).stdout.splitlines()
            if line.startswith("TcpExt:")
        )
        assert int(dict(zip(names, numbers, strict=True))["ListenOverflows"]) >= 7


def test_udp_sockets_are_open() -> None:
    with Load(udp=50) as load:
        assert "UDP: inuse 50 " in load.run(["cat", "/proc/net/sockstat"]).stdout


@pytest.mark.usefixtures("needs_nft")
def test_flows_are_tracked() -> None:
    with Load(conntrack=500) as load:
        assert load.facts["tracked"] == 500


def test_churn_opens_and_closes() -> None:
    with Load(churn=(200, 2)) as load:
        give_up = time.monotonic() + 60
        # On loopback a connect() may take a port again that has been in TIME_WAIT for a second: not all 400 stay.
        while states(load)["06"] < 300 and time.monotonic() < give_up:
            time.sleep(0.1)
        assert 300 <= states(load)["06"] <= 400


def test_a_command_runs_inside_as_root_of_the_namespace() -> None:
    with Load() as load:
        assert load.run(["id", "-u"]).stdout == "0\n"
        inode = load.run(["stat", "-Lc", "%i", "/proc/self/ns/net"]).stdout
        assert int(inode) == load.facts["netns"] != os.stat("/proc/self/ns/net").st_ino


@pytest.mark.usefixtures("root_only")
def test_real_root_can_read_other_processes_from_inside() -> None:
    with Load(user_namespace=False) as load:
        assert load.run(["ls", "/proc/1/fd"]).returncode == 0


def test_nothing_is_left_after_the_end() -> None:
    with Load(established=20, time_wait=5, fds=(40, 64)) as load:
        assert len(alive(load)) == 5
    assert alive(load) == []


def test_nothing_is_left_when_the_caller_is_killed() -> None:
    program = (
        "import json, time\n"
        "from tests.load import Load\n"
        "with Load(established=20, fds=(40, 64)) as load:\n"
        "    print(json.dumps([load.pid, load.pids]), flush=True)\n"
        "    time.sleep(60)\n"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=child_environment(), cwd=ROOT
    )
    assert caller.stdout is not None
    pid, pids = json.loads(caller.stdout.readline())
    caller.send_signal(signal.SIGKILL)
    caller.communicate()
    _gone([pid, *(each for group in pids.values() for each in group)])


def test_a_load_dies_at_its_deadline() -> None:
    with Load(fds=(40, 64), deadline=1) as load:
        _gone([load.pid, *load.pids["leaky-worker"]])


def _gone(pids: list[int]) -> None:
    give_up = time.monotonic() + 20
    while not all(zombie(pid) for pid in pids) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert [pid for pid in pids if not zombie(pid)] == []


def test_the_command_line_runs_a_program_inside() -> None:
    command = ["cat", "/proc/sys/net/ipv4/ip_local_port_range"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.load", "--ports", "10:20", "--", *command],
        capture_output=True, text=True, env=child_environment(), cwd=ROOT, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout.split() == ["40000", "40019"]
    assert '"ports": [10, 20]' in done.stderr
