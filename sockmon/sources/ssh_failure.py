"""Why ssh, or the command that it ran on the other host, ended: the cause in a few words, and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from sockmon.errors import reported
from sockmon.sources.ssh import Address
from sockmon.text import sanitize

SSH_FAILED = 255
"""The exit code of ssh for its own errors, and for a command that a signal ended."""
NOT_FOUND = 127
"""The exit code of a shell that does not find the command."""
MAX_LINE_CHARS = 200


class Failure(NamedTuple):
    """Both are clean text."""

    cause: str
    """Without the name of the host."""
    hint: str = ""


class _Known(NamedTuple):
    """An error of ssh: what stands in its message, and our words; `{0}` and `{1}` are groups of the pattern."""

    pattern: re.Pattern[str]
    cause: str
    hint: str


# The first one that is found counts: `Host key verification failed` follows on the message about a changed key.
_KNOWN = tuple(
    _Known(re.compile(pattern), cause, hint)
    for pattern, cause, hint in (
        (
            r"HOST IDENTIFICATION HAS CHANGED",
            "its host key has changed",
            "if you know why, forget the old key: ssh-keygen -R '{known}', then log in once: {login}",
        ),
        (
            r"Host key verification failed",
            "its host key is not known here",
            "log in once, and compare the key that it shows: {login}",
        ),
        (
            r"Permission denied \(([\w,.-]+)\)",
            "it refuses the login ({0})",
            "this must work without a question: {login} true",
        ),
        (r"Could not resolve hostname [^:]+: (.+)", "its name has no address ({0})", "check the name"),
        (
            r"connect to (?:host|address) \S+ port (\d+): (.+)",
            "no connection to port {0} ({1})",
            "check that it is up and that sshd listens there: {login}",
        ),
        (
            r"(?:timed out during banner exchange|Timeout, server \S+ not responding)",
            "it does not answer",
            "check that it is up: {login}",
        ),
        (
            r"(?:Connection (?:to \S+ (?:port \d+ )?)?(?:closed|reset)|closed by remote host|Broken pipe)",
            "the connection was closed",
            "",
        ),
    )
)


def failure(address: Address, code: int, words: bytes, not_found_hint: str) -> Failure:
    """Return why a command on `address` ended with this code of ssh and these last words: the error that sockmon
    reported there, that of ssh, or the last line."""
    if code < 0:
        return Failure(f"ssh was killed (signal {-code})")
    lines = [text for line in words.decode(errors="replace").splitlines() if (text := _clean(line))]
    if error := reported(lines):
        return Failure(*error)
    last = lines[-1] if lines else ""
    if code == SSH_FAILED:
        last_words = f"the last line that came: {last}" if last else ""
        return _of_ssh(address, lines) or Failure("its command was killed, or the connection ended", last_words)
    if code == NOT_FOUND:
        return Failure(last or "its shell does not find the command", not_found_hint)
    return Failure(f"exit code {code}" + (f": {last}" if last else ""))


def _clean(line: str) -> str:
    return sanitize(line.strip(), MAX_LINE_CHARS)


def _of_ssh(address: Address, lines: Sequence[str]) -> Failure | None:
    for known in _KNOWN:
        # The newest line first: what the other host prints at a login comes before.
        for line in reversed(lines):
            if found := known.pattern.search(line):
                hint = known.hint.format(known=address.known_name, login=address.login)
                return Failure(known.cause.format(*found.groups()), hint)
    return None
