"""NodePorts: ports that Kubernetes gives to services of the node. Nothing listens there, so nothing protects them
from connect() but net.ipv4.ip_local_reserved_ports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sockmon.model.snapshot import Process
from sockmon.port_lists import count_in

RESERVED_PORTS = "net.ipv4.ip_local_reserved_ports"
NODE_PORTS = (30000, 32767)
"""The default range that Kubernetes gives to services of type NodePort."""
KUBERNETES = ("kube-proxy", "kubelet", "kubelite", "k3s", "k3s-server", "k3s-agent", "rke2", "k0s", "cilium-agent")


class NodePorts(NamedTuple):
    """The NodePorts inside a range, and the process that shows that this host has some."""

    process: str
    first: int
    last: int


def kubernetes_process(processes: Iterable[Process]) -> str:
    """Return the name of a process that shows that Kubernetes runs here; empty if it does not."""
    return next((row.name for row in processes if row.name in KUBERNETES), "")


def unreserved_node_ports(
    low: int, high: int, reserved: Iterable[tuple[int, int]], kubernetes: str
) -> NodePorts | None:
    """Return the NodePorts in low..high if Kubernetes runs here, as a process of this name shows, and not all of
    them are reserved."""
    first, last = max(low, NODE_PORTS[0]), min(high, NODE_PORTS[1])
    if not kubernetes or first > last or count_in(reserved, first, last) == last - first + 1:
        return None
    return NodePorts(kubernetes, first, last)
