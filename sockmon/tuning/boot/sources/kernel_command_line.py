"""`sysctl.*` on the kernel command line: the kernel writes these before it starts init, since Linux 5.8.

From fs/proc/proc_sysctl.c, process_sysctl_arg() and do_sysctl_args(), and lib/cmdline.c, next_arg(). The sysctls
of a module do not exist at that moment, unless it is built in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sockmon.text import sanitize
from sockmon.tuning.boot.replay import BootWrite
from sockmon.tuning.boot.sysctl_d import UnreadableFile, read_file

SOURCE = "the kernel command line"
_SPACE = b" \t\n\v\f\r"
_MODULE_PATHS = {"net/netfilter/nf_conntrack": "nf_conntrack", "net/nf_conntrack": "nf_conntrack"}


def read_command_line(root: str | Path = "/") -> bytes:
    """Return what this kernel was started with; empty if it cannot be read."""
    try:
        return read_file(Path(root, "proc/cmdline"))
    except (OSError, UnreadableFile):
        return b""


def command_line_writes(line: bytes, root: str | Path = "/") -> Iterator[BootWrite]:
    """Yield what the kernel writes; nothing for a sysctl of a module that is not built in."""
    for name, value in parameters(line):
        if not re.match(rb"sysctl[./]", name) or not value:
            continue
        path = sanitize(name[len(b"sysctl.") :].replace(b".", b"/"), 4096)
        module = next((module for start, module in _MODULE_PATHS.items() if path.startswith(start)), "")
        if not module or built_in(module, root):
            yield BootWrite(path, value, SOURCE)


def built_in(module: str, root: str | Path = "/") -> bool:
    """Return whether `module` is part of the kernel: it has a directory, and was not loaded."""
    directory = Path(root, "sys/module", module)
    return directory.is_dir() and not (directory / "initstate").exists()


def parameters(line: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield name and value of each parameter up to `--`; None without `=`. Quotes keep blanks together."""
    rest = line.strip(_SPACE)
    while rest:
        word, rest = _split_word(rest)
        name, equals, value = word.partition(b"=")
        if name == b"--" and not equals:
            return
        yield (name, _unquoted(value) if equals else None)


def _split_word(text: bytes) -> tuple[bytes, bytes]:
    """Return the first word, without the quotes around it, and the rest."""
    quoted = text.startswith(b'"')
    inside, end = quoted, len(text)
    for place in range(quoted, len(text)):
        if text[place : place + 1] == b'"':
            inside = not inside
        elif not inside and text[place : place + 1] in (b" ", b"\t", b"\n", b"\v", b"\f", b"\r"):
            end = place
            break
    word = text[quoted:end]
    return (word.removesuffix(b'"') if quoted else word), text[end:].lstrip(_SPACE)


def _unquoted(value: bytes) -> bytes:
    return value[1:].removesuffix(b'"') if value.startswith(b'"') else value
