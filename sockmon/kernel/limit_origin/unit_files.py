"""What a unit sets, by its file and drop-ins in the order of systemd (unit-file.c, dropin.c and conf-parser.c).

The main file is the first of that name in the search path, else that of the template. Of drop-ins with one name
the first in the search path counts; they are read sorted by that name, and the last valid assignment holds."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from sockmon.kernel.limit_origin.config_files import ConfigFiles
from sockmon.text import sanitize

T = TypeVar("T")

SYSTEM_PATH = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/run/systemd/generator.late",
)
CONF_PATH = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd")
_COMMENT = "#;"


@dataclass(frozen=True)
class Assignment:
    """One `KEY=VALUE` of a unit file."""

    file: str
    line: int
    key: str
    value: str

    @property
    def text(self) -> str:
        """`KEY=VALUE`, safe for a terminal."""
        return sanitize(f"{self.key}={self.value}", 200)


class UnitFiles(NamedTuple):
    """The files of one unit."""

    fragment: str
    """The main file; empty if it has none, or is masked."""
    drop_ins: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """The main file and the drop-ins, in the order of reading."""
        return (self.fragment, *self.drop_ins) if self.fragment else self.drop_ins


def user_path(home: str, uid: int) -> tuple[str, ...]:
    """Return the search path of the service manager of a user."""
    run, config, share = f"/run/user/{uid}/systemd", f"{home}/.config/systemd", f"{home}/.local/share/systemd"
    return (
        f"{config}/user.control",
        f"{run}/user.control",
        f"{run}/transient",
        f"{run}/generator.early",
        f"{config}/user",
        "/etc/xdg/systemd/user",
        "/etc/systemd/user",
        f"{run}/user",
        "/run/systemd/user",
        f"{run}/generator",
        f"{share}/user",
        "/usr/local/share/systemd/user",
        "/usr/share/systemd/user",
        "/usr/local/lib/systemd/user",
        "/usr/lib/systemd/user",
        f"{run}/generator.late",
    )


def find_unit_files(files: ConfigFiles, unit: str, path: tuple[str, ...] = SYSTEM_PATH) -> UnitFiles:
    """Return the files of `unit`; raise nothing: what cannot be read is in `files.unread`."""
    fragment = next(filter(None, (_first(files, name, path) for name in (unit, template_of(unit)) if name)), "")
    if fragment and not files.lines(fragment):
        fragment = ""
    return UnitFiles(fragment, tuple(_drop_ins(files, unit, path)))


def last_assignment(
    files: ConfigFiles, names: tuple[str, ...], section: str, key: str, parse: Callable[[str], T | None]
) -> tuple[Assignment, T] | None:
    """Return the assignment that holds, and its value: the last one in these files that `parse` accepts."""
    held: tuple[Assignment, T] | None = None
    for name in names:
        for each in assignments(files, name, section):
            if each.key == key and (value := parse(each.value)) is not None:
                held = each, value
    return held


def assignments(files: ConfigFiles, name: str, section: str) -> Iterator[Assignment]:
    """Yield the assignments in one section of a file, as config_parse() reads them."""
    current = ""
    for number, line in _logical_lines(files.lines(name) or ()):
        if line.startswith("["):
            current = line[1:-1] if line.endswith("]") else ""
            continue
        key, equals, value = line.partition("=")
        if equals and current == section:
            yield Assignment(name, number, key.rstrip(), value.strip())


def template_of(unit: str) -> str:
    """Return `a@.service` of `a@b.service`; empty if the unit is no instance."""
    match = re.fullmatch(r"([^@]+@)[^@]+(\.[a-z]+)", unit)
    return f"{match[1]}{match[2]}" if match else ""


def conf_files(files: ConfigFiles, name: str) -> tuple[str, ...]:
    """Return `system.conf` or `user.conf`, and its drop-ins, in the order of reading."""
    main = next((f"{folder}/{name}" for folder in CONF_PATH if files.exists(f"{folder}/{name}")), "")
    folders = [f"{folder}/{name}.d" for folder in CONF_PATH]
    return (*filter(None, (main,)), *_by_name(files, folders))


def _logical_lines(lines: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Yield lines with their numbers, continued ones joined: a comment inside of them is left out."""
    number, parts = 0, ""
    for at, raw in enumerate(lines, 1):
        line = raw.strip(" \t\n\r")
        if not line or line[0] in _COMMENT:
            # An empty line ends a continuation, a comment does not.
            if parts and not line:
                yield number, parts.strip()
                parts = ""
            continue
        number = number if parts else at
        if (len(line) - len(line.rstrip("\\"))) % 2:
            parts += line[:-1] + " "
            continue
        yield number, (parts + line).strip()
        parts = ""
    if parts:
        yield number, parts.strip()


def _first(files: ConfigFiles, name: str, path: tuple[str, ...]) -> str:
    return next((f"{folder}/{name}" for folder in path if files.exists(f"{folder}/{name}")), "")


def _drop_ins(files: ConfigFiles, unit: str, path: tuple[str, ...]) -> list[str]:
    names = [unit, *_aliases(files, unit, path)]
    folders = [f"{folder}/{part}.d" for name in names for folder in path for part in _drop_in_names(name)]
    folders += [f"{folder}/{unit.rpartition('.')[2]}.d" for folder in path]
    return _by_name(files, folders)


def _drop_in_names(unit: str) -> Iterator[str]:
    """Yield the unit, its template, and the prefixes that end in a dash, the most specific first:
    `a-b@c.service`, `a-b@.service`, `a-.service`, `a-@c.service`, `a-@.service`."""
    yield unit
    if template := template_of(unit):
        yield from _drop_in_names(template)
    end = unit.find("@") if "@" in unit else unit.rfind(".")
    # systemd builds the prefix of a template without the @.
    prefix, rest = unit[:end], unit[end:].removeprefix("@" if "@." in unit else "")
    shorter = prefix.removesuffix("-").rpartition("-")[0]
    if shorter:
        yield from _drop_in_names(f"{shorter}-{rest}")


def _aliases(files: ConfigFiles, unit: str, path: tuple[str, ...]) -> list[str]:
    """Return the other names of the unit: links to its file."""
    found = (name for folder in path for name, target in files.links(folder).items() if target == unit)
    return [name for name in dict.fromkeys(found) if name.endswith(".service")]


def _by_name(files: ConfigFiles, folders: list[str]) -> list[str]:
    """Return the files that end in .conf, sorted by name; of one name the first folder's. A mask hides the
    others."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for folder in folders:
        parent, _, last = folder.rpartition("/")
        if last not in files.names(parent):
            continue
        real = os.path.realpath(files.path(folder))
        if real in seen:
            continue
        seen.add(real)
        for name in files.names(folder):
            if name.endswith(".conf") and not name.startswith("."):
                found.setdefault(name, f"{folder}/{name}")
    return [found[name] for name in sorted(found, key=os.fsencode)]
