"""Delete one flow of the connection table: IPCTNL_MSG_CT_DELETE (net/netfilter/nf_conntrack_netlink.c).

Without a tuple the kernel would flush the whole table, so a request always has the original tuple. With CTA_ID the
kernel answers ENOENT if the flow of this tuple and zone is a later one; EBUSY if it is in a flowtable.
"""

from __future__ import annotations

import socket
import struct

from sockmon.errors import NotPresent
from sockmon.kernel.conntrack import GET, MESSAGE
from sockmon.kernel.netlink import attribute, attributes, execute, request_one
from sockmon.model.conntrack_flows import Flow, FlowTuple

READER = "conntrack table"
DELETE = 0x0102
"""NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE."""
_NESTED = 0x8000
_TUPLE_ORIG, _ID, _ZONE = 1, 12, 18
_TUPLE_IP, _TUPLE_PROTO, _TUPLE_ZONE = 1, 2, 3
_ADDRESSES = {4: (socket.AF_INET, 1, 2), 6: (socket.AF_INET6, 3, 4)}
"""Family of a flow → that of the kernel, CTA_IP_V4_SRC and _DST, or those of V6."""
_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_ICMP, _ICMPV6 = 4, 7
"""CTA_PROTO_ICMP_ID and CTA_PROTO_ICMPV6_ID; type and code follow."""
_ICMPV6_NUMBER = 58


def exists(netlink: socket.socket, flow: Flow) -> bool:
    """Return whether the table still has this flow, with its id; raise ReadError; ValueError if it is invalid."""
    try:
        found = request_one(netlink, READER, GET, _identity(flow, with_id=False))
    except NotPresent:
        return False
    if found is None:
        return False
    number = attributes(found, MESSAGE, READER).get(_ID)
    return flow.id is None or number is None or int.from_bytes(number, "big") == flow.id


def delete(netlink: socket.socket, flow: Flow) -> int:
    """Delete a flow; return 0, or the errno with which the kernel refuses. Raise ReadError; ValueError if it is
    invalid."""
    return execute(netlink, READER, DELETE, _identity(flow, with_id=True))


def _identity(flow: Flow, with_id: bool) -> bytes:
    """Return struct nfgenmsg, the original tuple, and the zone."""
    if flow.family not in _ADDRESSES:
        raise ValueError("not a family of addresses")
    family = _ADDRESSES[flow.family][0]
    try:
        body = struct.pack("=BBH", family, 0, 0) + attribute(_TUPLE_ORIG | _NESTED, _tuple(flow))
        if flow.zone:
            body += attribute(_ZONE, struct.pack("!H", flow.zone))
        if with_id and flow.id is not None:
            body += attribute(_ID, struct.pack("!I", flow.id))
    except (struct.error, OSError):
        raise ValueError("an address or a number of the flow is not valid") from None
    return body


def _tuple(flow: Flow) -> bytes:
    original = flow.original
    family, source, destination = _ADDRESSES[flow.family]
    addresses = attribute(source, socket.inet_pton(family, original.source))
    addresses += attribute(destination, socket.inet_pton(family, original.destination))
    found = attribute(_TUPLE_IP | _NESTED, addresses)
    found += attribute(_TUPLE_PROTO | _NESTED, _protocol(flow.number, original))
    if original.zone is not None:
        found += attribute(_TUPLE_ZONE, struct.pack("!H", original.zone))
    return found


def _protocol(number: int, original: FlowTuple) -> bytes:
    found = attribute(_NUMBER, struct.pack("B", number))
    for kind, port in (_SOURCE_PORT, original.source_port), (_DESTINATION_PORT, original.destination_port):
        if port is not None:
            found += attribute(kind, struct.pack("!H", port))
    if original.icmp_id is not None:
        first = _ICMPV6 if number == _ICMPV6_NUMBER else _ICMP
        found += attribute(first, struct.pack("!H", original.icmp_id))
        for kind, value in (first + 1, original.icmp_type), (first + 2, original.icmp_code):
            found += attribute(kind, struct.pack("B", value or 0))
    return found
