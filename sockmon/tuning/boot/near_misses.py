"""Lines that look as if they set a key at boot, and do not."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from difflib import SequenceMatcher
from pathlib import Path

from sockmon.text import sanitize
from sockmon.tunables import BY_KEY
from sockmon.tuning.boot.kernel_write import same_number
from sockmon.tuning.boot.sysctl_d import (
    DIRECTORIES,
    PROGRAMS,
    SYSCTL_CONF,
    UnreadableFile,
    key_of,
    path_of,
    read_file,
)
from sockmon.tuning.boot.winning_line import BootFiles

_WRONG_DIRECTORIES = ("etc/sysctl.conf.d", "etc/sysctl", "etc/sysctld", "etc/sysctld.d", "etc/sysctl.d.conf")
_MAX_HINTS = 4
_MAX_FILES = 200
_MIN_SIMILARITY = 0.88
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def near_misses(key: str, files: BootFiles, root: Path) -> tuple[str, ...]:
    """Return each line below `root` that looks as if it set `key`, with the reason why it does not, a sentence
    each; `files` are those that count."""
    names = same_number(path_of(key))
    found = [*_hidden(names, files, root), *_in_files(names, root)]
    return tuple(dict.fromkeys(f"{at} looks as if it set it, but {why}" for at, why in found))[:_MAX_HINTS]


def _hidden(names: Iterable[str], files: BootFiles, root: Path) -> Iterator[tuple[str, str]]:
    for program in PROGRAMS:
        for each in files.hidden[program]:
            if each.line.path in names and each.line.value is not None:
                masked = _is_null(root / each.hidden_by.lstrip("/"))
                why = (
                    "which is a link to /dev/null, hides its file"
                    if masked
                    else "of the same name, is read instead"
                )
                yield each.line.at, f"{each.hidden_by}, {why}"


def _is_null(file: Path) -> bool:
    with suppress(OSError):
        return os.path.samefile(file, os.devnull) or os.readlink(file) == os.devnull
    return False


def _in_files(names: tuple[str, ...], root: Path) -> Iterator[tuple[str, str]]:
    for file, unread_why in _candidates(root):
        with suppress(OSError, UnreadableFile):
            for number, line in enumerate(read_file(root / file).split(b"\n"), 1):
                why = _why_not(line, names)
                if why is not None and (why or unread_why):
                    yield f"{sanitize(os.fsencode(f'/{file}'), 4096)}:{number}", unread_why or why


def _candidates(root: Path) -> Iterator[tuple[str, str]]:
    """Yield files below the root, and why no program reads them; empty for a file that counts."""
    for directory in DIRECTORIES:
        for name in _names(root / directory):
            path = f"{directory}/{name}"
            if (root / path).is_dir():
                for inner in _names(root / path):
                    yield f"{path}/{inner}", "no program reads the directories inside sysctl.d"
            else:
                yield (
                    path,
                    "" if name.endswith(".conf") else "no program reads a file whose name does not end in .conf",
                )
    yield SYSCTL_CONF, ""
    for directory in _WRONG_DIRECTORIES:
        for name in _names(root / directory):
            yield f"{directory}/{name}", f"no program reads the directory /{directory}"


def _names(directory: Path) -> list[str]:
    with suppress(OSError):
        return sorted(os.listdir(directory))[:_MAX_FILES]
    return []


def _why_not(line: bytes, names: tuple[str, ...]) -> str | None:
    """Return why a line that is about one of `names` does not set it; empty if it does; None if it is about
    something else."""
    text = line.strip(b" \t\r")
    if not text or text[:1] in b"#;":
        return None
    marked = text.startswith(_BYTE_ORDER_MARK)
    text = text.removeprefix(_BYTE_ORDER_MARK)
    command = re.match(rb"(?:sudo\s+)?(?:/\S*/)?sysctl\s+(?:-\S+\s+)*", text)
    assignment = text[command.end() :] if command else text
    word = re.split(rb"[ \t=:]", assignment.removeprefix(b"-").strip())[0].decode("utf-8", "replace")
    path = _path(word)
    if path not in names:
        near = next((name for name in names if _is_alike(path, name)), None)
        return None if near is None else f"`{sanitize(word, 80)}` is not the key: that is {key_of(near)}"
    if command:
        return "it is a command, not a line of such a file: remove what stands before the key"
    if marked:
        return "a byte order mark stands before the key, and belongs to it"
    return "" if b"=" in text else "it has no `=`"


def _path(word: str) -> str:
    return path_of(word).removeprefix("proc/sys/").removeprefix("/proc/sys/").strip("/")


def _is_alike(path: str, name: str) -> bool:
    if path.lower() == name:
        return True
    if path.count("/") != name.count("/") or abs(len(path) - len(name)) > 3:
        return False
    head, _, tail = path.rpartition("/")
    wanted_head, _, wanted = name.rpartition("/")
    close = SequenceMatcher(None, path, name).ratio() >= _MIN_SIMILARITY
    # gc_thresh1 is no misspelt gc_thresh2, and tcp_rmem no misspelt tcp_wmem.
    return close and path != name and not _is_a_key(path) and (head == wanted_head or tail == wanted)


def _is_a_key(path: str) -> bool:
    return key_of(path) in BY_KEY or os.path.exists(f"/proc/sys/{path}")
