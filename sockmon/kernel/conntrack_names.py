"""Names of protocols and of tracked TCP states."""

from __future__ import annotations

TCP = 6
PROTOCOLS = {1: "icmp", TCP: "tcp", 17: "udp", 33: "dccp", 47: "gre", 58: "icmpv6", 132: "sctp", 136: "udplite"}
"""Names of protocols by number; another one is shown as `protocol 50`."""
UNNAMED = "protocol "
TCP_STATES = (
    *("NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT"),
    *("LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"),
)
"""enum tcp_conntrack of include/uapi/linux/netfilter/nf_conntrack_tcp.h: not the states of a socket."""
OFFLOADED = "OFFLOAD"
"""Shown instead of a state: a TCP connection in a flowtable has none."""


def protocol_name(number: int) -> str:
    """Return the name of a protocol."""
    return PROTOCOLS.get(number, f"{UNNAMED}{number}")


def state_name(state: int | None) -> str:
    """Return the name of a tracked TCP state; None: the entry is in a flowtable."""
    if state is None:
        return OFFLOADED
    return TCP_STATES[state] if state < len(TCP_STATES) else f"state {state}"
