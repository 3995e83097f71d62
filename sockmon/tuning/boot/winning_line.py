"""The lines of sysctl.d in the order in which systemd-sysctl and `sysctl --system` write them.

Of files with the same name, both programs use the first in /etc, /run, /usr/local/lib and /usr/lib, and read the
files in the order of their names. They differ in the rest: systemd-sysctl keeps one line for each key, the last,
and writes only that; procps writes all lines one after another, and /etc/sysctl.conf last. A line for the key
itself overrides a pattern. What the kernel makes of the writes is replay.py's part.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from sockmon.text import sanitize
from sockmon.tuning.boot.kernel_rules import same_number
from sockmon.tuning.boot.kernel_write import Kernel
from sockmon.tuning.boot.other_programs import Program, other_program, other_steps
from sockmon.tuning.boot.replay import BootWrite, Replay, Step, UnreadWrites, paths_for, replay
from sockmon.tuning.boot.sources import steps_after, steps_before
from sockmon.tuning.boot.sources.credential import credential_file
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
_STDIO_BUFFER = 1024
"""procps writes through stdio, whose buffer for a file of /proc/sys has this size (its st_blksize)."""
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


class HiddenLine(msgspec.Struct, frozen=True):
    """A line of a file that another file of the same name hides."""

    line: SysctlLine
    hidden_by: str


class BootFiles(msgspec.Struct, frozen=True):
    """The files of sysctl.d below one root directory, as both programs read them."""

    lines: dict[SysctlProgram, tuple[SysctlLine, ...]]
    """In the order of reading."""
    hidden: dict[SysctlProgram, tuple[HiddenLine, ...]]
    unread: tuple[str, ...]
    """Files that could not be read, with the reason; if there are any, the winner is not certain."""
    unread_after: dict[SysctlProgram, tuple[tuple[int, str], ...]]
    """For each of `unread` that a program reads: after how many of its lines, and the reason."""
    written_by: dict[str, str]
    """By file, the tool that its first comments name: it will write the file again."""
    exclude_patterns: bool
    """Whether this procps accepts a pattern as an exclusion: 4.0.2 did not, later versions do with fnmatch(3)."""
    before: tuple[Step, ...] = ()
    """What else is written at boot before the files are read."""
    after: tuple[Step, ...] = ()
    """What else is written at boot later."""
    other: Program | None = None
    """What this machine has in place of procps 4, which reads the files in another way."""
    root: str = "/"
    overlay: Mapping[str, bytes] = {}

    def replays(self, keys: Iterable[str], kernel: Kernel | None = None) -> dict[SysctlProgram, Replay]:
        """Return what a boot leaves of `keys` under each of the two programs."""
        paths = paths_for(keys)
        return {program: replay(self.steps(program, paths), kernel) for program in PROGRAMS}

    def lines_about(self, key: str) -> tuple[SysctlLine, ...]:
        """Return the lines that set the number of `key` or exclude it, hidden ones too, under either program."""
        paths = same_number(path_of(key))
        lines = [line for program in PROGRAMS for line in self.lines[program]]
        lines += [each.line for program in PROGRAMS for each in self.hidden[program]]
        return tuple(line for line in dict.fromkeys(lines) if any(_concerns(line, path) for path in paths))

    def steps(self, program: SysctlProgram, paths: Iterable[str]) -> list[Step]:
        """Return all that a boot with `program` writes to `paths`, in the order of the writes; no pattern matches
        others."""
        wanted = sorted(paths)
        if program == PROCPS and self.other:
            found = other_steps(self.other, wanted, self.root, self.overlay)
            return [*_about(self.before, wanted), *found, *_about(self.after, wanted)]
        every = _last_lines(self.lines[program]) if program == SYSTEMD else self.lines[program]
        order = {id(line): place for place, line in enumerate(self.lines[program])}
        unread = list(self.unread_after[program])
        steps = _about(self.before, wanted)
        for line in every:
            while unread and unread[0][0] <= order[id(line)]:
                steps.append(UnreadWrites(unread.pop(0)[1]))
            steps.extend(self._writes_of(line, wanted, every, program))
        return [*steps, *(UnreadWrites(reason) for _, reason in unread), *_about(self.after, wanted)]

    def _writes_of(
        self, line: SysctlLine, paths: Sequence[str], every: Iterable[SysctlLine], program: SysctlProgram
    ) -> Iterator[BootWrite]:
        if line.value is None:
            return
        pieces = program == PROCPS and len(line.written) >= _STDIO_BUFFER
        uncertain = "sysctl writes such a long text in pieces" if pieces else ""
        if not line.pattern:
            if (path := resolve_path(line.path)) in paths:
                yield BootWrite(path, line.written, line.at, line.file, line.number, uncertain=uncertain)
            return
        if self.unread_after[program]:
            uncertain = f"{self.unread_after[program][0][1]}: it may set the key itself, which overrides a pattern"
        for path in paths:
            if _matches(line.path, path) and not any(self._blocks_patterns(each, path, program) for each in every):
                yield BootWrite(path, line.written, line.at, line.file, line.number, uncertain=uncertain)

    def _blocks_patterns(self, line: SysctlLine, path: str, program: SysctlProgram) -> bool:
        """Return whether no pattern applies to `path` because `line` names it or excludes it. Only procps accepts
        patterns as exclusions, and their `*` matches slashes."""
        if line.pattern:
            excludes = program == PROCPS and self.exclude_patterns and line.value is None
            return excludes and _fnmatch(line.path, path, 0)
        return line.path == path


def read_boot_files(root: str | Path = "/", overlay: Mapping[str, bytes] | None = None) -> BootFiles:
    """Read the files below `root`; `overlay` has, by name below the root, the contents of files after a change."""
    effective: dict[SysctlProgram, tuple[SysctlLine, ...]] = {}
    hidden: dict[SysctlProgram, tuple[HiddenLine, ...]] = {}
    unread: set[str] = set()
    unread_after = {}
    written_by = {}
    for program in PROGRAMS:
        found = [*find_files(Path(root), program, overlay or {}), *_credential(Path(root), program)]
        unread.update(file.unread for file in found if file.unread and not file.shadowed_by)
        effective[program], unread_after[program] = _lines(found, program)
        hidden[program] = tuple(
            HiddenLine(line, file.shadowed_by)
            for file in found
            if file.shadowed_by
            for line in parse_lines(file, program)
        )
        names = {sanitize(os.fsencode(file.edited or file.name), 4096): file for file in found}
        written_by.update({name: tool for name, file in names.items() if (tool := _config_manager(file))})
    return BootFiles(
        effective,
        hidden,
        tuple(sorted(unread)),
        unread_after,
        written_by,
        _procps_has_fnmatch(Path(root)),
        tuple(steps_before(root)),
        tuple(steps_after(root)),
        other_program(root),
        str(root),
        overlay or {},
    )


def _about(steps: Iterable[Step], paths: Sequence[str]) -> list[Step]:
    return [step for step in steps if isinstance(step, UnreadWrites) or step.path in paths]


def _credential(root: Path, program: SysctlProgram) -> tuple[SysctlFile, ...]:
    found = credential_file(root) if program == SYSTEMD else None
    return (found,) if found else ()


def _lines(
    found: Iterable[SysctlFile], program: SysctlProgram
) -> tuple[tuple[SysctlLine, ...], tuple[tuple[int, str], ...]]:
    """Return the lines that count, and after how many of them a file that cannot be read has its place."""
    lines: list[SysctlLine] = []
    unread = []
    for file in found:
        if file.unread and not file.shadowed_by:
            unread.append((len(lines), file.unread))
        elif not file.shadowed_by:
            lines.extend(parse_lines(file, program))
    return tuple(lines), tuple(unread)


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
