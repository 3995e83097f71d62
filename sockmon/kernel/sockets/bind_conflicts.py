"""Which ports bind(address, 0) cannot get because sockets of other addresses or devices have them.

The rules are those of inet_csk_bind_conflict() and inet_rcv_saddr_equal() (net/ipv4/inet_connection_sock.c):
sockets of two devices never conflict; 0.0.0.0 conflicts with each IPv4 address, :: with each IPv6 one and, unless
it has IPV6_V6ONLY, with each IPv4 one.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from sockmon.kernel.sockets.sock_diag import split_pool


def conflicting_ports(pool: bytes, holders: Mapping[bytes, Set[int]], v6only: Set[int]) -> set[int]:
    """Return the ports of `holders` that a socket of `pool` cannot bind, without those of `pool` itself.

    Both are named by sock_diag.pool(). `v6only`: the ports that sockets of :: have for IPv6 only."""
    address, device = split_pool(pool)
    own = holders.get(pool, set())
    for_v6_only = len(address) == 16 and bool(own) and own <= v6only
    found: set[int] = set()
    for name, ports in holders.items():
        other, other_device = split_pool(name)
        if name == pool or (device and other_device and device != other_device):
            continue
        if other == address or _covers(other, address, for_v6_only):
            found |= ports - v6only if len(other) > len(address) else ports
        elif _covers(address, other, for_v6_only):
            found |= ports
    return found - own


def _covers(wildcard: bytes, address: bytes, for_v6_only: bool) -> bool:
    """Return whether `wildcard` is 0.0.0.0 or ::, and stands for `address` too."""
    if any(wildcard):
        return False
    return len(wildcard) == len(address) or (not for_v6_only and (len(wildcard) == 16 or not any(address)))
