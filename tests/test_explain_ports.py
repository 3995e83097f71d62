"""A port or a socket path in a line of a log is looked up: who has it is what the answer begins with."""

from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from sockmon.cli.explain import explain
from sockmon.explain.evidence import evidence
from sockmon.explain.log_line import read_log_line
from sockmon.explain.observation import Observation, PortUse
from sockmon.model.detail import Socket
from tests.netns import inside, set_sysctl
from tests.snapshots import listener, netns, snapshot

TAKEN = "listen tcp :10254: bind: address already in use"
RANGE = "net.ipv4.ip_local_port_range"


def sections(text: str) -> dict[str, tuple[str, ...]]:
    return {section.name: section.paragraphs for section in explain(text).sections}


def wait_for_state(state: str, count: int) -> None:
    """Return when `count` IPv4 sockets are in `state` (a column of /proc/net/tcp), or after 10 s."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
        if sum(row.split()[3] == state for row in rows) == count:
            return
        time.sleep(0.01)


def taken_by_client(reserved: str) -> dict[str, tuple[str, ...]]:
    set_sysctl(RANGE, "10254 10255")
    with ExitStack() as stack:
        store = stack.enter_context(socket.create_server(("127.0.0.1", 2379)))
        for _ in range(2):
            stack.enter_context(socket.create_connection(("127.0.0.1", 2379)))
            stack.enter_context(store.accept()[0])
        set_sysctl(RANGE, "1024 65535")
        set_sysctl("net.ipv4.ip_local_reserved_ports", reserved)
        service = stack.enter_context(socket.socket())
        service.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            service.bind(("0.0.0.0", 10254))
        return sections(TAKEN) | {"pid": (str(os.getpid()),)}


@pytest.mark.usefixtures("needs_userns")
def test_a_client_has_the_port() -> None:
    found = inside(taken_by_client, "")
    assert len(found["Causes"]) == 1
    assert found["Causes"][0].startswith("Source port of a client")
    line = " ".join(found["This line"])
    assert f"[{found['pid'][0]}], tcp 127.0.0.1:10254 to 127.0.0.1:2379, ESTABLISHED" in line
    assert "1024–65535, and is not reserved" in line
    assert "net.ipv4.ip_local_reserved_ports=10254" in found["First remedy"][0]


def taken_over_ipv6() -> dict[str, tuple[str, ...]]:
    set_sysctl(RANGE, "10254 10255")
    with socket.create_server(("::1", 2379), family=socket.AF_INET6) as store:
        clients = [socket.create_connection(("::1", 2379)) for _ in range(2)]
        with store.accept()[0], clients[0], clients[1]:
            return sections("listen tcp [::]:10254: bind: address already in use")


@pytest.mark.usefixtures("needs_userns")
def test_a_client_over_ipv6_has_the_port() -> None:
    found = inside(taken_over_ipv6)
    assert found["Causes"][0].startswith("Source port of a client")
    assert "tcp [::1]:10254 to [::1]:2379" in " ".join(found["This line"])


@pytest.mark.usefixtures("needs_userns")
def test_a_port_that_is_reserved_already_is_not_to_be_reserved_again() -> None:
    found = inside(taken_by_client, "9000,10250-10260")
    assert "is reserved now" in " ".join(found["This line"])
    assert "First remedy" not in found


@pytest.mark.usefixtures("needs_userns")
def test_the_ports_that_are_reserved_stay_in_the_advice() -> None:
    found = inside(taken_by_client, "9000,30000-30010")
    assert found["First remedy"][0].endswith("ip_local_reserved_ports=9000,10254,30000-30010.")


def taken_by_listener(protocol: str) -> dict[str, tuple[str, ...]]:
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET6, kind) as sock:
        sock.bind(("::", 10254))
        if protocol == "tcp":
            sock.listen()
        return sections(f"listen {protocol} 0.0.0.0:10254: bind: address already in use")


@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_listener_has_the_port(protocol: str) -> None:
    found = inside(taken_by_listener, protocol)
    assert [text.partition(":")[0] for text in found["Causes"]] == ["Another listener"]
    assert f"{protocol} [::]:10254" in " ".join(found["This line"])
    assert "First remedy" not in found


def only_udp_has_it() -> dict[str, tuple[str, ...]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", 10254))
        return sections(TAKEN)


@pytest.mark.usefixtures("needs_userns")
def test_a_udp_socket_does_not_block_a_tcp_port() -> None:
    found = inside(only_udp_has_it)
    assert "No socket of this network namespace has port 10254 now" in found["This line"][0]


def left_in_time_wait() -> dict[str, tuple[str, ...]]:
    with socket.create_server(("127.0.0.1", 10254)) as server:
        client = socket.create_connection(("127.0.0.1", 10254))
        server.accept()[0].close()
        client.recv(1)
        client.close()
        wait_for_state("06", 1)
    with socket.socket() as service, pytest.raises(OSError, match="in use"):
        service.bind(("127.0.0.1", 10254))
    return sections(TAKEN)


@pytest.mark.usefixtures("needs_userns")
def test_connections_in_time_wait_have_the_port() -> None:
    found = inside(left_in_time_wait)
    assert [text.partition(":")[0] for text in found["Causes"]] == ["Old connections in TIME_WAIT"]
    assert "1 connection of port 10254" in " ".join(found["This line"])


def only_bound() -> tuple[dict[str, tuple[str, ...]], tuple[int, ...]]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 10254))
        return sections(TAKEN), tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))


@pytest.mark.usefixtures("needs_userns")
def test_a_socket_that_is_only_bound_has_the_port() -> None:
    found, release = inside(only_bound)
    if release < (6, 8):
        assert "only bound are not shown" in " ".join(found["This line"])
    else:
        assert found["Causes"][0].startswith("Bound, but not listening")


def refused() -> list[dict[str, tuple[str, ...]]]:
    with socket.create_server(("127.0.0.2", 8080)):
        return [
            sections(f"dial tcp {address}: connect: connection refused")
            for address in ("127.0.0.1:9090", "127.0.0.1:8080", "10.0.0.9:9090")
        ]


@pytest.mark.usefixtures("needs_userns")
def test_a_refused_connection_proves_something_only_about_this_host() -> None:
    absent, elsewhere, remote = inside(refused)
    assert [text.partition(":")[0] for text in absent["Causes"]] == ["Nothing listens on the port"]
    assert [text.partition(":")[0] for text in elsewhere["Causes"]] == ["Listens on another address"]
    assert len(remote["Causes"]) > 1


def unix_paths(folder: str) -> list[dict[str, tuple[str, ...]]]:
    gone, full = f"{folder}/gone.sock", f"{folder}/full.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(gone)
    with socket.socket(socket.AF_UNIX) as server, ExitStack() as clients:
        server.bind(full)
        server.listen(1)
        for _ in range(2):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            client.connect(full)
        return [
            sections(f"connect() to unix:{gone} failed (111: Connection refused) while connecting to upstream"),
            sections(f"connect() to unix:{full} failed (11: Resource temporarily unavailable)"),
        ]


@pytest.mark.usefixtures("needs_userns")
def test_the_listener_of_a_unix_path_is_looked_up(tmp_path: Path) -> None:
    gone, full = inside(unix_paths, str(tmp_path))
    assert [text.partition(":")[0] for text in gone["Causes"]] == ["Unix socket without a listener"]
    assert "No process listens at" in gone["This line"][0]
    assert [text.partition(":")[0] for text in full["Causes"]] == ["Accept queue"]
    assert "2 wait, backlog 1" in full["This line"][0]


def waiting_in_the_queue() -> dict[str, tuple[str, ...]]:
    with socket.create_server(("127.0.0.1", 8080), backlog=8) as server:
        for _ in range(5):
            socket.create_connection(("127.0.0.1", 8080)).close()
        with server.accept()[0]:
            wait_for_state("08", 5)
            return sections("CLOSE_WAIT")


@pytest.mark.usefixtures("needs_userns")
def test_close_wait_in_an_accept_queue_is_told_from_a_leak() -> None:
    found = inside(waiting_in_the_queue)
    now = found["Now"]
    assert now[0] == "CLOSE_WAIT: 5 now"
    assert now[1] == "connections in accept queues, in any state: 4"
    assert "hold no descriptor" in found["Causes"][0]
    assert "holds a descriptor" in found["Causes"][1]


def test_the_listener_of_a_syn_flood_line_has_its_own_backlog() -> None:
    text = "Possible SYN flooding on port 8080. Sending cookies."
    row = snapshot(netns=(netns(listeners=(listener(backlog=5),)),))
    found = evidence(
        read_log_line(text), Observation(None, row, {}, port=PortUse(8080, ())), "TCPReqQFullDoCookies"
    )
    assert "with a backlog of 5. The application probably asked for this backlog" in found.paragraphs[0]


def test_a_backlog_that_an_older_somaxconn_may_have_cut_is_not_called_the_applications_own() -> None:
    text = "Possible SYN flooding on port 8080. Sending cookies."
    row = snapshot(netns=(netns(listeners=(listener(backlog=128),)),))
    now = Observation(None, row, {}, port=PortUse(8080, ()))
    assert "an older net.core.somaxconn of 128" in evidence(read_log_line(text), now, "TCPReqQFullDoCookies")[1][0]


def test_what_could_not_be_read_proves_nothing() -> None:
    for use in (PortUse(10254, (), unreadable="not read: no permission"), None):
        found = evidence(read_log_line(TAKEN), Observation(None, None, {}, port=use), "EADDRINUSE")
        assert not found.keys
    assert "No process listens" not in " ".join(
        evidence(
            read_log_line("dial unix /a.sock: connect: connection refused"), Observation(None, None, {}), "x"
        )[1]
    )


def test_a_connection_whose_side_is_unknown_is_called_neither() -> None:
    row = Socket("tcp", "ESTABLISHED", "10.0.0.5:40000", "10.0.0.9:50000", 0, 0, None, None, 0, 7)
    use = PortUse(40000, (row,), {"ESTABLISHED": 1}, (), 32768, 60999, "")
    line = read_log_line("bind 10.0.0.5:40000: address already in use")
    now = Observation(None, snapshot(netns=(netns(listeners=()),)), {}, port=use)
    assert evidence(line, now, "EADDRINUSE").keys == {"client", "accepted"}
