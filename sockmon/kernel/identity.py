"""Which boot, kernel release and network namespace this is: what a value that was read holds for."""

from __future__ import annotations

import os
import re
import socket
import sys
from contextlib import suppress

OWN_NETNS = "/proc/thread-self/ns/net"
_SO_NETNS_COOKIE, _COOKIE_BYTES = 71, 8


def boot_id() -> str:
    """Return the id of this boot; raise OSError if it is hidden, because no id must not look like another boot."""
    with open("/proc/sys/kernel/random/boot_id", "rb") as file:
        return file.read(64).decode("ascii", "replace").strip()


def netns_inode(path: str = OWN_NETNS, proc: int | None = None) -> int:
    """Return the inode of a network namespace, by default of the calling thread's, `path` relative to `proc`;
    raise OSError."""
    return os.stat(path, dir_fd=proc).st_ino


def netns_cookie(of: socket.socket | None = None) -> int:
    """Return the cookie of the network namespace of a socket, by default of the calling thread's; 0 if the kernel
    has none (net/core/net_namespace.c, since Linux 5.14). No other namespace of this boot has or gets it."""
    with suppress(OSError):
        if of is not None:
            found = of.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, _COOKIE_BYTES)
            return int.from_bytes(found, sys.byteorder)
        with socket.socket(socket.AF_UNIX) as made_here:
            return netns_cookie(made_here)
    return 0


def proc_net_inode(process: str, proc: int | None = None) -> int:
    """Return the inode of /proc/`process`/net/sockstat, relative to the descriptor `proc`; raise OSError.

    Each network namespace has its own (fs/proc/proc_net.c), and unlike /proc/PID/ns/net everyone may read it."""
    return os.stat(f"{process}/net/sockstat", dir_fd=proc).st_ino


def kernel_version() -> tuple[int, int]:
    """Return major and minor number of the running kernel, (0, 0) if its release does not begin with them."""
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(found[1]), int(found[2])) if found else (0, 0)
