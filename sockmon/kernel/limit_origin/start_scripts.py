"""Lines with ulimit in the scripts that start a process: those of its parents, of its unit, and /etc/init.d."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable

from sockmon.kernel.limit_origin.config_files import ConfigFiles
from sockmon.model.limit_origin import LimitSource, Resource
from sockmon.model.snapshot import UNLIMITED
from sockmon.text import sanitize
from sockmon.tunables.limit_origin.limit_value import NAMES

SHELLS = frozenset(("sh", "bash", "dash", "ash", "ksh", "zsh", "busybox"))
_ULIMIT = re.compile(r"(?:^|[\s;&|(])ulimit((?:\s+-[A-Za-z]+)+)\s+([0-9]+|unlimited|hard)\b")
_OF_A_PROCESS = ("/dev/", "/proc/")
"""Folders whose names mean another file to us than to the shell: `bash <(...)` runs /dev/fd/63."""
_EXEC_PREFIX = "@-:+!|"


def script_of(arguments: list[str], directory: str) -> str:
    """Return the absolute path of the script that a shell with these arguments runs; empty if there is none."""
    for argument in arguments[1:]:
        if argument.startswith(("-c", "+")) or argument == "-s":
            return ""
        if not argument.startswith("-"):
            if argument.startswith("/"):
                return argument
            return f"{directory}/{argument}" if directory else ""
    return ""


def script_of_exec_start(value: str) -> str:
    """Return the file that `ExecStart=` runs, or the script of the shell that it runs."""
    words = value.lstrip(_EXEC_PREFIX).split()
    if words and words[0].rpartition("/")[2] in SHELLS:
        return script_of(words, "")
    return words[0] if words and words[0].startswith("/") else ""


def find_ulimit(
    files: ConfigFiles, scripts: Iterable[str], resource: Resource, soft: int, hard: int
) -> LimitSource | None:
    """Return the last line in `scripts` that sets the limit which the process has; None if there is none."""
    for name in dict.fromkeys(scripts):
        lines = files.lines(name) if _is_script(files, name) else None
        found = None
        for number, raw in enumerate(lines or (), 1):
            found = _in_line(name, number, raw, resource, soft, hard) or found
        if found:
            return found
    return None


def _is_script(files: ConfigFiles, name: str) -> bool:
    """Return whether a file begins with `#!`: a program of many megabytes is not read."""
    if name.startswith(_OF_A_PROCESS):
        return False
    try:
        # A script can be a pipe, and a read of it would wait for ever.
        descriptor = os.open(files.path(name), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return regular and (os.read(descriptor, 2) == b"#!" or name.endswith(".sh"))
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _in_line(name: str, number: int, raw: str, resource: Resource, soft: int, hard: int) -> LimitSource | None:
    if raw.lstrip().startswith("#"):
        return None
    for match in _ULIMIT.finditer(raw):
        options = match[1].replace("-", "").replace(" ", "")
        if NAMES[resource].ulimit not in options:
            continue
        value = _value(match[2], resource, hard)
        both = "S" not in options and "H" not in options
        sets_soft, sets_hard = both or "S" in options, both or "H" in options
        if (not sets_soft or value == soft) and (not sets_hard or value == hard):
            text = sanitize(match[0].strip(" ;&|("), 100)
            return LimitSource(
                "script",
                "",
                sanitize(name, 4096),
                number,
                text,
                value if sets_soft else None,
                value if sets_hard else None,
            )
    return None


def _value(text: str, resource: Resource, hard: int) -> int:
    if text == "hard":
        return hard
    if text == "unlimited":
        return UNLIMITED
    return int(text) * (1024 if resource == "memlock" else 1)
