"""The files of sysctl.d(5), read as the two programs read them that apply them at boot.

systemd-sysctl (src/sysctl/sysctl.c, src/basic/sysctl-util.c, read_line() in src/basic/fileio.c) and
`sysctl --system` of procps (src/sysctl.c) differ in what ends a line, in which names of files count, and in how a
key becomes a path.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from sockmon.model.clean import clean

Loader = Literal["systemd-sysctl", "sysctl --system"]
SYSTEMD: Loader = "systemd-sysctl"
PROCPS: Loader = "sysctl --system"
LOADERS = (SYSTEMD, PROCPS)

DIRECTORIES = ("etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d", "lib/sysctl.d")
"""Below the root: of two files with one name the first counts."""
SYSCTL_CONF = "etc/sysctl.conf"
"""Comes last under procps, whatever the names of the others; systemd does not read it."""

_LARGEST = 1 << 20
_BLANK = b" \t\n\r"
_SPACE = b" \t\n\v\f\r"


class Line(msgspec.Struct, frozen=True):
    """One assignment or exclusion."""

    file: str
    """As seen from the root: `/etc/sysctl.d/99-x.conf`."""
    number: int
    path: str
    """Below /proc/sys, as the program takes it; may be a pattern of glob(7)."""
    value: str | None
    """What is written, tokens separated by single spaces; None: this excludes a key, or what a pattern matches."""

    @property
    def at(self) -> str:
        """`FILE:LINE`."""
        return f"{self.file}:{self.number}"

    @property
    def pattern(self) -> bool:
        """Whether `path` names more than one key."""
        return any(sign in self.path for sign in "*?[")

    @property
    def doubt(self) -> str:
        """Why the kernel may refuse the value; empty: nothing to be seen in the text."""
        if self.value is not None and any(quote in self.value for quote in "\"'"):
            return "the quotes are part of the value"
        if self.value is not None and ("#" in self.value or ";" in self.value):
            return "what looks like a comment is part of the value"
        return ""


class Unread(Exception):
    """A file or directory that is there and cannot be read: what it holds is not known."""


class File(msgspec.Struct, frozen=True):
    """One file that a program reads, or would read if none of that name came before it."""

    name: str
    """As seen from the root."""
    raw: bytes
    behind: str = ""
    """The file of the same name that counts in its place; empty: this one counts."""


def path_of(key: str) -> str:
    """The path below /proc/sys that `key` means: `net.ipv4.conf.eth0/100.rp_filter` swaps dots and slashes, unless
    the first of them is a slash."""
    first = next((sign for sign in key if sign in "./"), "/")
    return key if first == "/" else key.translate({ord("."): "/", ord("/"): "."})


def key_of(path: str) -> str:
    """The dotted key of a path below /proc/sys."""
    return path.translate({ord("."): "/", ord("/"): "."})


def files(root: Path, loader: Loader, instead: Mapping[str, bytes], unread: set[str]) -> list[File]:
    """Every file that `loader` finds, in the order in which it reads them; those that do not count come first.

    `instead` holds contents for files as they would be after a change. What cannot be read goes to `unread`."""
    first: dict[bytes, str] = {}
    behind: list[tuple[str, str]] = []
    for directory in _directories(root):
        for name in sorted(_names(root, directory, loader, instead, unread)):
            shown = f"/{directory}/{os.fsdecode(name)}"
            if name in first:
                behind.append((shown, first[name]))
            else:
                first[name] = shown
    order = [*behind, *((first[name], "") for name in sorted(first))]
    if loader == PROCPS and (root / SYSCTL_CONF).is_file():
        order.append((f"/{SYSCTL_CONF}", ""))
    return [
        File(name, raw, by) for name, by in order if (raw := _content(root, name, instead, unread)) is not None
    ]


def lines(file: File, loader: Loader) -> Iterator[Line]:
    """The assignments and exclusions of `file`, as `loader` understands them."""
    split = _systemd if loader == SYSTEMD else _procps
    for number, raw in enumerate(file.raw.split(b"\n"), 1):
        for path, value in split(raw):
            text = None if value is None else clean(b" ".join(re.split(rb"[ \t]+", value)), _LARGEST)
            yield Line(clean(os.fsencode(file.name), 4096), number, clean(path, 4096), text)


def _directories(root: Path) -> Iterator[str]:
    """Each directory once: /lib is often a link to /usr/lib."""
    seen = set()
    for directory in DIRECTORIES:
        real = os.path.realpath(root / directory)
        if real not in seen:
            yield directory
        seen.add(real)


def _names(
    root: Path, directory: str, loader: Loader, instead: Mapping[str, bytes], unread: set[str]
) -> set[bytes]:
    # systemd leaves out hidden files (FOREACH_DIRENT), procps does not.
    hidden = loader == PROCPS
    names = {os.fsencode(os.path.basename(file)) for file in instead if os.path.dirname(file) == f"/{directory}"}
    try:
        names.update(map(os.fsencode, os.listdir(root / directory)))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        unread.add(f"/{directory}: {error.strerror}")
    return {name for name in names if name.endswith(b".conf") and (hidden or not name.startswith(b"."))}


def _content(root: Path, name: str, instead: Mapping[str, bytes], unread: set[str]) -> bytes | None:
    """What is in the file; None: nothing that is known."""
    if name in instead:
        return instead[name]
    try:
        return read(root / name.lstrip("/"))
    except FileNotFoundError:
        # A link that leads nowhere still hides the files of its name; it holds no line.
        return b""
    except (OSError, Unread) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        unread.add(f"{clean(os.fsencode(name), 4096)}: {reason}")
        return None


def read(file: Path) -> bytes:
    """The content of a regular file, read without waiting; a directory, and the /dev/null that masks a file, are
    empty. OSError, or Unread for what no program can read through to its end."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode) or (stat.S_ISCHR(mode) and os.fstat(descriptor).st_rdev == os.makedev(1, 3)):
            return b""
        if not stat.S_ISREG(mode):
            raise Unread("not a regular file")
        raw = b""
        while len(raw) <= _LARGEST and (more := os.read(descriptor, _LARGEST)):
            raw += more
    finally:
        os.close(descriptor)
    if len(raw) > _LARGEST:
        raise Unread("longer than 1 MiB")
    return raw


