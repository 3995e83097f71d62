"""A process to which the kernel refuses things, as a sandbox around a service does."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import cache, partial

from tests.netns import child_environment

_SOCKET = {"x86_64": 41, "aarch64": 198, "riscv64": 198}
_SET_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000


def no_netlink(errno: int, protocol: int | None = None) -> None:
    """Let socket(AF_NETLINK) fail with `errno` from now on, of `protocol` alone if given: seccomp, for this
    process and its children."""
    number = _SOCKET[os.uname().machine]
    # struct seccomp_data: number at 0, arguments of 8 bytes from 16 on (low half first where this runs).
    checks = [(0, number), (16, int(socket.AF_NETLINK)), *([(32, protocol)] if protocol is not None else [])]
    code = b""
    for index, (offset, value) in enumerate(checks):
        left = 2 * (len(checks) - index - 1) + 1
        code += struct.pack("=HBBI", 0x20, 0, 0, offset)  # BPF_LD | BPF_W | BPF_ABS
        code += struct.pack("=HBBI", 0x15, 0, left, value)  # BPF_JMP | BPF_JEQ | BPF_K
    code += struct.pack("=HBBI", 0x06, 0, 0, _ERRNO | errno) + struct.pack("=HBBI", 0x06, 0, 0, _ALLOW)
    program = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HxxxxxxQ", len(code) // 8, ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(_SET_SECCOMP, _FILTER, ctypes.create_string_buffer(header, len(header)), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


def sockmon_without(refuse: Callable[[], None], *argv: str) -> subprocess.Popen[bytes]:
    """`sockmon` with these arguments, which `refuse` was called in first."""
    return subprocess.Popen(
        [sys.executable, "-m", "sockmon", *argv],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=refuse,
        env=child_environment(),
    )  # fmt: skip


def without_netlink(errno: int) -> Callable[[], None]:
    """`no_netlink` with that error, to be called in a child."""
    return partial(no_netlink, errno)


@cache
def why_not() -> str | None:
    """Why no seccomp filter can be set here; None: it can."""
    if os.uname().machine not in _SOCKET:
        return f"the number of socket(2) is not known for {os.uname().machine}"
    code = "import socket\nfrom tests.seccomp import no_netlink\nno_netlink(1)\n"
    code += "try: socket.socket(socket.AF_NETLINK)\nexcept PermissionError: print('refused')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=child_environment(),
        check=False,
        timeout=60,
    )
    return None if done.stdout == "refused\n" else f"seccomp: {done.stderr.strip()[-200:]}"
