"""/etc/security/limits.conf and limits.d, as pam_limits reads them for one user (modules/pam_limits/pam_limits.c).

The files are read in order, limits.conf first. A line for the user beats one for a group, and that beats `*`; of
two of one kind the later one holds. `USER -` without an item ends it: no limit is set at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sockmon.kernel.limit_origin.config_files import ConfigFiles
from sockmon.model.limit_origin import Resource
from sockmon.text import sanitize
from sockmon.tunables.limit_origin.limit_value import parse_pam

CONF, FOLDER = "/etc/security/limits.conf", "/etc/security/limits.d"
VENDOR_CONF, VENDOR_FOLDER = "/usr/lib/security/limits.conf", "/usr/lib/security/limits.d"
"""Where a distribution that sets VENDORDIR has its own; a file of the same name in /etc hides one of limits.d."""
_DEBIAN = "/etc/debian_version"
_USER, _GROUP, _ALL = range(3)
"""The ranks of a line: a lower one beats a higher one."""
_NO_RANK = 9


class Login(NamedTuple):
    """The user of a login."""

    name: str
    uid: int
    gid: int
    groups: frozenset[str]
    """The names of its groups, the primary one included."""
    gids: frozenset[int]


@dataclass(frozen=True)
class LimitsLine:
    """One complete line."""

    file: str
    line: int
    domain: str
    type: str
    """soft, hard or `-`."""
    item: str
    value: str

    @property
    def at(self) -> str:
        """`FILE:LINE`."""
        return f"{sanitize(self.file, 4096)}:{self.line}"

    @property
    def text(self) -> str:
        """The line with single blanks, safe for a terminal."""
        return sanitize(f"{self.domain} {self.type} {self.item} {self.value}", 200)

    @property
    def sets_soft(self) -> bool:
        """Whether it sets the soft limit."""
        return self.type in ("soft", "-")

    @property
    def sets_hard(self) -> bool:
        """Whether it sets the hard limit."""
        return self.type in ("hard", "-")


class PamLimit(NamedTuple):
    """What limits.conf gives to one user; None where it gives nothing."""

    soft: tuple[LimitsLine, int] | None
    hard: tuple[LimitsLine, int] | None
    exempt: bool = False
    """True if a line `USER -` leaves all limits as they are."""


def is_debian(files: ConfigFiles) -> bool:
    """Return whether it is the pam_limits of Debian or Ubuntu: it takes limits without a line from process 1,
    applies `*` and groups to no root, and goes on when the kernel refuses a limit (debian/patches-applied)."""
    return files.exists(_DEBIAN)


def limits_of_user(
    files: ConfigFiles, login: Login, resource: Resource, nr_open: int | None, conf: str = ""
) -> PamLimit:
    """Return what the files give to `login`; `conf` is the only file if the module has the option conf=."""
    found: dict[str, tuple[LimitsLine, int]] = {}
    ranks = {"soft": _NO_RANK, "hard": _NO_RANK}
    for line in read_lines(files, conf):
        rank = _rank(line, login, is_debian(files))
        if rank is None:
            continue
        if not line.item:
            return PamLimit(None, None, exempt=True)
        value = parse_pam(resource, line.value, nr_open) if line.item == resource else None
        if value is None:
            continue
        for kind, sets in (("soft", line.sets_soft), ("hard", line.sets_hard)):
            if not sets:
                continue
            if ranks[kind] < rank:
                # A line with `-` whose soft limit is beaten sets the hard one neither.
                break
            ranks[kind], found[kind] = rank, (line, value)
    return PamLimit(found.get("soft"), found.get("hard"))


def read_lines(files: ConfigFiles, conf: str = "") -> Iterator[LimitsLine]:
    """Yield the lines in the order in which they are read; of `DOMAIN -` type and item are `-` and empty."""
    for name in (conf,) if conf else file_names(files):
        for number, raw in enumerate(files.lines(name) or (), 1):
            parts = raw.partition("#")[0].split(None, 3)
            if len(parts) == 4:
                domain, kind, item, value = parts
                yield LimitsLine(name, number, domain, kind.lower(), item.lower(), value.strip().lower())
            elif len(parts) == 2 and parts[1].startswith("-"):
                yield LimitsLine(name, number, parts[0], "-", "", "")


def file_names(files: ConfigFiles) -> tuple[str, ...]:
    """Return limits.conf and the files of limits.d, in the order of reading."""
    main = CONF if files.exists(CONF) or not files.exists(VENDOR_CONF) else VENDOR_CONF
    found = {}
    for folder in (VENDOR_FOLDER, FOLDER):
        # glob(3) passes over hidden files.
        found.update(
            {name: f"{folder}/{name}" for name in files.names(folder) if re.fullmatch(r"[^.].*\.conf", name)}
        )
    return (main, *(found[name] for name in sorted(found)))


def _rank(line: LimitsLine, login: Login, debian: bool) -> int | None:
    """Return how specific the line is for this user; None if it is about others."""
    domain = line.domain
    if domain == login.name:
        return _USER
    if domain.startswith("%") or (debian and login.uid == 0 and (domain == "*" or domain.startswith("@"))):
        return None
    if domain.startswith("@"):
        return _GROUP if _group_matches(domain[1:], login) else None
    if domain == "*":
        return _ALL if line.item else None
    if ":" in domain and (span := _range(domain)) and span[0] <= login.uid <= span[1]:
        return _USER
    return None


def _group_matches(name: str, login: Login) -> bool:
    if ":" not in name:
        return name in login.groups
    span = _range(name)
    if span is None:
        return False
    # `@:GID` is any group of the user, a range is compared with the primary one.
    return span[0] in login.gids if name.startswith(":") else span[0] <= login.gid <= span[1]


def _range(domain: str) -> tuple[int, int] | None:
    """Return the ids of `MIN:MAX`, `MIN:` and `:ONE`; None if it is malformed."""
    match = re.fullmatch(r"([0-9]*):([0-9]*)", domain)
    if match is None or domain == ":":
        return None
    low, high = match[1], match[2]
    if not low:
        return int(high), int(high)
    return int(low), int(high) if high else 1 << 32
