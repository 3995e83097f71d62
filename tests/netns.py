"""A private network namespace for one child process: how tests meet a real kernel and spare the host.

`inside(function, *args)` runs a top-level function there and returns what it returned.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import os
import pickle
import resource
import socket
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
TOOLS = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
"""Where to look for nft, ss and conntrack: an ordinary user's PATH often leaves sbin out."""

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1

_entered: list[bool] = []


def enter(user_namespace: bool = True) -> None:
    """Move this (single-threaded) process into a network namespace of its own, with `lo` up; with
    `user_namespace` also into a user namespace where it is root. OSError where that is forbidden."""
    uid, gid = os.geteuid(), os.getegid()
    # Python 3.10 has no os.unshare.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET | (_CLONE_NEWUSER if user_namespace else 0)):
        raise OSError(ctypes.get_errno(), f"unshare: {os.strerror(ctypes.get_errno())}")
    if user_namespace:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    _entered.append(True)
    _raise_loopback()


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack_from("16sh", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def set_sysctl(key: str, value: str) -> None:
    """Write a sysctl of the private namespace; refuses in a process that has not entered one."""
    if not _entered:
        raise RuntimeError(f"{key}: refused, this process is in the host's own namespace")
    Path("/proc/sys", key.replace(".", "/")).write_text(value)


def child_environment() -> dict[str, str]:
    """The environment for a child Python that imports what this one can import."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}


def inside(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `function(*args)` returns in a child process with a private user and network namespace.

    The function must be importable (top level of a module); arguments and result are pickled.
    AssertionError with the child's traceback where it failed."""
    return _run(True, function, *args, **kwargs)


def inside_as_root(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same without a user namespace: real root, so that all of /proc is open."""
    return _run(False, function, *args, **kwargs)


def _run(user_namespace: bool, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    call = pickle.dumps((user_namespace, function.__module__, function.__qualname__, args, kwargs))
    child = subprocess.run(
        [sys.executable, "-c", "from tests.netns import answer; answer()"],
        input=call, capture_output=True, env=child_environment(), timeout=120, check=False,
    )  # fmt: skip
    if child.returncode:
        raise AssertionError(f"{function.__qualname__} in a private namespace:\n{child.stderr.decode()}")
    result: T = pickle.loads(child.stdout)
    return result


@cache
def refusal() -> str | None:
    """Why this user can have no user namespace here; None: it can."""
    try:
        inside(os.getpid)
    except AssertionError as failed:
        return str(failed).strip().splitlines()[-1]
    return None


def answer() -> None:
    """The child's side of `inside`: a pickled call on stdin, its pickled result on stdout."""
    user_namespace, module, name, args, kwargs = pickle.load(sys.stdin.buffer)
    # What the function prints must not get between the parent and the result.
    result_to = os.dup(1)
    os.dup2(2, 1)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        enter(user_namespace)
        result = getattr(importlib.import_module(module), name)(*args, **kwargs)
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    with os.fdopen(result_to, "wb") as stream:
        stream.write(pickle.dumps(result))
