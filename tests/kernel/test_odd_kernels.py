"""Kernels that return more, less or something else than this one: netlink answers and files of /proc, mutated."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockmon.errors import ReadError
from sockmon.kernel import conntrack, host, neighbours, netlink, netstat, sockstat, softnet
from sockmon.kernel.cgroups import mounts
from sockmon.kernel.processes import passwd, proc_files, rlimits, user_namespace
from sockmon.kernel.sockets import port_ranges
from sockmon.kernel.sockets.socket_rows import port_sockets
from sockmon.kernel.sockets.udp_ports import udp_ports
from tests.kernel.fake_netlink import Datagram, done, error, fake, joined, plain, tcp_socket

RTT, RETRANSMITS = 68, 100


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def _info(length: int) -> bytes:
    info = bytearray(max(length, 104))
    struct.pack_into("=I", info, RTT, 25_000)
    struct.pack_into("=I", info, RETRANSMITS, 7)
    return _attribute(2, bytes(info[:length]))


@pytest.mark.fault("N3")
@pytest.mark.parametrize(
    ("extra", "rtt", "retransmits"),
    [
        (b"", None, None),
        (_info(60), None, None),
        (_info(72), 25.0, None),
        (_info(104), 25.0, 7),
        (_info(400), 25.0, 7),
        (_attribute(99, b"later kernels") + _info(104) + _attribute(1000, b""), 25.0, 7),
        (_attribute(2, b""), None, None),
    ],
    ids=["none", "short", "older", "this", "newer", "unknown attributes", "empty"],
)
def test_tcp_info_is_read_as_far_as_it_goes(extra: bytes, rtt: float | None, retransmits: int | None) -> None:
    diag = fake(plain(joined(tcp_socket(extra=extra), done())))
    (row,) = netlink.run(port_sockets(diag, "::", 40000, 10)).sockets
    assert (row.rtt, row.retransmits) == (rtt, retransmits)


@pytest.mark.fault("Q17", "N4")
def test_a_kernel_without_ipv6_has_udp_ports_all_the_same() -> None:
    def udp(sequence: int) -> list[Datagram]:
        return plain(joined(tcp_socket(sport=40000), done()))(sequence)

    absent = fake(udp, plain(error(errno.ENOENT)))
    assert netlink.run(udp_ports(absent, 40000, 40009, ())).used == 1
    with pytest.raises(ReadError, match="ENOENT"):
        netlink.run(udp_ports(fake(plain(error(errno.ENOENT))), 40000, 40009, ()))


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


SOCKSTAT = _read("/proc/net/sockstat")
Parse = Callable[[bytes], object]
TEXTS: dict[str, tuple[bytes, Parse]] = {
    "sockstat": (_read("/proc/net/sockstat"), lambda text: sockstat.parse(text, None, None)),
    "sockstat6": (
        _read("/proc/net/sockstat6"),
        lambda text: sockstat.parse(_read("/proc/net/sockstat"), text, None),
    ),
    "protocols": (
        _read("/proc/net/protocols"),
        lambda text: sockstat.parse(_read("/proc/net/sockstat"), None, text),
    ),
    "netstat": (_read("/proc/net/netstat"), lambda text: netstat.parse(text, "TcpExt")),
    "snmp": (_read("/proc/net/snmp"), lambda text: netstat.parse(text, "Tcp")),
    "softnet_stat": (_read("/proc/net/softnet_stat"), softnet.parse),
    "arp_cache": (_read("/proc/net/stat/arp_cache"), lambda text: neighbours.parse("arp_cache", text)),
    "conntrack": (
        b"entries drop insert_failed\n00000001 00000000 0000000a\n00000001 00000002 00000000\n",
        conntrack.parse_stats,
    ),
    "loadavg": (_read("/proc/loadavg"), host.parse_loadavg),
    "last pid": (_read("/proc/loadavg"), host.parse_last_pid),
    "limits": (_read("/proc/self/limits"), rlimits.parse),
    "nofile": (_read("/proc/self/limits"), rlimits.nofile),
    "nproc": (_read("/proc/self/limits"), rlimits.nproc),
    "stat": (_read("/proc/self/stat"), proc_files.parse_stat),
    "status": (_read("/proc/self/status"), proc_files.parse_status),
    "capabilities": (_read("/proc/self/status"), proc_files.parse_capabilities),
    "cgroup paths": (_read("/proc/self/cgroup"), proc_files.parse_cgroup_paths),
    "mountinfo": (_read("/proc/self/mountinfo"), mounts.parse_mounts),
    "uid_map": (_read("/proc/self/uid_map"), user_namespace.parse_uid_map),
    "passwd": (_read("/etc/passwd"), passwd.parse),
    "ranges": (b"8080,9000-9010,40000-40100", lambda text: port_ranges.parse_reserved(text.decode("latin-1"))),
}
PIECES = [b"18446744073709551616", b"fffffffffffffffff", b"-1", b"", b"\0", b"\xff\xfe", b"\n", b" "]
PIECES += [b"9" * 400, b"0x10", b"1e3", b"\xb2"]


def _mutated(text: bytes, cuts: list[tuple[int, int, int]]) -> bytes:
    """Return `text` with pieces inserted, left out and doubled."""
    for at, kind, piece in cuts:
        place = at % (len(text) + 1)
        if kind == 0:
            text = text[:place]
        elif kind == 1:
            text = text[:place] + PIECES[piece % len(PIECES)] + text[place:]
        elif kind == 2:
            text = text[:place] + text[place + piece % 40 :]
        elif kind == 3:
            end = text.find(b"\n", place) + 1 or len(text)
            text = text[:end] + text[place:end] + text[end:]
        else:
            words = text.split(b" ")
            words[at % len(words)] = PIECES[piece % len(PIECES)]
            text = b" ".join(words)
    return text


def _parse_or_refuse(name: str, text: bytes) -> None:
    """Parse it: the result must fit into the stream; otherwise ReadError, or ValueError for the files of one
    process, which is then left out."""
    refused: list[Exception] = []
    try:
        found = TEXTS[name][1](text)
        if name not in INSIDE:
            decode_numbers(msgspec.to_builtins(found, str_keys=True))
    except (ReadError, ValueError, IndexError) as error:
        refused.append(error)
    for each in refused:
        message = each.message if isinstance(each, ReadError) else ""
        assert message.isprintable()
        assert len(message) < 300
        assert isinstance(each, ReadError) or name in OF_ONE_PROCESS, repr(each)


def decode_numbers(found: object) -> None:
    """Every number of it must fit into the stream."""
    if isinstance(found, int):
        assert -(1 << 63) <= found < 1 << 64
    elif isinstance(found, dict):
        for value in found.values():
            decode_numbers(value)
    elif isinstance(found, list | tuple):
        for value in found:
            decode_numbers(value)


OF_ONE_PROCESS = ("stat", "status", "capabilities", "uid_map")
INSIDE = ("capabilities", "uid_map", "cgroup paths", "mountinfo", "ranges", "passwd")
"""Values that are used where they are read, and never sent."""
CUTS = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 4), st.integers(0, 99)), max_size=4)


@pytest.mark.fault("Q8", "Q9")
@pytest.mark.parametrize("name", TEXTS)
@given(cuts=CUTS)
def test_mutated_text_is_parsed_or_an_error(name: str, cuts: list[tuple[int, int, int]]) -> None:
    """Truncated, binary, fields missing or doubled, 2^64, negative."""
    _parse_or_refuse(name, _mutated(TEXTS[name][0], cuts))


@pytest.mark.fault("Q8")
@pytest.mark.parametrize("name", TEXTS)
def test_empty_or_binary_text_is_parsed_or_an_error(name: str) -> None:
    for text in (b"", b"\n", b"\0" * 4096, bytes(range(256)) * 16, b"a" * 100_000, b"1 " * 50_000):
        _parse_or_refuse(name, text)


def test_the_socket_of_a_test_is_one() -> None:
    assert struct.unpack_from("=BB", tcp_socket()(1), 16) == (socket.AF_INET, 1)
