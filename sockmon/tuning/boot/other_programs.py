"""What applies the files of sysctl.d where neither systemd-sysctl nor procps 4 does it: procps 3, and the scripts
of OpenRC and of Alpine with busybox.

From procps 3.3.15 to 3.3.17, sysctl.c: no patterns and no exclusions, `KEY =` without a value is an error, and
until 3.3.16 /run comes before /etc. From busybox procps/sysctl.c and libbb/parse_config.c: it ends at the first
value that the kernel refuses, and the rest of that file is not applied. From OpenRC init.d/sysctl.in and Alpine's
main/openrc/sysctl.initd: the order of the files; OpenRC's script for busybox takes a value up to its first blank.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from sockmon.text import sanitize
from sockmon.tuning.boot.replay import BootWrite, Step, UnreadWrites, replay
from sockmon.tuning.boot.sysctl_d import UnreadableFile, read_file, unread_reason

Program = Literal["procps 3", "busybox with Alpine's script", "busybox with OpenRC's script"]
PROCPS3: Program = "procps 3"
ALPINE: Program = "busybox with Alpine's script"
OPENRC: Program = "busybox with OpenRC's script"

_SYSCTL_PATHS = ("usr/sbin/sysctl", "sbin/sysctl", "usr/bin/sysctl", "bin/sysctl")
_SCRIPT = "etc/init.d/sysctl"
_CONF = "/etc/sysctl.conf"
_ETC, _RUN = "etc/sysctl.d", "run/sysctl.d"
_VENDOR = ("usr/local/lib/sysctl.d", "usr/lib/sysctl.d", "lib/sysctl.d")
_SPACE = b" \t\n\v\f\r"
_SWAP = bytes.maketrans(b"./", b"/.")


def other_program(root: str | Path = "/") -> Program | None:
    """Return which of these applies the files when this machine boots; None if it is none of them, or if the
    script is not known."""
    binary = _first(Path(root), _SYSCTL_PATHS)
    if match := re.search(rb"procps-ng (\d+)\.", binary):
        return PROCPS3 if match[1] == b"3" else None
    if b"BusyBox" not in binary:
        return None
    script = _first(Path(root), (_SCRIPT,))
    if b"BSD_sysctl" in script:
        return OPENRC
    return ALPINE if b"Ignoring $f due to" in script else None


def other_steps(
    program: Program, paths: Collection[str], root: str | Path = "/", overlay: Mapping[str, bytes] | None = None
) -> list[Step]:
    """Return all that `program` writes to `paths`, in the order of the writes; `overlay` has the contents of files
    after a change."""
    reader = {PROCPS3: _procps3, ALPINE: _alpine, OPENRC: _openrc}[program]
    found = reader(_Tree(Path(root), overlay or {}), paths)
    return [step for step in found if isinstance(step, UnreadWrites) or step.path in paths]


@dataclass(frozen=True)
class _Tree:
    """The files below `root`, some of them with other contents."""

    root: Path
    overlay: Mapping[str, bytes]

    def names(self, directory: str, hidden: bool) -> list[str]:
        """Return the names in `directory` that end in .conf, in order; raise OSError if it cannot be read."""
        found = {os.path.basename(file) for file in self.overlay if os.path.dirname(file) == f"/{directory}"}
        with suppress(FileNotFoundError, NotADirectoryError):
            found.update(os.listdir(self.root / directory))
        names = (name for name in found if name.endswith(".conf") and (hidden or not name.startswith(".")))
        return sorted(names, key=os.fsencode)

    def content(self, file: str) -> bytes:
        """Return the content of `file`; raise OSError or UnreadableFile."""
        return self.overlay[file] if file in self.overlay else read_file(self.root / file.lstrip("/"))


def _first(root: Path, names: Iterable[str]) -> bytes:
    """Return the start of the first file that can be read; empty without one."""
    for name in names:
        try:
            with open(root / name, "rb") as file:
                return file.read(4 << 20)
        except OSError:
            continue
    return b""


def _lines(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines with their numbers, those that end in a backslash with the next."""
    waiting, first = b"", 1
    for number, line in enumerate(raw.split(b"\n"), 1):
        first = first if waiting else number
        waiting += line.removesuffix(b"\\")
        if not line.endswith(b"\\"):
            yield first, waiting
            waiting = b""


def _unread(place: str, error: Exception) -> UnreadWrites:
    return UnreadWrites(unread_reason(place, error))


def _steps_of_lines(
    tree: _Tree, files: Iterable[str], parse: Callable[[str, int, bytes], Iterator[Step]]
) -> Iterator[Step]:
    """Yield what `parse` makes of each line of `files`, by file and number; a file that is absent has none."""
    for file in files:
        try:
            raw = tree.content(file)
        except FileNotFoundError:
            continue
        except (OSError, UnreadableFile) as error:
            yield _unread(file, error)
            continue
        for number, line in enumerate(raw.split(b"\n"), 1):
            yield from parse(file, number, line)


def _procps3(tree: _Tree, paths: Collection[str]) -> Iterator[Step]:
    version = re.search(rb"procps-ng 3\.3\.(\d+)", _first(tree.root, _SYSCTL_PATHS))
    run_first = version is not None and int(version[1]) < 17
    first: dict[str, str] = {}
    for directory in (*((_RUN, _ETC) if run_first else (_ETC, _RUN)), *_VENDOR):
        try:
            for name in tree.names(directory, hidden=True):
                first.setdefault(name, f"/{directory}/{name}")
        except OSError as error:
            yield _unread(f"/{directory}", error)
    files = [*(first[name] for name in sorted(first, key=os.fsencode)), _CONF]
    yield from _steps_of_lines(tree, files, _procps3_line)


