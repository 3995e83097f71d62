"""T14 T17: a value that could not be rolled back is written on every terminal, with the command; no terminal
blocks it."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from sockmon.model.transaction import Transaction
from sockmon.sandbox import namespaces
from sockmon.tuning.transaction import broadcast
from sockmon.tuning.transaction.guard import Guard
from tests.netns import inside
from tests.tuning.sample_change import ACTOR, RANGE, SOMAXCONN, plan, write
from tests.tuning.test_transaction import old_values

pytestmark = pytest.mark.usefixtures("needs_userns")

_TIOCSPTLCK, _TIOCGPTN = 0x40045431, 0x80045430
"""ioctl_tty(2), as most architectures number them; Python 3.10 does not know them."""
START = "net.ipv4.ip_unprivileged_port_start"


def stuck(root: str) -> Transaction:
    """Another process widens the range meanwhile, so that the kernel rejects the old start of unprivileged
    ports."""
    write({START: "1024"})
    guard = Guard(plan({START: "1024"}, {START: "500"}), ACTOR, 60.0, root)
    guard.apply()
    write({RANGE: "600 60999"})
    return guard.revert()


@contextmanager
def terminals(root: str, count: int) -> Iterator[list[tuple[int, int]]]:
    """The two ends of pseudo-terminals that nothing else has: a mount of their own at dev/pts below `root`."""
    namespaces._call("unshare", namespaces.CLONE_FLAGS["mnt"])
    namespaces._call("mount", b"none", b"/", None, namespaces._MS_REC | namespaces._MS_PRIVATE, None)
    folder = Path(root, "dev/pts")
    folder.mkdir(parents=True)
    namespaces._call("mount", b"none", bytes(folder), b"devpts", 0, b"newinstance,ptmxmode=0666")
    pairs = [_open_pair(folder) for _ in range(count)]
    try:
        yield pairs
    finally:
        for pair in pairs:
            for end in pair:
                os.close(end)
        namespaces._call("umount2", bytes(folder), _MNT_DETACH)


def _open_pair(folder: Path) -> tuple[int, int]:
    controller = os.open(folder / "ptmx", os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(controller, _TIOCSPTLCK, struct.pack("i", 0))
    number = struct.unpack("i", fcntl.ioctl(controller, _TIOCGPTN, bytes(4)))[0]
    return controller, os.open(folder / str(number), os.O_RDWR | os.O_NOCTTY)


def loud() -> tuple[bytes, list[bytes]]:
    """What two terminals get, and syslog; a third is stopped and full, and nothing waits for it."""
    with old_values() as root, terminals(root, 3) as pairs:
        (_, full), (one, _), (two, _) = pairs
        os.set_blocking(full, False)
        with suppress(BlockingIOError):
            while os.write(full, bytes(1024)):
                pass
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.bind(f"{root}/dev/log")
            stuck(root)
            said = log.recv(65536)
        return said, [os.read(end, 65536) for end in (one, two)]


@pytest.mark.fault("T17")
def test_T17_a_stuck_value_is_written_to_every_terminal_and_syslog_with_the_command() -> None:
    log, terminals = inside(loud)
    assert log.startswith(b"<82>sockmon: {")
    for said in terminals:
        assert b"COULD NOT BE ROLLED BACK" in said
        assert b"run: sysctl -w 'net.ipv4.ip_unprivileged_port_start=1024'" in said
        # The name of the actor came from the environment.
        assert "ops�{forged}".encode() in said


def conflict_told() -> bytes:
    with old_values() as root, terminals(root, 1) as [(end, _)]:
        guard = Guard(plan(), ACTOR, 60.0, root)
        guard.apply()
        write({SOMAXCONN: "7777"})
        guard.revert()
        return os.read(end, 65536)


@pytest.mark.fault("T14", "T17")
def test_T14_T17_a_conflict_is_written_with_the_old_value() -> None:
    said = inside(conflict_told).decode()
    assert "was rolled back, except for values that another process changed" in said
    assert f"{SOMAXCONN}: left at 7777, which another process wrote" in said
    assert f"the old value: sysctl -w '{SOMAXCONN}=4096'" in said


def stopped_terminal() -> bool:
    """A terminal is stopped (Ctrl-S) when the message is written: the guard continues."""
    with old_values() as root, terminals(root, 1) as [(_, terminal)]:
        termios.tcflow(terminal, termios.TCOOFF)
        return stuck(root).state == "stuck"


@pytest.mark.fault("R26", "T17")
def test_T17_R26_a_stopped_terminal_does_not_block_the_guard() -> None:
    assert inside(stopped_terminal)


_MNT_DETACH, _MS_BIND = 2, 4096

LOGINS = 24
"""With so many, records of 400 bytes fill a file that could as well hold records of 384 bytes."""


def _record(size: int, terminal: str) -> bytes:
    """A login in utmp(5): ut_type, ut_pid, ut_line, ut_id, ut_user, ut_host, and times of 32 or of 64 bits."""
    head = struct.pack("=hxxi32s4s32s", 7, 1, terminal.encode(), terminal[-4:].encode(), b"root")
    return head.ljust(size, b"\0")


def logged_in(size: int) -> tuple[int, int, list[str]]:
    """How many of the terminals got the message and how many were written, and what psutil sees in utmp."""
    with old_values() as root, terminals(root, LOGINS) as pairs:
        names = [f"pts/{number}" for number in range(LOGINS)]
        run = Path(root, "run")
        run.mkdir()
        (run / "utmp").write_bytes(b"".join(_record(size, name) for name in names))
        namespaces._call("mount", bytes(run), b"/run", None, _MS_BIND, None)
        written = broadcast.broadcast(["a message"], root)
        heard = 0
        for controller, _ in pairs:
            os.set_blocking(controller, False)
            with suppress(BlockingIOError):
                heard += b"a message" in os.read(controller, 4096)
        return heard, written, sorted(broadcast._utmp_terminals())


@pytest.mark.parametrize("size", [384, 400])
def test_every_terminal_of_utmp_is_found_with_records_of_384_and_400_bytes(size: int) -> None:
    heard, written, found = inside(logged_in, size)
    assert heard == LOGINS
    assert written >= LOGINS
    if size == 384 and sys.maxsize > 2**32 and os.uname().machine == "x86_64":
        # What the C library of this machine has: there psutil alone finds them all.
        assert len([name for name in found if re.fullmatch(r"pts/[0-9]+", name)]) == LOGINS


def without_psutil() -> int:
    """No descriptor is left for utmp, or psutil cannot be imported."""
    with old_values() as root, terminals(root, 2):
        sys.modules["psutil"] = None  # type: ignore[assignment]
        return broadcast.broadcast(["a message"], root)


def test_without_utmp_the_other_terminals_are_written_to() -> None:
    assert inside(without_psutil) == 2


def test_psutil_is_imported_when_it_is_needed() -> None:
    assert psutil.users is not None
    assert "psutil" not in vars(broadcast)
