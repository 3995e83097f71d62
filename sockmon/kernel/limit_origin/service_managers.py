"""What systemd gives a unit: its own directive, DefaultLimitNOFILE= of the manager, or the built-in default.

The built-in default of nofile is the soft limit of PID 1 at its start, at most 1,024, and since version 240 a
hard limit of 524,288, or of fs.nr_open if that is lower (fallback_rlimit_nofile() in src/core/main.c); before,
4,096, the kernel's. For nproc it is what PID 1 has. If the kernel refuses a limit, the unit gets the hard limit
of the manager instead (setrlimit_closest())."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from sockmon.kernel.limit_origin.config_files import ConfigFiles
from sockmon.kernel.limit_origin.passwd_files import home_of
from sockmon.kernel.limit_origin.unit_files import (
    SYSTEM_PATH,
    Assignment,
    UnitFiles,
    conf_files,
    find_unit_files,
    last_assignment,
    user_path,
)
from sockmon.model.limit_origin import LimitSource, Resource, SourceKind
from sockmon.text import sanitize
from sockmon.tunables.limit_origin.limit_value import NAMES, lower, parse_directive
from sockmon.tunables.limit_origin.unit_name import USER_PREFIX

SOFT, HARD, KERNEL_HARD = 1024, 524_288, 4096
_MEMLOCK = (64 * 1024, 8 << 20)
"""The defaults of memlock: of older kernels and systemd, and of newer ones."""
SYSTEM_CONF, USER_CONF = "system.conf", "user.conf"

Pair = tuple[int, int]
"""Soft and hard."""


class Manager(NamedTuple):
    """The service manager of the host, or of a user."""

    path: tuple[str, ...]
    conf: str
    limits: Pair | None
    """Its own limits; None if they are not known."""

    @property
    def is_user(self) -> bool:
        """Whether it is that of a user, which cannot raise a hard limit above its own."""
        return self.conf == USER_CONF


def manager_of(unit: str, uid: int | None, limits: Pair | None, root: str) -> Manager:
    """Return the manager of `nginx.service`, or of `--user web.service` of the user `uid`."""
    if unit.startswith(USER_PREFIX) and uid is not None:
        return Manager(user_path(home_of(uid, root) or "/nonexistent", uid), USER_CONF, limits)
    return Manager(SYSTEM_PATH, SYSTEM_CONF, limits)


def files_of(files: ConfigFiles, unit: str, manager: Manager) -> UnitFiles:
    """Return the files of the unit."""
    return find_unit_files(files, unit.removeprefix(USER_PREFIX), manager.path)


def unit_limit(files: ConfigFiles, unit: str, manager: Manager, resource: Resource) -> LimitSource:
    """Return what the unit gets: the numbers as the file has them; of the built-in default as far as they are
    known."""
    directive = NAMES[resource].directive
    parse = partial(parse_directive, resource)
    if found := last_assignment(files, files_of(files, unit, manager).all, "Service", directive, parse):
        return _source("unit", unit, *found)
    conf = conf_files(files, manager.conf)
    if found := last_assignment(files, conf, "Manager", f"Default{directive}", parse):
        return _source("manager", unit, *found)
    soft, hard = _built_in(resource, manager) or (None, None)
    return LimitSource("built-in", unit, soft=soft, hard=hard)


def could_give(source: LimitSource, manager: Manager, resource: Resource, live: Pair, nr_open: int | None) -> bool:
    """Return whether a process to which `source` gave its limits would have the limits `live`."""
    if source.kind == "built-in":
        return _can_be_built_in(resource, live, manager)
    if source.soft is None or source.hard is None:
        return False
    given = source.soft, source.hard
    if manager.limits is None:
        return live == given
    capped = lower(given[0], manager.limits[1]), lower(given[1], manager.limits[1])
    above = resource == "nofile" and nr_open is not None and lower(given[1], nr_open) != given[1]
    return live == given or ((above or manager.is_user) and live == capped)


def _source(kind: SourceKind, unit: str, assignment: Assignment, limits: Pair) -> LimitSource:
    file = sanitize(assignment.file, 4096)
    return LimitSource(kind, unit, file, assignment.line, assignment.text, *limits)


def _built_in(resource: Resource, manager: Manager) -> Pair | None:
    if resource == "nproc":
        return manager.limits
    if resource == "memlock":
        return None
    if manager.is_user:
        return manager.limits and (lower(SOFT, manager.limits[1]), manager.limits[1])
    return SOFT, HARD


def _can_be_built_in(resource: Resource, live: Pair, manager: Manager) -> bool:
    own = manager.limits
    soft, hard = live
    if resource == "nproc":
        return own is None or live == own
    if resource == "memlock":
        return soft == hard and (soft in _MEMLOCK or own is None or live == own)
    if manager.is_user:
        return soft == lower(SOFT, hard) and (own is None or hard == own[1])
    # The hard limit is higher than 524,288 if PID 1 had a higher one at its start.
    return soft == SOFT and (hard in (KERNEL_HARD, HARD) or (own is not None and HARD < hard <= own[1]))