def _procps3_line(file: str, number: int, raw: bytes) -> Iterator[BootWrite]:
    line = raw.partition(b"\0")[0].strip(_SPACE)
    if len(line) < 2 or line[:1] in (b"#", b";"):
        return
    # strtok(3) skips any number of `=` at the start, and ends a value at a carriage return.
    name, _, value = line.lstrip(b"=").partition(b"=")
    value = re.split(rb"[\n\r]", value.lstrip(b"\n\r"))[0].lstrip(b" \t")
    name = name.strip(_SPACE).removeprefix(b"-")
    if name and value:
        path = _posix(name if _first_sign(name) == b"/" else name.translate(_SWAP))
        yield BootWrite(path, value, f"{sanitize(file, 4096)}:{number}", sanitize(file, 4096), number)


def _first_sign(name: bytes) -> bytes:
    return next((bytes([sign]) for sign in name if sign in b"./"), b"/")


def _posix(path: bytes) -> str:
    return sanitize(b"/".join(part for part in path.split(b"/") if part not in (b"", b".")), 4096)


def _alpine(tree: _Tree, paths: Collection[str]) -> Iterator[Step]:
    steps: list[Step] = []
    for file in _alpine_files(tree, steps):
        try:
            lines = list(_lines(tree.content(file)))
        except FileNotFoundError:
            continue
        except (OSError, UnreadableFile) as error:
            steps.append(_unread(file, error))
            continue
        _run_busybox(file, lines, paths, steps)
    yield from steps


def _run_busybox(file: str, lines: list[tuple[int, bytes]], paths: Collection[str], steps: list[Step]) -> None:
    """Add what one run of busybox writes to `steps`, which it has done before."""
    doubt = ""
    for number, line in lines:
        step = _busybox_line(file, number, line, paths)
        if step is None:
            continue
        steps.append(msgspec.structs.replace(step, uncertain=doubt))
        found = replay(steps).of(step.path)
        if any(refused.write is steps[-1] for refused in found.refused):
            return
        if found.unknown and not doubt:
            doubt = f"busybox ends where the kernel refuses a value, which may be at {step.source}"


def _alpine_files(tree: _Tree, steps: list[Step]) -> list[str]:
    names: dict[str, list[str]] = {}
    for directory in ("lib/sysctl.d", "usr/lib/sysctl.d", _ETC, _RUN):
        try:
            names[directory] = tree.names(directory, hidden=False)
        except OSError as error:
            names[directory] = []
            steps.append(_unread(f"/{directory}", error))
    later = {*names[_ETC], *names[_RUN]}
    vendor = [f"/{place}/{name}" for place in ("lib/sysctl.d", "usr/lib/sysctl.d") for name in names[place]]
    return [
        *(file for file in vendor if file.rpartition("/")[2] not in later),
        *(f"/{_ETC}/{name}" for name in names[_ETC] if name not in names[_RUN]),
        _CONF,
        *(f"/{_RUN}/{name}" for name in names[_RUN]),
    ]


def _busybox_line(file: str, number: int, raw: bytes, paths: Collection[str]) -> BootWrite | None:
    """Return what `sysctl -p` of busybox writes for a line; None if it writes nothing."""
    line = raw.partition(b"\0")[0].lstrip(_SPACE)
    name, equals, value = line.partition(b"=")
    name, value = name.strip(_SPACE), value.strip(_SPACE)
    if not equals or not name or not value or line[:1] in (b"#", b";"):
        return None
    path = _busybox_path(name.decode("utf-8", "replace"), paths)
    return BootWrite(path, value, f"{sanitize(file, 4096)}:{number}", sanitize(file, 4096), number)


def _busybox_path(name: str, paths: Collection[str]) -> str:
    """Return the path that busybox finds: where a name does not mix signs, each dot may be a slash, as files
    exist."""
    if "." in name.partition("/")[0] and "/" in name:
        return sanitize(name.translate({ord("."): "/", ord("/"): "."}), 4096)
    single = posixpath.normpath(re.sub(r"[./]*[.]{2}[./]*|//+", lambda found: _single(found[0]), name))
    single += "/" * name.endswith("/")
    for path in paths:
        if len(path) == len(single) and all(
            a == b or (a, b) == (".", "/") for a, b in zip(single, path, strict=True)
        ):
            return path
    return sanitize(single.replace(".", "/"), 4096)


def _single(signs: str) -> str:
    # `/../` is the parent directory; other repeated signs count as one slash.
    return signs if signs == "/../" else "/"


def _openrc(tree: _Tree, paths: Collection[str]) -> Iterator[Step]:
    if not os.path.exists(tree.root / _CONF.lstrip("/")):
        return
    try:
        files = [_CONF, *(f"/{_ETC}/{name}" for name in tree.names(_ETC, hidden=False))]
    except OSError as error:
        files = [_CONF]
        yield _unread(f"/{_ETC}", error)
    yield from _steps_of_lines(tree, files, partial(_openrc_line, paths))


def _openrc_line(paths: Collection[str], file: str, number: int, line: bytes) -> Iterator[Step]:
    # sed 's/ = /=/', then the first word of what is left.
    word = line.replace(b" = ", b"=", 1).split(None, 1)[:1]
    name, equals, value = word[0].partition(b"=") if word else (b"", b"", b"")
    if equals and name and not name.startswith(b"#"):
        path = _busybox_path(name.decode("utf-8", "replace"), paths)
        yield BootWrite(path, value, f"{sanitize(file, 4096)}:{number}", sanitize(file, 4096), number)
