"""Delete one flow of the connection table: IPCTNL_MSG_CT_DELETE (net/netfilter/nf_conntrack_netlink.c).

Without a tuple the kernel would flush the whole table, so a request always has the original tuple. With CTA_ID the
kernel answers ENOENT if the flow of this tuple and zone is a later one; EBUSY if it is in a flowtable.
"""

from __future__ import annotations

import socket
import struct

from sockmon.kernel.conntrack_flows import flow_key
from sockmon.kernel.conntrack_layout import READER
from sockmon.kernel.netlink import attribute, execute
from sockmon.model.conntrack_flows import Flow

DELETE = 0x0102
"""NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE."""
_ID = 12


def delete(netlink: socket.socket, flow: Flow) -> int:
    """Delete a flow; return 0, or the errno with which the kernel refuses. Raise ReadError."""
    number = b"" if flow.id is None else attribute(_ID, struct.pack("!I", flow.id))
    return execute(netlink, READER, DELETE, flow_key(flow) + number)
