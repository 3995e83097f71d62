"""The services of IPVS of one namespace, from /proc/net/ip_vs: ip_vs_info_seq_show() of ip_vs_ctl.c.

The file has all that the page shows. Asking generic netlink for IPVS would load its module, and needs
CAP_NET_ADMIN."""

from __future__ import annotations

import socket
from contextlib import suppress

from sockmon.model.netns_rules import MAX_ROWS, IpvsDestination, IpvsService
from sockmon.text import sanitize

READER = "IPVS"
FILE = "/proc/thread-self/net/ip_vs"
MAX_DESTINATIONS = 50
_PROTOCOLS = ("TCP", "UDP", "SCTP", "FWM")


def parse_services(text: bytes) -> tuple[tuple[IpvsService, ...], int]:
    """Return the services, at most MAX_ROWS, and how many there are; leave out lines of another form."""
    services: list[tuple[list[str], list[IpvsDestination], list[int]]] = []
    for line in text.decode("utf-8", "replace").splitlines():
        fields = line.split()
        if fields and fields[0] in _PROTOCOLS and len(fields) >= 3:
            services.append((fields, [], [0]))
        elif services and len(fields) == 6 and fields[0] == "->":
            _, rows, total = services[-1]
            with suppress(ValueError):
                weight, active, inactive = map(int, fields[3:])
                total[0] += 1
                if len(rows) < MAX_DESTINATIONS:
                    rows.append(
                        IpvsDestination(_endpoint(fields[1]), sanitize(fields[2], 20), weight, active, inactive)
                    )
    listed = tuple(
        IpvsService(head[0], _endpoint(head[1]), sanitize(head[2], 20), tuple(rows), total[0])
        for head, rows, total in services[:MAX_ROWS]
    )
    return listed, len(services)


def _endpoint(text: str) -> str:
    """Return `192.0.2.1:80` for `C0000201:0050`, `[2001:db8::1]:80`; a mark as it is."""
    address, _, port = text.rpartition(":")
    try:
        if len(address) == 8:
            return f"{socket.inet_ntop(socket.AF_INET, bytes.fromhex(address))}:{int(port, 16)}"
        if address.startswith("["):
            packed = socket.inet_pton(socket.AF_INET6, address.strip("[]"))
            return f"[{socket.inet_ntop(socket.AF_INET6, packed)}]:{int(port, 16)}"
    except (OSError, ValueError):
        pass
    return sanitize(text, 60)
