"""Healthy: an idle machine."""

from __future__ import annotations

import socket
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.connections import connect_and_hold, hold_open
from sockmon.sandbox.loads.port_numbers import WEB
from sockmon.sandbox.loads.traffic import serve_echo
from sockmon.sandbox.scenario import Lab
from sockmon.sandbox.sockets import LOOPBACK, listen

MAIL = 8025


def _build(builder: LabBuilder) -> None:
    with listen(WEB) as listener:
        builder.start("sshd", partial(serve_echo, listener, 1024))
    with listen(MAIL, family=socket.AF_INET6) as listener:
        builder.start("mail", partial(hold_open, listener))
    # One open connection, as of a user who is logged in.
    builder.start("shell", partial(connect_and_hold, LOOPBACK, WEB, 1))


LAB = Lab(
    name="idle-box",
    ceiling=None,
    title="an idle machine",
    scenario="Two servers listen, one connection is open, and nothing happens.",
    what_to_see="no alarm; what is not visible in a lab is unknown, with the reason",
    claim="an idle machine raises no alarm, as root and as an ordinary user",
    build=_build,
    expect_first=None,
    expect_unjudged="tasks outside of this pid namespace",
    check_seconds=60.0,
)
