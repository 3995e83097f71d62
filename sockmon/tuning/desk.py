"""The screen's way to the process that keeps its privilege, started before the screen gives up its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

import msgspec

from sockmon.errors import NotTuned
from sockmon.model.change import Who
from sockmon.model.desk import Answer, Request
from sockmon.tuning.apart import BARE
from sockmon.tuning.inside import home
from sockmon.tuning.who import whoami

_FAREWELL = 1.0
_ANSWERS = msgspec.json.Decoder(Answer)


class Mandate(msgspec.Struct, frozen=True):
    """What a desk is started with."""

    root: str
    who: Who
    """Who sits at the screen: the desk has no terminal, and under sudo the screen has another user by now."""
    netns: str | None
    """The namespace that the screen shows; None: ours."""
    cannot: str = ""
    """Why nothing can be applied, where that was known beforehand."""


class Desk:
    """Two pipes to it. It ends when we do, however we do."""

    def __init__(self, mandate: Mandate) -> None:
        """NotTuned where it cannot be started."""
        argv = [sys.executable, "-I", "-m", "sockmon.tuning.clerk", msgspec.json.encode(mandate).decode()]
        try:
            # A session of its own: ^C at the terminal is for the screen.
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=BARE,
                start_new_session=True,
            )
        except OSError as error:
            raise NotTuned(f"nothing can be changed from here: {error.strerror}") from error
        self.pid = self._process.pid

    def ask(self, request: Request) -> bool:
        """Send a request; False where the desk has ended."""
        try:
            self._requests.write(msgspec.json.encode(request) + b"\n")
            self._requests.flush()
        except (OSError, ValueError):
            return False
        return True

    def answers(self) -> Iterator[Answer]:
        """An answer to each request, in their order, and unasked how things stand; blocks between them, and ends
        when the desk does."""
        assert self._process.stdout is not None
        with self._process.stdout as lines, suppress(OSError, msgspec.DecodeError):
            for line in lines:
                yield _ANSWERS.decode(line)

    def close(self) -> None:
        """End it; safe to call twice. What is held goes on being held."""
        # It has more privileges than we have kept, so it cannot be sent a signal.
        with suppress(OSError, subprocess.TimeoutExpired):
            self._requests.close()
            self._process.wait(_FAREWELL)

    @property
    def _requests(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin


def open_desk(netns: str | None = None, root: str = "/") -> Desk:
    """Start a desk for a screen that shows the namespace `netns` (None: ours), with the privileges that we still
    have. NotTuned where it cannot be started."""
    cannot = ""
    try:
        root = home(root)
    except NotTuned as error:
        cannot = error.message
    return Desk(Mandate(root, whoami(), os.path.abspath(netns) if netns and "/" in netns else netns, cannot))
