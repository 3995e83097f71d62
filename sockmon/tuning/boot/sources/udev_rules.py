"""Rules of udev that write a sysctl: `SYSCTL{KEY}="VALUE"`, and commands in RUN.

From udev(7) and src/udev/udev-rules.c. A rule runs when a device that it matches appears, mostly after the files
of sysctl.d were applied; that of systemd for network interfaces (99-systemd.rules) applies the same files again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sockmon.text import sanitize
from sockmon.tuning.boot.replay import BootWrite
from sockmon.tuning.boot.sources.config_files import config_lines
from sockmon.tuning.boot.sysctl_d import path_of

_KEY = r"(?:net|fs|vm|kernel|user)(?:[./][\w:@-]+)+"
_SYSCTL = re.compile(r'SYSCTL\{([^}]+)\}\s*=\s*"([^"]*)"')
_RUN = re.compile(r'RUN(?:\{program\})?\s*\+?=\s*"([^"]*)"')
_COMMAND = re.compile(rf"sysctl\s+(?:-\w+\s+)*'?({_KEY})\s*=\s*'?([\d ,\t-]*\d|\w+)")
_ECHO = re.compile(r"echo\s+(?:-n\s+)?'?([\d ,\t-]*\d|\w+)'?\s*>\s*/proc/sys/([\w/.:@-]+)")


def udev_writes(root: str | Path) -> Iterator[BootWrite]:
    """Yield what the rules write, in the order of their files."""
    for file, number, line in config_lines(Path(root), "udev/rules.d", ".rules"):
        for path, value in _in_rule(line):
            if "$" not in path and "%" not in path:
                text, source = sanitize(value, 4096).encode(), f"{file}:{number}"
                why = f"{source} sets {sanitize(value, 60)} when a device appears that the rule is for"
                yield BootWrite(sanitize(path, 4096), text, source, file, number, uncertain=why)


def _in_rule(line: str) -> Iterator[tuple[str, str]]:
    for match in _SYSCTL.finditer(line):
        yield path_of(match[1]), match[2]
    for command in _RUN.findall(line):
        for match in _COMMAND.finditer(command):
            yield path_of(match[1]), match[2].strip()
        for match in _ECHO.finditer(command):
            yield match[2], match[1].strip()
