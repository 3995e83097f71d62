"""The files of sysctl.d(5), read as the two programs read them that apply the files at boot.

systemd-sysctl (src/sysctl/sysctl.c, src/basic/sysctl-util.c, read_line() in src/basic/fileio.c) and
`sysctl --system` of procps (src/sysctl.c) differ in what ends a line, in which names of files count, and in how a
key becomes a path.
"""

from __future__ import annotations

import errno
import os
import posixpath
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from sockmon.text import sanitize

SysctlProgram = Literal["systemd-sysctl", "sysctl --system"]
SYSTEMD: SysctlProgram = "systemd-sysctl"
PROCPS: SysctlProgram = "sysctl --system"
PROGRAMS = (SYSTEMD, PROCPS)

DIRECTORIES = ("etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d", "lib/sysctl.d")
"""Below the root; of two files with one name the program uses the first."""
SYSCTL_CONF = "etc/sysctl.conf"
"""procps reads it last, whatever the names of the others; systemd does not read it."""

NOBODY_READS = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)
"""Errors that root gets as well: a link that leads nowhere, through a file, or in a loop, and a socket."""

_MAX_FILE_BYTES = 1 << 20
_BLANK = b" \t\n\r"
_SPACE = b" \t\n\v\f\r"


class SysctlLine(msgspec.Struct, frozen=True):
    """One assignment or exclusion."""

    file: str
    """As seen from the root and as people edit it: `/etc/sysctl.conf` for its link `99-sysctl.conf`."""
    number: int
    path: str
    """The path below /proc/sys as the program reads it; may be a pattern of glob(7)."""
    value: str | None
    """The value, tokens separated by single spaces; None if the line excludes its key or pattern."""
    written: bytes = b""
    """The bytes that the program writes, without the line feed at their end."""

    @property
    def at(self) -> str:
        """`FILE:LINE`."""
        return f"{self.file}:{self.number}"

    @property
    def pattern(self) -> bool:
        """Whether `path` is a pattern, which can match several keys."""
        return any(sign in self.path for sign in "*?[")


def key_of(path: str) -> str:
    """Return the key of a path below /proc/sys: `net/ipv4/conf/eth0.1/x` is `net.ipv4.conf.eth0/1.x`."""
    return path.translate({ord("."): "/", ord("/"): "."})


class UnreadableFile(Exception):
    """A file that exists but cannot be read completely."""


class SysctlFile(msgspec.Struct, frozen=True):
    """A file that a program reads, or would read if no other file of the same name came before."""

    name: str
    """The path below the root, with a slash at the start."""
    raw: bytes
    shadowed_by: str = ""
    """The file of the same name that is read instead; empty if this one is read."""
    unread: str = ""
    """`FILE cannot be read: Permission denied`, of a directory too; empty if it can."""
    edited: str = ""
    """The name under which people edit it, if that is another one."""


def path_of(key: str) -> str:
    """Return the path of `key` below /proc/sys: dots and slashes are swapped, unless the first of them is a
    slash."""
    first = next((sign for sign in key if sign in "./"), "/")
    return key if first == "/" else key.translate({ord("."): "/", ord("/"): "."})


def find_files(root: Path, program: SysctlProgram, overlay: Mapping[str, bytes]) -> list[SysctlFile]:
    """Return every file that `program` finds, in the order of reading; those that are shadowed come first, and
    directories that cannot be read come last, because any name may be in them.

    `overlay` has the contents of files after a change."""
    first: dict[bytes, str] = {}
    behind: list[tuple[str, str]] = []
    directories: list[SysctlFile] = []
    for directory in _directories(root):
        try:
            names = _file_names(root, directory, program, overlay)
        except OSError as error:
            directories.append(SysctlFile(f"/{directory}", b"", unread=unread_reason(f"/{directory}", error)))
            continue
        for name in sorted(names):
            shown = f"/{directory}/{os.fsdecode(name)}"
            if name in first:
                behind.append((shown, first[name]))
            else:
                first[name] = shown
    order = [*behind, *((first[name], "") for name in sorted(first))]
    if program == PROCPS and (root / SYSCTL_CONF).is_file():
        order.append((f"/{SYSCTL_CONF}", ""))
    return [*(_read(root, name, by, overlay) for name, by in order), *directories]


def parse_lines(file: SysctlFile, program: SysctlProgram) -> Iterator[SysctlLine]:
    """Yield the assignments and exclusions of `file` as `program` parses them."""
    split = _parse_systemd if program == SYSTEMD else _parse_procps
    name = sanitize(os.fsencode(file.edited or file.name), 4096)
    for number, raw in enumerate(file.raw.split(b"\n"), 1):
        for path, value in split(raw):
            text = None if value is None else sanitize(b" ".join(re.split(rb"[ \t]+", value)), _MAX_FILE_BYTES)
            yield SysctlLine(name, number, sanitize(path, 4096), text, value or b"")


