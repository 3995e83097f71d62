"""Health: a machine with nothing to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial

from sockmon.labs.crew import FOREVER
from sockmon.labs.lab import Lab
from sockmon.labs.loads.halves import accept_never
from sockmon.labs.loads.pairs import connect, listen
from sockmon.labs.loads.places import WEB
from sockmon.labs.loads.traffic import echo
from sockmon.labs.stage import Stage


def _shell() -> Iterator[float]:
    """One connection that stands, as of whoever is logged in."""
    held = connect("127.0.0.1", WEB)
    yield FOREVER
    held.close()


def _build(stage: Stage) -> None:
    with listen(WEB) as listener:
        stage.start("sshd", partial(echo, listener, 1024))
    with listen(8025, family=socket.AF_INET6) as listener:
        stage.start("mail", partial(accept_never, listener))
    stage.start("shell", _shell)


LAB = Lab(
    name="idle-box",
    ceiling=None,
    title="an idle machine",
    does="Two servers listen, one connection stands, and nothing happens.",
    look="no alarm; what cannot be seen from in here is unknown and says why",
    proves="a machine with nothing to do raises no alarm, as root and as anybody",
    build=_build,
    first=None,
    watch=60.0,
)
