"""User names from /etc/passwd, read once: a name service that hangs must not stop the table of processes."""

from __future__ import annotations

from contextlib import suppress

from sockmon.model.clean import clean

_LARGEST = 4 << 20


class Users:
    """Names by uid; a user whom only LDAP or NSS knows keeps the number."""

    def __init__(self, path: str = "/etc/passwd") -> None:
        self._names: dict[int, str] = {}
        with suppress(OSError), open(path, "rb") as file:
            self._names = parse(file.read(_LARGEST))

    def name(self, uid: int) -> str:
        """The name, or the number in decimal."""
        return self._names.get(uid) or str(uid)


def parse(text: bytes) -> dict[int, str]:
    """passwd(5) → names by uid; as getpwuid(3), the first line of a uid counts. Other lines are passed over."""
    names: dict[int, str] = {}
    for line in text.split(b"\n"):
        fields = line.split(b":")
        if len(fields) >= 4 and fields[0] and fields[2].isdigit():
            names.setdefault(int(fields[2]), clean(fields[0], 64))
    return names
