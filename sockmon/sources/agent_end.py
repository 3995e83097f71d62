"""Why an agent ended: the signal, its own error, or that of ssh."""

from __future__ import annotations

import signal

from sockmon.errors import reported
from sockmon.sources import ssh_failure
from sockmon.sources.ssh import Address
from sockmon.text import sanitize


class AgentEnded(Exception):
    """An agent ended or could not be started."""

    def __init__(self, message: str, hint: str = "", at_start: str = "", permanent: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.at_start = at_start or message
        """The message if it ended before its first sample: no title names the host then."""
        self.permanent = permanent
        """True if no other agent can be started."""


def end_of_agent(name: str, code: int | None, words: bytes) -> AgentEnded:
    """Return why a process of this machine ended: the signal, or the error and the hint in its last words."""
    if code is None:
        return AgentEnded(f"{name} closed its output and was killed")
    if code < 0:
        hint = (
            "the kernel may have killed it because memory was short; check dmesg"
            if -code == signal.SIGKILL
            else ""
        )
        return AgentEnded(f"{name} exited (signal {-code})", hint)
    lines = [text for line in words.splitlines() if (text := sanitize(line.strip()))]
    if error := reported(lines):
        message, hint = error
        return AgentEnded(f"{name} exited: {message}", hint, message)
    return AgentEnded(f"{name} exited (status {code})" + (f": {lines[-1]}" if lines else ""))


def end_of_ssh(address: Address, code: int, words: bytes, not_found_hint: str) -> AgentEnded:
    """Return why an agent of another host ended."""
    cause, hint = ssh_failure.failure(address, code, words, not_found_hint)
    return AgentEnded(cause, hint, f"{address.name}: {cause}")