def _systemd(raw: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    # To read_line() a carriage return and a NUL end a line as a line feed does.
    for text in re.split(rb"[\r\0]", raw):
        line = text.strip(_BLANK)
        if not line or line[:1] in b"#;":
            continue
        key, equals, value = line.partition(b"=")
        if not equals and not key.startswith(b"-"):
            continue
        path = _swap(key.removeprefix(b"-").strip(_BLANK))
        # path_simplify(): neither empty nor `.` components, nor a slash at either end.
        path = b"/".join(part for part in path.split(b"/") if part not in (b"", b"."))
        if path and b".." not in path.split(b"/"):
            yield path, value.strip(_BLANK) if equals else None


def _procps(raw: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    line = raw.partition(b"\0")[0].lstrip(_SPACE)
    if len(line) < 2 or line[:1] in b"#;":
        return
    key, equals, value = line.partition(b"=")
    if not equals and not key.startswith(b"-"):
        return
    # One dash means something, and setting_new() passes over another; blanks behind it belong to the key.
    key = key.removeprefix(b"-").rstrip(_SPACE).removeprefix(b"-")
    if key:
        yield _swap(key), value.strip(_SPACE) if equals else None


def _swap(key: bytes) -> bytes:
    first = re.search(rb"[./]", key)
    return key.translate(bytes.maketrans(b"./", b"/.")) if first and first[0] == b"." else key


def real(path: str) -> str:
    """`path` without doubled slashes and `..`, as the kernel resolves it; a slash at the end stays: no file opens
    with it."""
    return posixpath.normpath(path).lstrip("/") + "/" * path.endswith("/")
