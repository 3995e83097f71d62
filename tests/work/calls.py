"""How many Python functions a program calls: work that needs no clock to be counted."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from types import FrameType, TracebackType

PYTHON_CALLS = "Python calls"
"""The part of a name of numbers that depend on the version of Python."""


class CallCounter:
    """Counts calls in all threads that start while it counts, by file and function."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        """(file, function) → how often it was called."""

    def __enter__(self) -> CallCounter:
        threading.setprofile(self._count)
        sys.setprofile(self._count)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _count(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            self.counts[frame.f_code.co_filename, frame.f_code.co_name] += 1


def of_package(calls: Counter[tuple[str, str]], package: str) -> int:
    """Return the calls in the files of one package, which is imported."""
    (folder,) = sys.modules[package].__path__
    return sum(count for (file, _), count in calls.items() if file.startswith(f"{folder}/"))


def of_function(calls: Counter[tuple[str, str]], file: str, name: str) -> int:
    """Return the calls of one function, by the end of the path of its file."""
    return sum(count for (path, found), count in calls.items() if path.endswith(file) and found == name)
