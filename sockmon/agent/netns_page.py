"""The addresses and rules of one namespace, read by a process of its own while the agent goes on."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from time import CLOCK_BOOTTIME, clock_gettime

import msgspec

from sockmon.errors import ReadError
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.nat_rules.of_handle import netns_descriptor
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.netns_rules.child import MAX_SECONDS
from sockmon.model.missing import Missing
from sockmon.model.netns_rules import NetnsDetail, NetnsQuery
from sockmon.sources.push import OWN_DESCRIPTORS

READER = "namespace"
MODULE = "sockmon.kernel.netns_rules.child"
WAIT_MILLISECONDS = 4
"""Time that one step waits for the process: less than a slice of the agent's work."""
MAX_BYTES = 16 * 1024 * 1024
GRACE_SECONDS = 2.0
"""Time after MAX_SECONDS in which the kernel should have ended the process."""

_decode = msgspec.json.Decoder(NetnsDetail).decode
_unfinished: list[subprocess.Popen[bytes]] = []
"""Processes that were killed and have not ended: one that waits for a device cannot."""


def answer_netns(handle: NetnsHandle | None, query: NetnsQuery) -> Incremental[NetnsDetail]:
    """Return the addresses and rules of a watched namespace; without rows and with the reason if it is not one."""
    _unfinished[:] = [child for child in _unfinished if child.poll() is None]
    if handle is None:
        return _unread(query, "this namespace has ended, or is not watched")
    if _unfinished:
        return _unread(query, "the process that read it before hangs in the kernel")
    try:
        child = _start(handle, query)
    except OSError as error:
        return _unread(query, f"no process could be started in it: {error.strerror}")
    except ReadError as error:
        return _unread(query, error.message)
    try:
        raw = yield from _read(child)
    finally:
        _end(child)
    if not raw:
        return _unread(query, "the process that reads it ended without an answer")
    try:
        return _decode(raw)
    except msgspec.MsgspecError as error:
        return _unread(query, f"the answer of the process that reads it is not valid: {error}")


def _start(handle: NetnsHandle, query: NetnsQuery) -> subprocess.Popen[bytes]:
    namespace = () if handle.ours else (netns_descriptor(handle.route),)
    try:
        return subprocess.Popen(
            [*_command(), str(os.getpid()), str(query.inode), *map(str, namespace)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=namespace,
        )
    finally:
        for descriptor in namespace:
            os.close(descriptor)


def _command() -> list[str]:
    """Return the argv of MODULE: from where this process has its code, which is its memory if it was sent here."""
    place = sys.path[0]
    if not place.startswith(OWN_DESCRIPTORS):
        return [sys.executable, "-I", "-m", MODULE]
    code = f"import runpy,sys;sys.path.insert(0,sys.argv.pop(1));runpy.run_module({MODULE!r},run_name='__main__')"
    return [sys.executable, "-I", "-c", code, place.replace("self", str(os.getpid()), 1)]


def _read(child: subprocess.Popen[bytes]) -> Incremental[bytes]:
    """Return all that the process prints; empty if it does not end in time."""
    assert child.stdout
    descriptor = child.stdout.fileno()
    os.set_blocking(descriptor, False)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    until = time.monotonic() + MAX_SECONDS + GRACE_SECONDS
    found = bytearray()
    while time.monotonic() < until and len(found) <= MAX_BYTES:
        if poll.poll(WAIT_MILLISECONDS):
            data = os.read(descriptor, 1 << 16)
            if not data:
                return bytes(found)
            found += data
        yield
    return b""


def _end(child: subprocess.Popen[bytes]) -> None:
    """Release the process without waiting for one that cannot end."""
    assert child.stdout
    child.stdout.close()
    with suppress(subprocess.TimeoutExpired):
        child.wait(0.05)
        return
    child.kill()
    with suppress(subprocess.TimeoutExpired):
        child.wait(0.05)
        return
    _unfinished.append(child)


def _unread(query: NetnsQuery, reason: str) -> NetnsDetail:
    return NetnsDetail(clock_gettime(CLOCK_BOOTTIME), query, (Missing(READER, reason),))
