"""What a line of a log is in these tests."""

from __future__ import annotations

from typing import NamedTuple

LISTENER = "another listener"
TASKS = "cgroup-pids"
NO_ROOM = "nothing to read, or no room to write"
ABOVE = "limit above its maximum"

Sources = dict[str, tuple[tuple[str, str, str], ...]]
"""A repository and the file that has the text, or the program that was made to print it → text, symptom, cause."""


class Line(NamedTuple):
    text: str
    symptom: str
    cause: str
    """A ceiling, or the title of a cause that is not one."""
    source: str
