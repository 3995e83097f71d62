"""The process beside the screen that keeps its privilege: `python -m sockmon.tuning.clerk MANDATE`.

A request a line on stdin, an answer to each on stdout, one after the other, and unasked how things stand. It
reads, hands plans to a guard, brings to an end what dead guards left behind, and writes nothing itself. It ends as
its stdin does; what is held goes on being held.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from sockmon.errors import NoSuchNamespace, NotTuned, SockmonError
from sockmon.model.change import Outlook, Transaction
from sockmon.model.clean import clean
from sockmon.model.desk import (
    Answer,
    Apply,
    Decide,
    Failed,
    Look,
    Looked,
    Recall,
    Recalled,
    Request,
    Told,
)
from sockmon.tunables import BY_KEY
from sockmon.tuning.apart import call_myself, withdraw
from sockmon.tuning.desk import Mandate
from sockmon.tuning.look import Sight, is_limit
from sockmon.tuning.outlook import outlooks
from sockmon.tuning.places import unfit
from sockmon.tuning.plan import names
from sockmon.tuning.standby import Standby
from sockmon.tuning.standing import Watch
from sockmon.tuning.transaction import ask, history

LONGEST_REQUEST = 8 << 20
MOST_KEYS = 256
_SETTLED = 0.5
"""Seconds after the start, and after a change, until the next guard is made ready: the screen is drawn first."""
_FRESH = 10.0
"""Seconds for which the files of /etc/sysctl.d are not read again."""
_TRY_AGAIN = 10.0
_REQUESTS = msgspec.json.Decoder(Request)


class Clerk:
    """Carries out requests."""

    def __init__(self, mandate: Mandate) -> None:
        self._mandate = mandate
        self._lost = ""
        self._sight: Sight | None = None
        self._standby: Standby | None = None
        self._prepare_at = time.monotonic() + _SETTLED
        self._outlooks: tuple[float, dict[str, Outlook]] = (0.0, {})
        try:
            self._sight = Sight(names(), mandate.netns)
            self._sight.look(names())
        except NoSuchNamespace as error:
            self._lost = error.message

    def answer(self, line: bytes) -> Answer:
        """The answer to a line; `Failed` for what is no request, and for what came to nothing."""
        try:
            request = _REQUESTS.decode(line)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            return Failed("this is no request")
        try:
            return self._carry_out(request)
        except SockmonError as error:
            return Failed(error.message, error.hint)
        except OSError as error:
            return Failed(error.strerror or str(error))
        except Exception as error:
            return Failed(f"a fault of sockmon: {type(error).__name__}: {clean(str(error), 200)}")

    def _carry_out(self, request: Request) -> Answer:
        if self._mandate.cannot and not isinstance(request, Look):
            raise NotTuned(self._mandate.cannot)
        match request:
            case Look(keys):
                return self._look(keys)
            case Apply():
                return Told(self._apply(request))
            case Decide(verb, id, persist, seconds):
                return Told(ask(verb, self._mandate.root, id=id, seconds=seconds, persist=persist))
            case Recall():
                return Recalled(tuple(history(self._mandate.root)))

    def _look(self, keys: tuple[str, ...]) -> Looked:
        cannot = self.cannot()
        if self._sight is None:
            raise NotTuned(self._lost)
        if len(keys) > MOST_KEYS:
            raise NotTuned(f"{len(keys)} keys are too many at once")
        # Nothing but what has a row is ever opened: a key becomes a path.
        known = [key for key in keys if key in BY_KEY or is_limit(key)]
        here = self._sight.look(known)
        strange = {clean(key, 80): "sockmon does not know it" for key in keys if key not in known}
        return Looked(
            values=dict(here.values),
            refused={**here.refused, **strange},
            starts=dict(here.starts),
            outlooks=self._forecast(known),
            netns=here.netns,
            boot_id=here.boot_id,
            memory=here.memory,
            cannot=cannot,
        )

    def _forecast(self, keys: list[str]) -> dict[str, Outlook]:
        made, found = self._outlooks
        now = time.monotonic()
        if now >= made + _FRESH or not set(keys) <= set(found):
            # They are words about a restart: without them a plan can still be made.
            with suppress(SockmonError, OSError):
                found = outlooks(keys, self._mandate.root)
                self._outlooks = now, found
        return {key: found[key] for key in keys if key in found}

    def _apply(self, request: Apply) -> Transaction:
        if cannot := self.cannot():
            raise NotTuned(cannot)
        standby, self._standby = self._standby, None
        if standby is not None and not standby.ready:
            standby.close()
            standby = None
        standby = standby or Standby(self._mandate.root)
        try:
            return standby.carry_out(request.plan, self._mandate.who, request.hold)
        finally:
            standby.close()
            self._prepare_at = time.monotonic() + _SETTLED

    def cannot(self) -> str:
        """Why nothing can be applied from here, in words; empty where it can."""
        if self._mandate.cannot or self._lost:
            return self._mandate.cannot or self._lost
        if os.geteuid() != 0:
            return "changing the system takes root: start it with sudo sockmon"
        if self._sight is not None and self._sight.elsewhere:
            return (
                f"the screen shows the network namespace {clean(self._mandate.netns or '', 40)}, and changes are"
                " made in sockmon's own: start sockmon inside, with ip netns exec or nsenter --net"
            )
        with suppress(OSError):
            if os.statvfs("/proc/sys").f_flag & os.ST_RDONLY:
                return "/proc/sys is mounted read-only, as in a container: change it on the host"
        return unfit(self._mandate.root)

    def prepare(self) -> float:
        """Have a guard standing by, where one may be needed; seconds until that is to be asked again.

        That there is none is said when it is needed."""
        now = time.monotonic()
        if now < self._prepare_at:
            return self._prepare_at - now
        self._prepare_at = now + _TRY_AGAIN
        if self._standby is not None and not self._standby.ready:
            self._standby.close()
            self._standby = None
        if self._standby is None and not self.cannot():
            with suppress(NotTuned):
                self._standby = Standby(self._mandate.root)
        return _TRY_AGAIN


class Lines:
    """The lines of a descriptor as they come; one that is too long is one empty line."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._parts: list[bytes] = []
        self._length = 0
        self.ended = False

    def read(self) -> Iterator[bytes]:
        """The lines that are whole by now; blocks where there is nothing to read."""
        data = os.read(self._file, 1 << 16)
        self.ended = not data
        first, *others = data.split(b"\n")
        self._add(first)
        for part in others:
            yield b"" if self._length > LONGEST_REQUEST else b"".join(self._parts)
            self._parts, self._length = [], 0
            self._add(part)

    def _add(self, part: bytes) -> None:
        self._length += len(part)
        if self._length <= LONGEST_REQUEST:
            self._parts.append(part)
        else:
            self._parts = []


def serve(mandate: Mandate) -> None:
    """Until stdin ends."""
    watch = Watch(mandate.root, blind=bool(mandate.cannot))
    _say(watch.look())
    clerk = Clerk(mandate)
    lines = Lines(0)
    while not lines.ended:
        if select.select([0], [], [], min(watch.wait(), clerk.prepare()))[0]:
            for line in lines.read():
                _say(clerk.answer(line))
                watch.soon()
        _say(watch.look())


def _say(answer: Answer | None) -> None:
    if answer is None:
        return
    text = msgspec.json.encode(answer) + b"\n"
    while text:
        text = text[os.write(1, text) :]


def main() -> None:
    """Serve the screen that started us."""
    mandate = msgspec.json.decode(sys.argv[1], type=Mandate)
    withdraw()
    call_myself("sockmon-desk")
    # Where the screen is gone nobody is left to serve.
    with suppress(BrokenPipeError):
        serve(mandate)
    os._exit(0)


if __name__ == "__main__":
    main()
