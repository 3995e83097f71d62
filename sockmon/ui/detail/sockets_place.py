"""What opens the list of sockets: a namespace, a filter and an order, as a person would type them."""

from __future__ import annotations

from typing import NamedTuple


class SocketsPlace(NamedTuple):
    """The sockets of one namespace, or of all."""

    netns: int = 0
    """Inode of the namespace; 0: all that are watched."""
    filter: str = ""
    """In the language of the filter line."""
    sort: str = ""
    """Title of a column of the list; empty: the most bytes in the queues first."""

    def narrowed(self, field: str, value: str) -> SocketsPlace:
        """Return those of them whose `field` has this value."""
        quoted = f'"{value}"' if field == "state" else value
        return self._replace(filter=f"{self.filter} {field}:{quoted}")


def of_state(netns: int, state: str) -> SocketsPlace:
    """Return the TCP sockets in one state."""
    return SocketsPlace(netns, f'proto:tcp state:"{state}"')


def of_protocol(netns: int, protocol: str) -> SocketsPlace:
    """Return the sockets of one protocol: udp, raw, packet, unix."""
    return SocketsPlace(netns, f"proto:{protocol}")


def of_process(pid: int) -> SocketsPlace:
    """Return the sockets that a process holds, in any namespace."""
    return SocketsPlace(0, f"pid:{pid}")


def of_connection(
    netns: int, source: str = "", sport: int = 0, destination: str = "", dport: int = 0, protocol: str = "tcp"
) -> SocketsPlace:
    """Return the sockets with these addresses and ports: local, and remote; empty and 0 stand for any."""
    terms = [
        f"proto:{protocol}" if protocol else "",
        f"src:{source}" if source not in ("", "0.0.0.0", "::") else "",
        f"sport:{sport}" if sport else "",
        f"dst:{destination}" if destination not in ("", "0.0.0.0", "::") else "",
        f"dport:{dport}" if dport else "",
    ]
    return SocketsPlace(netns, " ".join(filter(None, terms)))
