"""Files of a configuration directory that exists in several places, such as modprobe.d and udev/rules.d."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sockmon.text import sanitize
from sockmon.tuning.boot.sysctl_d import UnreadableFile, read_file

_PARENTS = ("etc", "run", "usr/local/lib", "usr/lib", "lib")
"""Of two files with one name, that in the first of these counts."""


def config_lines(root: Path, directory: str, suffix: str = ".conf") -> Iterator[tuple[str, int, str]]:
    """Yield file, number and text of each line in `directory` that is neither empty nor a comment, by the names of
    the files; lines that a backslash continues are one. Files that cannot be read are left out."""
    for file, text in config_texts(root, directory, suffix):
        waiting, first = "", 1
        for number, line in enumerate(text.split("\n"), 1):
            first = first if waiting else number
            waiting += line.removesuffix("\\")
            if not line.endswith("\\"):
                if waiting.strip() and waiting.lstrip()[:1] not in ("#", ";"):
                    yield file, first, waiting.strip()
                waiting = ""


def config_texts(root: Path, directory: str, suffix: str = ".conf") -> Iterator[tuple[str, str]]:
    """Yield name and text of each file that counts, by the names of the files."""
    first: dict[str, Path] = {}
    for parent in _PARENTS:
        try:
            files = list((root / parent / directory).iterdir())
        except OSError:
            continue
        for file in files:
            if file.name.endswith(suffix):
                first.setdefault(file.name, file)
    for name in sorted(first):
        try:
            text = read_file(first[name]).decode("utf-8", "replace")
        except (OSError, UnreadableFile):
            continue
        yield sanitize(f"/{first[name].relative_to(root)}", 4096), text
