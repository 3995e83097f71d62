"""Whether anything has happened in the TCP of a namespace, from numbers that cost two reads: /proc/net/sockstat
and the line `Tcp:` of /proc/net/snmp (net/ipv4/proc.c).

A dump of sockets costs the kernel a walk over the hash of the whole host, or microseconds for each socket. While
these numbers are the same it would find the same sockets.
"""

from __future__ import annotations

from collections.abc import Hashable

from sockmon.errors import ReadError
from sockmon.kernel import netstat, sockstat
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.sockets import port_ranges

_OPENED = ("Tcp.ActiveOpens", "Tcp.PassiveOpens")


def read_segments(handle: NetnsHandle) -> Hashable:
    """Return what differs as soon as a segment is sent or received, or a connection begins or ends, of IPv6 too;
    None if it cannot be read. What only expires, such as a half-open connection, does not show."""
    try:
        _, _, tcp = handle.read("net/snmp").partition(b"\nTcp: ")
        own, _ = sockstat.parse(handle.read("net/sockstat"), None, None)
        return tcp.partition(b"\nUdp: ")[0], own.tcp_inuse, own.time_wait
    except ReadError:
        return None


def read_opened(handle: NetnsHandle) -> Hashable:
    """Return what differs as soon as a TCP socket is opened, connected, accepted or closed, and the range of
    ephemeral ports; None if it cannot be read. A socket that is only bound, later than it was opened, does not
    show."""
    try:
        own, shared = sockstat.parse(handle.read("net/sockstat"), None, None)
        counters = netstat.parse(handle.read("net/snmp"), "Tcp")
        opened = tuple(counters.get(name) for name in _OPENED)
        # That of the whole host is the only number that has those that are not connected.
        return *opened, own.tcp_inuse, own.time_wait, shared.tcp_allocated, port_ranges.read(handle)
    except ReadError:
        return None
