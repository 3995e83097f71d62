"""Health: a server with much to do and half of everything left."""

from __future__ import annotations

from functools import partial

from sockmon.labs.lab import Lab
from sockmon.labs.loads.pairs import listen
from sockmon.labs.loads.places import WEB
from sockmon.labs.loads.traffic import ask_all_day, echo
from sockmon.labs.stage import Stage

CLIENTS, LIMIT, BACKLOG = 2000, 4000, 128


def _build(stage: Stage) -> None:
    with listen(WEB, BACKLOG) as listener:
        stage.start("web-server", partial(echo, listener, LIMIT))
    stage.start("clients", partial(ask_all_day, WEB, CLIENTS, requests=400, fresh=20))


LAB = Lab(
    name="busy-server",
    ceiling=None,
    title="a busy server",
    does="2,000 clients talk to one server, 20 new ones come each second; half of its descriptors are used.",
    look="no alarm: open files at 50 %, the accept queue is used and empties",
    proves="half of a limit and a queue that empties are no alarm",
    build=_build,
    first=None,
    watch=60.0,
)
