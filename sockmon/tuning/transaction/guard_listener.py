"""The listening socket of the guard: there while a change is pending, and only root may connect to it."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from sockmon.tuning.transaction.state_dirs import SOCKET_NAME, StateDirs


def open_listener(dirs: StateDirs) -> socket.socket:
    """Return the socket, bound and listening; raise OSError."""
    with suppress(FileNotFoundError):
        os.unlink(SOCKET_NAME, dir_fd=dirs.run)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        listener.bind(dirs.socket_address())
        os.chmod(SOCKET_NAME, 0o600, dir_fd=dirs.run)
        listener.listen(8)
    except BaseException:
        listener.close()
        raise
    return listener


def close_listener(listener: socket.socket, dirs: StateDirs) -> None:
    """Close it, and remove its file."""
    listener.close()
    with suppress(OSError):
        os.unlink(SOCKET_NAME, dir_fd=dirs.run)
