"""Counters of one namespace, by name."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sockmon.errors import ReadError
from sockmon.kernel import netstat
from sockmon.kernel.netns import open_current
from sockmon.model.snapshot import Missing
from tests.netns import inside

SNMP = b"""Ip: Forwarding OutDiscards
Ip: 1 3
Icmp: InMsgs
Icmp: 9
Tcp: MaxConn ActiveOpens CurrEstab
Tcp: -1 5 7
Udp: InErrors
Udp: 2
"""


@pytest.mark.fault("Q9")
def test_values_are_found_by_their_names() -> None:
    assert netstat.parse(SNMP, "Tcp") == {"Tcp.ActiveOpens": 5, "Tcp.CurrEstab": 7}
    assert netstat.parse(SNMP, "Ip") == {"Ip.OutDiscards": 3}


@pytest.mark.fault("Q9")
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"Tcp: ActiveOpens",
        b"Tcp: ActiveOpens\n",
        b"Tcp: ActiveOpens\nTcp: 5",
        b"Tcp: ActiveOpens\nTcp: x\n",
        b"Tcp: ActiveOpens\nUdp: 5\n",
        b"Tcp: ActiveOpens CurrEstab\nTcp: 5\n",
        b"Tcp: ActiveOpens\nTcp: 5 6\n",
        b"UdpTcp: ActiveOpens\nUdpTcp: 5\n",
    ],
)
def test_names_and_values_that_do_not_match_are_refused(text: bytes) -> None:
    with pytest.raises(ReadError):
        netstat.parse(text, "Tcp")


@pytest.mark.fault("Q9")
def test_a_malformed_section_is_missing_and_the_others_are_read(tmp_path: Path) -> None:
    net = tmp_path / "thread-self/net"
    net.mkdir(parents=True)
    (net / "snmp").write_bytes(SNMP.replace(b"Tcp: -1 5 7", b"Tcp: -1 5"))
    missing: list[Missing] = []
    handle = open_current(proc=str(tmp_path))
    assert netstat.read_counters(handle, missing) == {"Ip.OutDiscards": 3, "Udp.InErrors": 2}
    assert [item.reader for item in missing] == ["netstat", "Tcp"]
    handle.close()


def overflow() -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    handle = open_current()
    before = netstat.read_counters(handle)
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    clients = [socket.socket() for _ in range(5)]
    for client in clients:
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
    after = netstat.read_counters(handle)
    lines = (
        Path("/proc/self/net/netstat").read_text().splitlines()
        + Path("/proc/self/net/snmp").read_text().splitlines()
    )
    naive = {
        f"{head.split()[0][:-1]}.{name}": int(value)
        for head, values in zip(lines[::2], lines[1::2], strict=True)
        for name, value in zip(head.split()[1:], values.split()[1:], strict=True)
    }
    return before, after, naive


@pytest.mark.usefixtures("needs_userns")
def test_counters_move_with_the_kernel() -> None:
    before, after, naive = inside(overflow)
    assert before["TcpExt.ListenOverflows"] == 0 < after["TcpExt.ListenOverflows"]
    assert after["Tcp.ActiveOpens"] == 5
    # A retransmission may happen between the two reads.
    moving = {"TcpExt.ListenOverflows", "TcpExt.ListenDrops", "TcpExt.TCPTimeouts"}
    still = {name: value for name, value in after.items() if not name.startswith("Tcp.") and name not in moving}
    assert still == {name: naive[name] for name in still}
    assert set(after) == set(netstat.COUNTERS) & set(naive)
