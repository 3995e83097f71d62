"""User names: those of /etc/passwd at once, those of a name service (LDAP, SSSD, systemd) as soon as it answers.

A name service can hang, so a daemon thread asks it and nothing waits for that; until it answers a user is shown as
a number, and the name appears in a later sample.
"""

from __future__ import annotations

import pwd
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

from sockmon.text import sanitize

_MAX_FILE_BYTES = 4 << 20
_MAX_LOOKUPS = 10_000
"""Users that a name service is asked for at most."""
_MAX_NAME_LENGTH = 64

LookUp = Callable[[int], str]
"""Returns the name of a user; raises KeyError if there is no such user."""


def look_up_name(uid: int) -> str:
    """Return the name of `uid` as getpwuid(3) finds it, through /etc/nsswitch.conf; it may hang."""
    return pwd.getpwuid(uid).pw_name


class Users:
    """Names by uid; without `ask` no name service is asked."""

    def __init__(self, path: str = "/etc/passwd", ask: LookUp | None = None) -> None:
        self.version = 0
        """Grows with each name that a name service returned."""
        self._settled = 0
        self._names: dict[int, str] = {}
        with suppress(OSError), open(path, "rb") as file:
            self._names = parse(file.read(_MAX_FILE_BYTES))
        self._service = _NameService(ask) if ask is not None else None

    def name(self, uid: int) -> str:
        """Return the name, or the number in decimal while no name is known."""
        if uid not in self._names and self._service is not None:
            self._take_answers()
            self._service.request(uid)
        return self._names.get(uid) or str(uid)

    def wait_for_names(self, seconds: float) -> bool:
        """Wait until the name service has answered, at most `seconds`, and only once if it hangs; return whether
        there are new names since the last call."""
        if self._service is not None:
            self._service.wait(seconds)
            self._take_answers()
        before, self._settled = self._settled, self.version
        return self.version != before

    def _take_answers(self) -> None:
        """Take over the answers of the name service."""
        for uid, name in self._service.answers() if self._service is not None else ():
            self._names[uid] = name
            self.version += 1


class _NameService:
    """Asks one question at a time in a thread; one that is not answered delays only the later ones."""

    def __init__(self, ask: LookUp) -> None:
        self._ask = ask
        self._wanted: set[int] = set()
        self._open = 0
        self._answers: list[tuple[int, str]] = []
        self._changed = threading.Condition()
        self._questions: SimpleQueue[int] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._hangs = False

    def request(self, uid: int) -> None:
        """Ask for a user, unless it has been asked for."""
        if uid in self._wanted or len(self._wanted) >= _MAX_LOOKUPS:
            return
        self._wanted.add(uid)
        if self._thread is None:
            self._thread = threading.Thread(target=self._answer_all, name="users", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # no process id is free: tried again with the next user
                self._thread = None
                return
        with self._changed:
            self._open += 1
        self._questions.put(uid)

    def wait(self, seconds: float) -> None:
        """Wait until all is answered, but never a second time for a service that hangs."""
        with self._changed:
            self._hangs = not self._changed.wait_for(lambda: not self._open, 0.0 if self._hangs else seconds)

    def answers(self) -> list[tuple[int, str]]:
        """Return the answers since the last call."""
        with self._changed:
            found, self._answers = self._answers, []
        return found

    def _answer_all(self) -> None:
        while True:
            uid, name = self._questions.get(), ""
            # Whatever fails in a name service, only the name is lost.
            with suppress(Exception):
                name = sanitize(self._ask(uid), _MAX_NAME_LENGTH)
            with self._changed:
                self._open -= 1
                if name:
                    self._answers.append((uid, name))
                self._changed.notify_all()


def parse(text: bytes) -> dict[int, str]:
    """Return the names in a passwd(5) by uid; as in getpwuid(3), the first line of a uid counts. Skip malformed
    lines."""
    names: dict[int, str] = {}
    for line in text.split(b"\n"):
        fields = line.split(b":")
        if len(fields) >= 4 and fields[0] and fields[2].isdigit():
            names.setdefault(int(fields[2]), sanitize(fields[0], _MAX_NAME_LENGTH))
    return names
