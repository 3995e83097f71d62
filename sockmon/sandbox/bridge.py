"""A bridge with one veth pair to each network namespace of a lab."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress

from sockmon.sandbox import namespaces

BRIDGE, DEVICE = "br0", "eth0"
GATEWAY, PREFIX = "10.200.0.1", 16
"""The address of the bridge."""
_BRIDGE_MAC = "02:00:00:00:00:01"
_SIOCSIFADDR, _SIOCSIFNETMASK, _SIOCSIFFLAGS = 0x8916, 0x891C, 0x8914
_IFF_UP = 0x1


def address_of(number: int) -> str:
    """Return the address of the namespace with this number, from 0 to 65,000."""
    high, low = divmod(number + 2, 256)
    return f"10.200.{high}.{low}"


def disable_ipv6() -> None:
    """Let no device of this network namespace have IPv6: its multicasts would go to every port of the bridge."""
    for name in ("all", "default"):
        with suppress(OSError):
            namespaces.set_sysctl(f"net.ipv6.conf.{name}.disable_ipv6", "1")


def build_bridge() -> None:
    """Make the bridge in this network namespace."""
    # Without an address of its own it takes the lowest of its ports, and its neighbours would know an older one.
    _run_ip(
        [f"link add {BRIDGE} up address {_BRIDGE_MAC} type bridge", f"address add {GATEWAY}/{PREFIX} dev {BRIDGE}"]
    )


def plug_in(pids: Mapping[int, int]) -> None:
    """Give the namespace of each process a device at the bridge; `pids` are by number, as in `address_of`."""
    _run_ip(
        f"link add v{number} up master {BRIDGE} type veth peer name {DEVICE} netns {pid}"
        for number, pid in pids.items()
    )


def wait_for_device(address: str) -> Iterator[float]:
    """Yield pauses until this namespace has its device, then give it its address."""
    while True:
        with suppress(OSError):
            socket.if_nametoindex(DEVICE)
            break
        yield 0.05
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name, netmask = DEVICE.encode(), f"{(1 << 32) - (1 << (32 - PREFIX)):08x}"
        for request, value in (
            (_SIOCSIFADDR, socket.inet_aton(address)),
            (_SIOCSIFNETMASK, bytes.fromhex(netmask)),
        ):
            fcntl.ioctl(any_socket, request, struct.pack("16sHH4s16x", name, socket.AF_INET, 0, value))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", name, _IFF_UP))


def _run_ip(commands: Iterator[str] | list[str]) -> None:
    """Run commands of ip(8) in one process; raise RuntimeError with what it prints if one fails."""
    environment = {**os.environ, "PATH": namespaces.TOOL_PATH}
    done = subprocess.run(
        ["ip", "-batch", "-"],
        input="\n".join(commands),
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode:
        raise RuntimeError(f"ip: {done.stderr.strip()}")
