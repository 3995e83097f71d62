"""What is mounted where: the lines of /proc/self/mountinfo (proc_pid_mountinfo(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

_ESCAPE = re.compile(rb"\\([0-7]{3})")


class MountLine(NamedTuple):
    """One mount; `root` is what is mounted of its file system, `point` where, as the calling process sees it."""

    kind: str
    root: str
    point: str
    options: str
    """Those of the file system, not of the mount."""


def parse(text: bytes, kinds: Collection[bytes]) -> Iterator[MountLine]:
    """Yield the mounts of file systems of these `kinds`; skip malformed lines."""
    for line in text.split(b"\n"):
        head, _, tail = line.partition(b" - ")
        fields, kind = head.split(), tail.split()
        if len(fields) >= 6 and len(kind) >= 3 and kind[0] in kinds:
            yield MountLine(kind[0].decode(), _unescape(fields[3]), _unescape(fields[4]), os.fsdecode(kind[2]))


def _unescape(field: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(lambda match: bytes([int(match[1], 8) & 255]), field))
