"""The screen's connection to the helper, which is started before the screen gives up root."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from sockmon.errors import TuningError
from sockmon.model.helper_protocol import Answer, Request
from sockmon.model.transaction import Actor
from sockmon.tuning.helper.pipes import end_child, send_line
from sockmon.tuning.transaction.actor import current_actor
from sockmon.tuning.transaction.confinement import state_root
from sockmon.tuning.transaction.daemonize import clean_environment

_ANSWER_DECODER = msgspec.json.Decoder(Answer)


class HelperConfig(msgspec.Struct, frozen=True):
    """What the helper is started with."""

    root: str
    actor: Actor
    """The user at the screen: the helper has no terminal, and under sudo the screen changes its user later."""
    netns: str | None
    """The network namespace that the screen shows; None: our own."""
    cannot_apply: str = ""
    """The reason why no change can be applied, if that was known at the start."""
    cannot_act: str = ""
    """The reason why nothing may be closed, deleted or signalled; empty if it may."""
    ssh_connection: str = ""
    """SSH_CONNECTION of the screen: the connection that carries its terminal."""


class HelperClient:
    """Two pipes to the helper, which ends when this process does, even if that is killed."""

    def __init__(self, config: HelperConfig) -> None:
        """Start the helper; raise TuningError if that fails."""
        argv = [sys.executable, "-I", "-m", "sockmon.tuning.helper.server", msgspec.json.encode(config).decode()]
        try:
            # A session of its own: Ctrl-C at the terminal is for the screen.
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=clean_environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise TuningError(f"the helper could not be started: {error.strerror}") from error
        self.pid = self._process.pid

    def ask(self, request: Request) -> bool:
        """Send a request; return False if the helper has ended."""
        return send_line(self._process, msgspec.json.encode(request) + b"\n")

    def answers(self) -> Iterator[Answer]:
        """Yield an answer to each request, in their order, and HelperStatus between them; end when the helper
        does."""
        assert self._process.stdout is not None
        with self._process.stdout as lines, suppress(OSError, msgspec.DecodeError):
            for line in lines:
                yield _ANSWER_DECODER.decode(line)

    def close(self) -> None:
        """End the helper, but not a pending change; safe to call twice."""
        end_child(self._process)


def start_helper(netns: str | None = None, root: str = "/", cannot_act: str = "") -> HelperClient:
    """Start the helper with our present privileges, for a screen that shows the namespace `netns` (None: our own).

    `cannot_act`: why nothing may be closed, deleted or signalled. Raise TuningError if the start fails."""
    cannot = ""
    try:
        root = state_root(root)
    except TuningError as error:
        cannot = error.message
    netns = os.path.abspath(netns) if netns and "/" in netns else netns
    connection = os.environ.get("SSH_CONNECTION", "")
    return HelperClient(HelperConfig(root, current_actor(), netns, cannot, cannot_act, connection))
