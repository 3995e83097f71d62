"""Who wins at boot: which line of which file sets a sysctl, under systemd-sysctl and under `sysctl --system`.

Both take /etc before /run before /usr/local/lib before /usr/lib for files of one name, and then go by name.
Otherwise they differ: systemd-sysctl keeps one line for each key, the last, and writes that; procps writes all of
them one after another, and /etc/sysctl.conf after the rest. A pattern gives way to a line for the key itself.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from sockmon.model.clean import clean
from sockmon.tuning.sysctl_d import (
    LOADERS,
    PROCPS,
    SYSTEMD,
    File,
    Line,
    Loader,
    Unread,
    files,
    key_of,
    lines,
    path_of,
    read,
    real,
)

_PATHNAME, _PERIOD = 1, 4
_HEADER = 10
_PROCPS = ("usr/sbin/sysctl", "sbin/sysctl", "usr/bin/sysctl")
_TOOLS = {
    re.compile(rb"\bansible\b", re.I): "Ansible",
    re.compile(rb"\bpuppet\b", re.I): "Puppet",
    re.compile(rb"\bchef\b", re.I): "Chef",
    re.compile(rb"\bsalt(stack)?\b", re.I): "Salt",
    re.compile(rb"\bcloud-init\b", re.I): "cloud-init",
}

# Python's fnmatch knows neither FNM_PATHNAME nor character classes; both programs ask the C library.
_libc = ctypes.CDLL(None)


class Lost(msgspec.Struct, frozen=True):
    """A line about a key that does not decide its value, and why."""

    line: Line
    why: str


class Fate(msgspec.Struct, frozen=True):
    """What one program makes of a key."""

    loader: Loader
    winner: Line | None
    """The line that is written last; None: the program does not touch the key."""
    losers: tuple[Lost, ...]


class Boot(msgspec.Struct, frozen=True):
    """The files of sysctl.d of one root directory, as both programs read them."""

    lines: dict[Loader, tuple[Line, ...]]
    """In the order of reading."""
    behind: dict[Loader, tuple[Lost, ...]]
    """Lines of files that a file of the same name hides."""
    unread: tuple[str, ...]
    """What is there and could not be read, with the reason: where there is any, the winner is not certain."""
    written_by: dict[str, str]
    """File → the tool whose name its first comments bear: it will write the file again."""
    exclude_patterns: bool
    """Whether this procps heeds an exclusion that is a pattern: 4.0.2 did not, later ones ask fnmatch(3)."""

    def fate(self, loader: Loader, key: str) -> Fate:
        """Which line wins `key` under `loader`, and all that lose."""
        path = path_of(key)
        writes = self.writes(loader, key)
        winner = writes[-1] if writes else None
        # Patterns that match a key with a line of its own are about it, too.
        about = [line for line in self.lines[loader] if _about(line, path) and line is not winner]
        behind = [lost for lost in self.behind[loader] if _about(lost.line, path)]
        return Fate(loader, winner, (*behind, *(Lost(line, self._why(loader, line, winner)) for line in about)))

    def fates(self, key: str) -> tuple[Fate, ...]:
        """Under each of the two."""
        return tuple(self.fate(loader, key) for loader in LOADERS)

    def writes(self, loader: Loader, key: str) -> tuple[Line, ...]:
        """The lines that `loader` writes to `key`, in its order; the last that the kernel takes decides."""
        path = path_of(key)
        every = _kept(self.lines[loader]) if loader == SYSTEMD else self.lines[loader]
        own = any(self._claims(line, path, loader) for line in every)
        return tuple(
            line
            for line in every
            if line.value is not None
            and (not own and _matches(line.path, path) if line.pattern else real(line.path) == path)
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that has a line of its own, by name."""
        paths = {real(line.path) for loader in LOADERS for line in self.lines[loader] if not line.pattern}
        return tuple(sorted(map(key_of, paths)))

    def _claims(self, line: Line, path: str, loader: Loader) -> bool:
        """Whether `line` keeps patterns off `path`: it names it, or excludes it. Only procps takes patterns there,
        and lets their `*` match slashes."""
        if line.pattern:
            heeded = loader == PROCPS and self.exclude_patterns and line.value is None
            return heeded and _fnmatch(line.path, path, 0)
        return line.path == path

    def _why(self, loader: Loader, line: Line, winner: Line | None) -> str:
        if line.value is None:
            return "an exclusion, which sets nothing"
        if winner and line.pattern and not winner.pattern:
            return "a pattern gives way to a line for the key itself"
        if winner is None:
            return "excluded from what is set"
        if loader == SYSTEMD and line.value == winner.value and real(line.path) == real(winner.path):
            return f"says the same as {winner.at}"
        return f"{winner.at} is later"


def boot(root: str | Path = "/", instead: Mapping[str, bytes] | None = None) -> Boot:
    """Read the files below `root`; `instead` holds contents, by name as seen from the root, for files as they
    would be after a change."""
    counting: dict[Loader, tuple[Line, ...]] = {}
    hidden: dict[Loader, tuple[Lost, ...]] = {}
    unread: set[str] = set()
    written_by = {}
    for loader in LOADERS:
        found = files(Path(root), loader, instead or {}, unread)
        counting[loader] = tuple(line for file in found if not file.behind for line in lines(file, loader))
        hidden[loader] = tuple(
            Lost(line, f"hidden by {file.behind}") for file in found if file.behind for line in lines(file, loader)
        )
        written_by.update({clean(os.fsencode(file.name), 4096): tool for file in found if (tool := _tool(file))})
    return Boot(counting, hidden, tuple(sorted(unread)), written_by, _asks_fnmatch(Path(root)))


def _asks_fnmatch(root: Path) -> bool:
    """What the program itself says: the name is among those that it imports."""
    for place in _PROCPS:
        try:
            return b"fnmatch" in read(root / place)
        except (OSError, Unread):
            continue
    return True


def _kept(every: tuple[Line, ...]) -> tuple[Line, ...]:
    """One line a key: a later one takes the place of an earlier one, unless it says the same."""
    kept: dict[str, Line] = {}
    for line in every:
        if line.path in kept and kept[line.path].value == line.value:
            continue
        kept.pop(line.path, None)
        kept[line.path] = line
    return tuple(kept.values())


def _about(line: Line, path: str) -> bool:
    return _matches(line.path, path) if line.pattern else real(line.path) == path


def _matches(pattern: str, path: str) -> bool:
    return _fnmatch(pattern, path, _PATHNAME | _PERIOD)


def _fnmatch(pattern: str, path: str, flags: int) -> bool:
    return int(_libc.fnmatch(os.fsencode(pattern), os.fsencode(path), flags)) == 0


def _tool(file: File) -> str:
    comments = b"\n".join(line for line in file.raw.split(b"\n")[:_HEADER] if line.lstrip()[:1] in (b"#", b";"))
    return next((name for pattern, name in _TOOLS.items() if pattern.search(comments)), "")
