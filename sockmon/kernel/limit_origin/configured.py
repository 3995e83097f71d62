"""All that the configuration of this machine asks for in one limit: limits.conf, units, system.conf and
user.conf."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sockmon.kernel.limit_origin.config_files import ConfigFiles
from sockmon.kernel.limit_origin.limits_conf import is_debian, read_lines
from sockmon.kernel.limit_origin.pam_stacks import services_with_limits
from sockmon.kernel.limit_origin.service_managers import HARD, SYSTEM_CONF, USER_CONF
from sockmon.kernel.limit_origin.unit_files import (
    SYSTEM_PATH,
    Assignment,
    assignments,
    conf_files,
    find_unit_files,
    last_assignment,
)
from sockmon.model.limit_origin import ConfiguredLimit, ConfiguredLimits, Resource
from sockmon.text import sanitize
from sockmon.tunables.limit_origin.limit_value import NAMES, parse_directive, parse_pam

_SYSTEMD_RUNS = "/run/systemd/system"
"""Exists if systemd started the machine (sd_booted(3))."""


def find_configured(resource: Resource, root: str = "/") -> ConfiguredLimits:
    """Return every line that asks for a limit; what could not be read is in `unread`.

    `unlimited` in limits.conf is left out for nofile: pam_limits sets fs.nr_open then, since Linux-PAM 1.5.2."""
    files = ConfigFiles(root)
    rows = (*_logins(files, resource), *_managers(files, resource), *_units(files, resource))
    return ConfiguredLimits(
        rows, files.unread, not is_debian(files), tuple(sanitize(name, 64) for name in services_with_limits(files))
    )


def _logins(files: ConfigFiles, resource: Resource) -> Iterator[ConfiguredLimit]:
    for line in read_lines(files):
        value = parse_pam(resource, line.value, None) if line.item == resource and line.sets_hard else None
        if value is not None and not line.domain.startswith("%"):
            yield ConfiguredLimit(line.at, line.text, value, "login", sanitize(line.domain, 64))


def _managers(files: ConfigFiles, resource: Resource) -> Iterator[ConfiguredLimit]:
    key = f"Default{NAMES[resource].directive}"
    for conf in (SYSTEM_CONF, USER_CONF):
        names = conf_files(files, conf)
        if found := last_assignment(files, names, "Manager", key, partial(parse_directive, resource)):
            yield _configured(found[0], found[1][1], "manager")
        elif conf == SYSTEM_CONF and resource == "nofile" and files.exists(_SYSTEMD_RUNS):
            yield ConfiguredLimit(f"systemd, without {key}=", "", HARD, "manager")


def _units(files: ConfigFiles, resource: Resource) -> Iterator[ConfiguredLimit]:
    key = NAMES[resource].directive
    seen: set[str] = set()
    for unit in _names(files):
        for name in find_unit_files(files, unit).all:
            for each in assignments(files, name, "Service"):
                value = parse_directive(resource, each.value) if each.key == key else None
                row = value and _configured(each, value[1], "unit")
                if row and row.at not in seen:
                    seen.add(row.at)
                    yield row


def _names(files: ConfigFiles) -> list[str]:
    """Return the units of the host: their files, and the folders of drop-ins."""
    found: set[str] = set()
    for folder in SYSTEM_PATH:
        aliases = files.links(folder)
        found.update(name.removesuffix(".d") for name in files.names(folder) if name not in aliases)
    return sorted(name for name in found if name.endswith(".service"))


def _configured(assignment: Assignment, hard: int, kind: str) -> ConfiguredLimit:
    at = f"{sanitize(assignment.file, 4096)}:{assignment.line}"
    return ConfiguredLimit(at, assignment.text, hard, "unit" if kind == "unit" else "manager")
