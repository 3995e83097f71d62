"""Lines that look as if they set a key at boot, and do not."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from difflib import SequenceMatcher
from pathlib import Path

import msgspec

from sockmon.text import sanitize
from sockmon.tunables import BY_KEY
from sockmon.tuning.boot.kernel_rules import same_number
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
_COMMAND = re.compile(rb"(?:sudo\s+)?(?:/\S*/)?sysctl\s+(?:-\S+\s+)*")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class _Mention(msgspec.Struct, frozen=True):
    """A line that is about a key, and does not set it."""

    at: str
    path: str
    """What stands where the key does, as a path below /proc/sys."""
    word: str
    """The same as it stands there."""
    why: str
    """Why it does not set that key; empty if it is written as it should be, and is no key."""
    is_key: bool = True
    """Whether there is such a key."""


class NearMisses:
    """The lines below a root that look as if they set keys, and do not."""

    def __init__(self, files: BootFiles, root: Path) -> None:
        """`files` are those that count."""
        self._mentions = [*_hidden(files, root), *_in_files(root)]

    def of(self, key: str) -> tuple[str, ...]:
        """Return each line that looks as if it set `key`, with the reason why it does not, a sentence each."""
        names = same_number(path_of(key))
        found = ((each.at, _why(each, names)) for each in self._mentions)
        return tuple(dict.fromkeys(f"{at} looks as if it set it, but {why}" for at, why in found if why))[
            :_MAX_HINTS
        ]


def _why(mention: _Mention, names: tuple[str, ...]) -> str:
    """Return why the line does not set one of `names`; empty if it is not about them."""
    if mention.path in names:
        return mention.why
    near = (
        None if _is_a_key(mention.path) else next((each for each in names if _is_alike(mention.path, each)), None)
    )
    return f"`{sanitize(mention.word, 80)}` is not the key: that is {key_of(near)}" if near else ""


def _hidden(files: BootFiles, root: Path) -> Iterator[_Mention]:
    for program in PROGRAMS:
        for each in files.hidden[program]:
            if each.line.value is not None:
                why = _how_it_hides(root / each.hidden_by.lstrip("/"))
                yield _Mention(each.line.at, each.line.path, each.line.path, f"{each.hidden_by}, {why}")


def _how_it_hides(file: Path) -> str:
    """Return how `file` hides those of its name."""
    if _is_null(file):
        return "which is a link to /dev/null, hides its file"
    if file.is_symlink() and not os.path.exists(file):
        return "a link to a file that does not exist, hides its file"
    return "of the same name, is read instead"


def _is_null(file: Path) -> bool:
    with suppress(OSError):
        return os.path.samefile(file, os.devnull) or os.readlink(file) == os.devnull
    return False


def _in_files(root: Path) -> Iterator[_Mention]:
    """Yield the lines that do not set the key that they name, and all that name no key."""
    for file, unread_why in _candidates(root):
        with suppress(OSError, UnreadableFile):
            raw = read_file(root / file)
            wide = raw[:2] in _UTF16_MARKS
            if wide:
                raw = raw.decode("utf-16", "replace").encode("utf-8")
            for number, line in enumerate(raw.split(b"\n"), 1):
                word, why = _parse(line)
                why = unread_why or ("the file is in UTF-16, which no program reads" if wide else why)
                path = _path(word)
                is_key = bool(word) and _is_a_key(path)
                if word and (why or not is_key):
                    at = f"{sanitize(os.fsencode(f'/{file}'), 4096)}:{number}"
                    yield _Mention(at, path, word, why, is_key)


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


def _parse(line: bytes) -> tuple[str, str]:
    """Return what stands where the key does, empty without one, and why the line does not set that key; empty if
    it is written as it should be."""
    text = line.strip(b" \t\r")
    if not text or text[:1] in b"#;":
        return "", ""
    marked = text.startswith(_BYTE_ORDER_MARK)
    text = text.removeprefix(_BYTE_ORDER_MARK)
    command = _COMMAND.match(text)
    assignment = text[command.end() :] if command else text
    word = re.split(rb"[ \t=:]", assignment.removeprefix(b"-").strip())[0].decode("utf-8", "replace")
    if command:
        return word, "it is a command, not a line of such a file: remove what stands before the key"
    if marked:
        return word, "a byte order mark stands before the key, and belongs to it"
    return word, "" if b"=" in text or text.startswith(b"-") else "it has no `=`"


def _path(word: str) -> str:
    return path_of(word).removeprefix("proc/sys/").removeprefix("/proc/sys/").strip("/")


def _is_alike(path: str, name: str) -> bool:
    if path.lower() == name or path == name.replace(".", "/"):
        # The second: a dot in the name of an interface that is not written as a slash.
        return True
    if path.count("/") != name.count("/") or abs(len(path) - len(name)) > 3:
        return False
    head, _, tail = path.rpartition("/")
    wanted_head, _, wanted = name.rpartition("/")
    close = SequenceMatcher(None, path, name).ratio() >= _MIN_SIMILARITY
    # gc_thresh1 is no misspelt gc_thresh2, and tcp_rmem no misspelt tcp_wmem.
    return close and path != name and (head == wanted_head or tail == wanted)


def _is_a_key(path: str) -> bool:
    return key_of(path) in BY_KEY or os.path.exists(f"/proc/sys/{path}")
