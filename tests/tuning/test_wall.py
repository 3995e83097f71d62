"""T14 T17: what could not be put back is said where people are, with the command, and nobody is waited for."""

from __future__ import annotations

import os
import pty
import socket
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from sockmon.model.change import Transaction
from sockmon.tuning.guard import Guard
from tests.netns import inside
from tests.tuning.changes import ME, RANGE, SOMAXCONN, plan, write
from tests.tuning.test_transaction import old_values

pytestmark = pytest.mark.usefixtures("needs_userns")

START = "net.ipv4.ip_unprivileged_port_start"


def stuck(root: str) -> Transaction:
    """Somebody widens the range meanwhile, so that the kernel refuses the old start of unprivileged ports."""
    write({START: "1024"})
    guard = Guard(plan({START: "1024"}, {START: "500"}), ME, 60.0, root)
    guard.begin()
    write({RANGE: "600 60999"})
    return guard.revert()


def loud() -> tuple[bytes, list[bytes]]:
    """What two terminals get, and syslog; a third is stopped and full, and nobody waits for it."""
    with old_values() as root:
        Path(root, "run/systemd/sessions").mkdir(parents=True)
        Path(root, "dev").mkdir()
        Path(root, "dev/pts").symlink_to("/dev/pts")
        (_, full), (one, first), (two, second) = terminals = [pty.openpty() for _ in range(3)]
        os.set_blocking(full, False)
        with suppress(BlockingIOError):
            while os.write(full, bytes(1024)):
                pass
        users = [(7, full), (7, first), (8, second)]
        Path(root, "run/utmp").write_bytes(b"".join(_utmp(kind, os.ttyname(tty)) for kind, tty in users))
        session = Path(root, "run/systemd/sessions/4")
        session.write_text(f"UID=0\nTTY={os.ttyname(second).removeprefix('/dev/')}\n")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.bind(f"{root}/dev/log")
            stuck(root)
            said = log.recv(65536)
        found = [os.read(end, 65536) for end in (one, two)]
        for pair in terminals:
            for end in pair:
                os.close(end)
        return said, found


def _utmp(kind: int, terminal: str) -> bytes:
    record = kind.to_bytes(2, "little").ljust(8, b"\0") + terminal.removeprefix("/dev/").encode()
    return record.ljust(384, b"\0")


def test_T17_what_is_stuck_is_said_on_every_terminal_and_to_syslog_with_the_command() -> None:
    log, terminals = inside(loud)
    assert log.startswith(b"<82>sockmon: {")
    for said in terminals:
        assert b"COULD NOT BE PUT BACK" in said
        assert b"by hand: sysctl -w 'net.ipv4.ip_unprivileged_port_start=1024'" in said
        # The name of whoever did it came from an environment.
        assert "ops�{forged}".encode() in said


def conflict_told() -> bytes:
    with old_values() as root:
        Path(root, "run").mkdir()
        Path(root, "dev").symlink_to("/dev")
        end, terminal = pty.openpty()
        Path(root, "run/utmp").write_bytes(_utmp(7, os.ttyname(terminal)))
        guard = Guard(plan(), ME, 60.0, root)
        guard.begin()
        write({SOMAXCONN: "7777"})
        guard.revert()
        return os.read(end, 65536)


def test_T14_T17_a_conflict_is_said_with_what_the_value_was() -> None:
    said = inside(conflict_told).decode()
    assert "went back, but for what somebody else changed meanwhile" in said
    assert f"{SOMAXCONN} is 7777, which somebody else wrote: it was left alone" in said
    assert f"what it was before: sysctl -w '{SOMAXCONN}=4096'" in said


def stopped_terminal() -> bool:
    """The terminal of whoever holds is stopped (Ctrl-S) when the wall message comes: the guard goes on."""
    with old_values() as root:
        Path(root, "run").mkdir()
        Path(root, "dev").symlink_to("/dev")
        _, terminal = pty.openpty()
        termios.tcflow(terminal, termios.TCOOFF)
        Path(root, "run/utmp").write_bytes(_utmp(7, os.ttyname(terminal)))
        return stuck(root).state == "stuck"


def test_T17_R26_a_terminal_that_is_stopped_holds_nobody_up() -> None:
    assert inside(stopped_terminal)