def _directories(root: Path) -> Iterator[str]:
    """Yield each directory once: /lib is often a link to /usr/lib."""
    seen = set()
    for directory in DIRECTORIES:
        real = os.path.realpath(root / directory)
        if real not in seen:
            yield directory
        seen.add(real)


def _file_names(root: Path, directory: str, program: SysctlProgram, overlay: Mapping[str, bytes]) -> set[bytes]:
    # systemd skips hidden files (FOREACH_DIRENT), procps does not.
    hidden = program == PROCPS
    names = {os.fsencode(os.path.basename(file)) for file in overlay if os.path.dirname(file) == f"/{directory}"}
    try:
        names.update(map(os.fsencode, os.listdir(root / directory)))
    except OSError as error:
        if error.errno not in NOBODY_READS:
            raise
    return {name for name in names if name.endswith(b".conf") and (hidden or not name.startswith(b"."))}


def _read(root: Path, name: str, shadowed_by: str, overlay: Mapping[str, bytes]) -> SysctlFile:
    if name in overlay:
        return SysctlFile(name, overlay[name], shadowed_by)
    path = root / name.lstrip("/")
    edited = f"/{SYSCTL_CONF}" if path.is_symlink() and _same_file(path, root / SYSCTL_CONF) else ""
    try:
        return SysctlFile(name, read_file(path), shadowed_by, edited=edited)
    except (OSError, UnreadableFile) as error:
        if isinstance(error, OSError) and error.errno in NOBODY_READS:
            # It still hides the files of the same name; it has no lines.
            return SysctlFile(name, b"", shadowed_by)
        return SysctlFile(name, b"", shadowed_by, unread_reason(edited or name, error))


def unread_reason(name: str, error: Exception) -> str:
    """Return that the file cannot be read, and why."""
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return f"{sanitize(os.fsencode(name), 4096)} cannot be read: {reason}"


def _same_file(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return os.path.samefile(one, other)
    return False


def read_file(file: Path) -> bytes:
    """Return the content of a regular file without blocking; a directory, and a /dev/null that masks a file, are
    empty. Raise OSError, or UnreadableFile for what has no end or is too long."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode) or (stat.S_ISCHR(mode) and os.fstat(descriptor).st_rdev == os.makedev(1, 3)):
            return b""
        if not stat.S_ISREG(mode):
            raise UnreadableFile("not a regular file")
        raw = b""
        while len(raw) <= _MAX_FILE_BYTES and (more := os.read(descriptor, _MAX_FILE_BYTES)):
            raw += more
    finally:
        os.close(descriptor)
    if len(raw) > _MAX_FILE_BYTES:
        raise UnreadableFile("longer than 1 MiB")
    return raw


def _parse_systemd(raw: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    # read_line() ends a line at a carriage return and at a NUL too.
    for text in re.split(rb"[\r\0]", raw):
        line = text.strip(_BLANK)
        if not line or line[:1] in b"#;":
            continue
        key, equals, value = line.partition(b"=")
        if not equals and not key.startswith(b"-"):
            continue
        path = _swap_separators(key.removeprefix(b"-").strip(_BLANK))
        # path_simplify(): neither empty nor `.` components, nor a slash at either end.
        path = b"/".join(part for part in path.split(b"/") if part not in (b"", b"."))
        if path and b".." not in path.split(b"/"):
            yield path, value.strip(_BLANK) if equals else None


def _parse_procps(raw: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    line = raw.partition(b"\0")[0].lstrip(_SPACE)
    if len(line) < 2 or line[:1] in b"#;":
        return
    key, equals, value = line.partition(b"=")
    if not equals and not key.startswith(b"-"):
        return
    # One dash has a meaning, and setting_new() skips another; blanks after it belong to the key.
    key = key.removeprefix(b"-").rstrip(_SPACE).removeprefix(b"-")
    if key:
        yield _swap_separators(key), value.strip(_SPACE) if equals else None


def _swap_separators(key: bytes) -> bytes:
    first = re.search(rb"[./]", key)
    return key.translate(bytes.maketrans(b"./", b"/.")) if first and first[0] == b"." else key


def resolve_path(path: str) -> str:
    """Return `path` without double slashes and `..`, as the kernel resolves it. A slash at the end stays: no file
    can be opened with it."""
    return posixpath.normpath(path).lstrip("/") + "/" * path.endswith("/")
