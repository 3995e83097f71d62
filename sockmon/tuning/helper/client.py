"""The screen's connection to the helper, which is started before the screen gives up root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import msgspec

from sockmon.errors import TuningError
from sockmon.model.helper_protocol import Answer, Request
from sockmon.own_process import PipedChild
from sockmon.tuning.helper.config import HelperConfig
from sockmon.tuning.helper.pipes import end_child, send_line
from sockmon.tuning.transaction.actor import current_actor
from sockmon.tuning.transaction.confinement import state_root


class HelperClient:
    """A fork with two pipes, the helper, which ends when this process does, even if that is killed."""

    def __init__(self, config: HelperConfig) -> None:
        """Make its pipes; raise TuningError if that fails."""
        try:
            self.child = PipedChild()
        except OSError as error:
            raise TuningError(f"the helper could not be started: {error.strerror}") from error
        self._config = config

    def start(self) -> int:
        """Start the helper with the privileges of now, and return its process id; raise OSError if that fails."""
        try:
            # Imported here, in the launcher, so that the screen has no code that changes the system.
            from sockmon.tuning.helper.server import run
        except BaseException:
            # Otherwise the screen would wait for the answers of a helper that there is not.
            self.child.close_its_ends()
            raise
        return self.child.start(partial(run, self._config))

    def ask(self, request: Request) -> bool:
        """Send a request; return False if the helper has ended."""
        return send_line(self.child, msgspec.json.encode(request) + b"\n")

    def answers(self) -> Iterator[Answer]:
        """Yield an answer to each request, in their order, and HelperStatus between them; end when the helper
        does."""
        # Made here: it takes 3 ms, and the first board needs no helper.
        decode = msgspec.json.Decoder(Answer).decode
        with self.child.stdout as lines, suppress(OSError, msgspec.DecodeError):
            for line in lines:
                yield decode(line)

    def close(self) -> None:
        """End the helper, but not a pending change; safe to call twice."""
        end_child(self.child)


def open_helper(netns: str | None = None, root: str = "/", cannot_act: str = "") -> HelperClient:
    """Return the connection to a helper for a screen that shows the namespace `netns` (None: our own).

    It has to be started with the privilege that it needs. `cannot_act`: why nothing may be
    closed, deleted or signalled. Raise TuningError if the pipes cannot be made."""
    cannot = ""
    try:
        root = state_root(root)
    except TuningError as error:
        cannot = error.message
    netns = os.path.abspath(netns) if netns and "/" in netns else netns
    connection = os.environ.get("SSH_CONNECTION", "")
    return HelperClient(HelperConfig(root, current_actor(), netns, cannot, cannot_act, connection))
