"""Questions to the kernel that statistics do not answer, asked with sockets of one network namespace that send
nothing: is there a local port for connect(), has a unix datagram socket room."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from sockmon.kernel.sockets import datagram_probe, port_probe

T = TypeVar("T")
_OPEN: dict[str, Callable[[], socket.socket | None]] = {
    "port probe": port_probe.open_probe,
    "datagram probe": datagram_probe.open_probe,
}


def open_probes() -> dict[str, int]:
    """Return a descriptor for each question, made in the namespace of the calling thread; leave out what is
    switched off or refused."""
    opened = {name: open_probe() for name, open_probe in _OPEN.items()}
    return {name: probe.detach() for name, probe in opened.items() if probe is not None}


class Probes:
    """The sockets that ask in one namespace: kept open, or opened for each question if the namespace is ours."""

    def __init__(
        self, files: dict[str, int], ours: bool, inside: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        """Take what `open_probes` returned out of `files`. `ours`: one can be opened at any time, `inside` the
        namespace."""
        self._inside = inside
        self._kept = {name: socket.socket(fileno=files.pop(name)) for name in _OPEN if name in files}
        self._ours = ours

    def finds_port(self) -> bool | None:
        """Return whether connect() finds a local port; None if the kernel cannot be asked."""
        return self._ask("port probe", port_probe.finds_port)

    def has_room(self, address: bytes) -> bool | None:
        """Return whether one more message fits into the unix datagram socket at `address`; None if the kernel
        cannot be asked."""
        return self._ask("datagram probe", lambda probe: datagram_probe.has_room(probe, address))

    def close(self) -> None:
        """Close all of them; safe to call twice."""
        for probe in self._kept.values():
            probe.close()
        self._kept.clear()
        self._ours = False

    def _ask(self, name: str, question: Callable[[socket.socket], T | None]) -> T | None:
        if name in self._kept:
            return question(self._kept[name])
        if not self._ours:
            return None
        with self._inside():
            probe = _OPEN[name]()
        if probe is None:
            return None
        with probe:
            return question(probe)
