"""The winner at boot: which line of which file sets a sysctl, under systemd-sysctl and under `sysctl --system`.

Of files with the same name, both programs use the first in /etc, /run, /usr/local/lib and /usr/lib, and read the
files in the order of their names. They differ in the rest: systemd-sysctl keeps one line for each key, the last,
and writes only that; procps writes all lines one after another, and /etc/sysctl.conf last. A line for the key
itself overrides a pattern.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from sockmon.text import sanitize
from sockmon.tuning.boot.sysctl_d import (
    PROCPS,
    PROGRAMS,
    SYSTEMD,
    SysctlFile,
    SysctlLine,
    SysctlProgram,
    UnreadableFile,
    find_files,
    parse_lines,
    path_of,
    read_file,
    resolve_path,
)

_FNM_PATHNAME, _FNM_PERIOD = 1, 4
_HEADER_LINES = 10
_PROCPS_PATHS = ("usr/sbin/sysctl", "sbin/sysctl", "usr/bin/sysctl")
_CONFIG_MANAGERS = {
    re.compile(rb"\bansible\b", re.I): "Ansible",
    re.compile(rb"\bpuppet\b", re.I): "Puppet",
    re.compile(rb"\bchef\b", re.I): "Chef",
    re.compile(rb"\bsalt(stack)?\b", re.I): "Salt",
    re.compile(rb"\bcloud-init\b", re.I): "cloud-init",
}

# Python's fnmatch has neither FNM_PATHNAME nor character classes; both programs use that of the C library.
_libc = ctypes.CDLL(None)


class Loser(msgspec.Struct, frozen=True):
    """A line about a key that does not decide its value, and the reason."""

    line: SysctlLine
    reason: str


class Resolution(msgspec.Struct, frozen=True):
    """What one program does with a key at boot."""

    program: SysctlProgram
    winner: SysctlLine | None
    """The line that is written last; None if the program does not set the key."""
    losers: tuple[Loser, ...]


class BootFiles(msgspec.Struct, frozen=True):
    """The files of sysctl.d below one root directory, as both programs read them."""

    lines: dict[SysctlProgram, tuple[SysctlLine, ...]]
    """In the order of reading."""
    shadowed: dict[SysctlProgram, tuple[Loser, ...]]
    """Lines of files that are hidden by another file of the same name."""
    unread: tuple[str, ...]
    """Files that could not be read, with the reason; if there are any, the winner is not certain."""
    written_by: dict[str, str]
    """By file, the tool that its first comments name: it will write the file again."""
    exclude_patterns: bool
    """Whether this procps accepts a pattern as an exclusion: 4.0.2 did not, later versions do with fnmatch(3)."""

    def resolve(self, program: SysctlProgram, key: str) -> Resolution:
        """Return which line wins `key` under `program`, and the lines that lose."""
        path = path_of(key)
        writes = self.lines_written(program, key)
        winner = writes[-1] if writes else None
        # A pattern that matches the key is about it too, even if the key has a line of its own.
        about = [line for line in self.lines[program] if _concerns(line, path) and line is not winner]
        behind = [loser for loser in self.shadowed[program] if _concerns(loser.line, path)]
        return Resolution(
            program,
            winner,
            (*behind, *(Loser(line, self._losing_reason(program, line, winner)) for line in about)),
        )

    def resolve_both(self, key: str) -> tuple[Resolution, ...]:
        """Return the resolution under each of the two programs."""
        return tuple(self.resolve(program, key) for program in PROGRAMS)

    def lines_written(self, program: SysctlProgram, key: str) -> tuple[SysctlLine, ...]:
        """Return the lines that `program` writes to `key`, in order; the last one that the kernel accepts
        decides."""
        path = path_of(key)
        every = _last_lines(self.lines[program]) if program == SYSTEMD else self.lines[program]
        own = any(self._blocks_patterns(line, path, program) for line in every)
        return tuple(
            line
            for line in every
            if line.value is not None
            and (not own and _matches(line.path, path) if line.pattern else resolve_path(line.path) == path)
        )

    def _blocks_patterns(self, line: SysctlLine, path: str, program: SysctlProgram) -> bool:
        """Return whether no pattern applies to `path` because `line` names it or excludes it. Only procps accepts
        patterns as exclusions, and their `*` matches slashes."""
        if line.pattern:
            excludes = program == PROCPS and self.exclude_patterns and line.value is None
            return excludes and _fnmatch(line.path, path, 0)
        return line.path == path

    def _losing_reason(self, program: SysctlProgram, line: SysctlLine, winner: SysctlLine | None) -> str:
        if line.value is None:
            return "an exclusion, which sets nothing"
        if winner and line.pattern and not winner.pattern:
            return "a line for the key itself overrides a pattern"
        if winner is None:
            return "the key is excluded"
        if (
            program == SYSTEMD
            and line.value == winner.value
            and resolve_path(line.path) == resolve_path(winner.path)
        ):
            return f"the same value as {winner.at}"
        return f"{winner.at} is later"


def read_boot_files(root: str | Path = "/", overlay: Mapping[str, bytes] | None = None) -> BootFiles:
    """Read the files below `root`; `overlay` has, by name below the root, the contents of files after a change."""
    effective: dict[SysctlProgram, tuple[SysctlLine, ...]] = {}
    hidden: dict[SysctlProgram, tuple[Loser, ...]] = {}
    unread: set[str] = set()
    written_by = {}
    for program in PROGRAMS:
        found = find_files(Path(root), program, overlay or {}, unread)
        effective[program] = tuple(
            line for file in found if not file.shadowed_by for line in parse_lines(file, program)
        )
        hidden[program] = tuple(
            Loser(line, f"hidden by {file.shadowed_by}")
            for file in found
            if file.shadowed_by
            for line in parse_lines(file, program)
        )
        written_by.update(
            {sanitize(os.fsencode(file.name), 4096): tool for file in found if (tool := _config_manager(file))}
        )
    return BootFiles(effective, hidden, tuple(sorted(unread)), written_by, _procps_has_fnmatch(Path(root)))


def _procps_has_fnmatch(root: Path) -> bool:
    """Return whether the installed procps uses fnmatch(3): then the name is in the program file."""
    for place in _PROCPS_PATHS:
        try:
            return b"fnmatch" in read_file(root / place)
        except (OSError, UnreadableFile):
            continue
    return True


def _last_lines(every: tuple[SysctlLine, ...]) -> tuple[SysctlLine, ...]:
    """Return one line a key: a later one replaces an earlier one, unless it has the same value."""
    kept: dict[str, SysctlLine] = {}
    for line in every:
        if line.path in kept and kept[line.path].value == line.value:
            continue
        kept.pop(line.path, None)
        kept[line.path] = line
    return tuple(kept.values())


def _concerns(line: SysctlLine, path: str) -> bool:
    return _matches(line.path, path) if line.pattern else resolve_path(line.path) == path


def _matches(pattern: str, path: str) -> bool:
    return _fnmatch(pattern, path, _FNM_PATHNAME | _FNM_PERIOD)


def _fnmatch(pattern: str, path: str, flags: int) -> bool:
    return int(_libc.fnmatch(os.fsencode(pattern), os.fsencode(path), flags)) == 0


def _config_manager(file: SysctlFile) -> str:
    comments = b"\n".join(
        line for line in file.raw.split(b"\n")[:_HEADER_LINES] if line.lstrip()[:1] in (b"#", b";")
    )
    return next((name for pattern, name in _CONFIG_MANAGERS.items() if pattern.search(comments)), "")
