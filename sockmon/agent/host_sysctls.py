"""The sysctls of the host, and why some of them are not visible."""

from __future__ import annotations

from sockmon.kernel import sysctl
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.model.snapshot import Missing

INITIAL_NETNS_KEYS = (
    "net.core.netdev_max_backlog",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_mem",
    "net.ipv4.udp_mem",
)


def read_host_sysctls(own: NetnsHandle, missing: list[Missing]) -> dict[str, str]:
    """Return the values by key, read through our own namespace; what is not there goes to `missing`."""
    found = sysctl.read_all(own, sysctl.HOST_KEYS, missing)
    noted = {entry.reader for entry in missing}
    missing += [
        Missing(key, "is visible in the initial network namespace only")
        for key in INITIAL_NETNS_KEYS
        if key not in found and key not in noted
    ]
    return found
