"""What the configuration gives a process for one limit, by what started it."""

from __future__ import annotations

from typing import NamedTuple

from sockmon.kernel.limit_origin.config_files import ConfigFiles
from sockmon.kernel.limit_origin.containers import container_limit, engine_default
from sockmon.kernel.limit_origin.limits_conf import LimitsLine, is_debian, limits_of_user
from sockmon.kernel.limit_origin.pam_stacks import PamLimits, pam_limits
from sockmon.kernel.limit_origin.passwd_files import read_login
from sockmon.kernel.limit_origin.process_chain import Link, read_chain
from sockmon.kernel.limit_origin.service_managers import (
    SOFT,
    Manager,
    Pair,
    could_give,
    manager_of,
    unit_limit,
)
from sockmon.kernel.limit_origin.starter import Start
from sockmon.kernel.limit_origin.unit_files import last_assignment
from sockmon.model.limit_origin import LimitSource, Resource
from sockmon.text import sanitize
from sockmon.tunables.limit_origin.limit_value import is_higher, lower

UNKNOWN = LimitSource("unknown")


class Given(NamedTuple):
    """What gives the soft and what gives the hard limit."""

    soft: LimitSource
    hard: LimitSource
    manager: Manager | None = None
    resource: Resource = "nofile"
    nr_open: int | None = None

    def explains(self, live: Pair) -> bool:
        """Return whether a process that was started like this has the limits `live`."""
        if self.manager and self.soft == self.hard:
            return could_give(self.soft, self.manager, self.resource, live, self.nr_open)
        return (self.soft.soft, self.hard.hard) == live

    @property
    def manager_hard(self) -> int | None:
        """The hard limit of the service manager of a user; None for any other process."""
        return self.manager.limits[1] if self.manager and self.manager.is_user and self.manager.limits else None


def given_by(files: ConfigFiles, start: Start, chain: list[Link], resource: Resource, root: str) -> Given:
    """Return what the configuration gives to the first process of `chain`."""
    if start.container:
        return _container(files, start, chain, resource, root)
    if start.starter.kind == "login":
        return _login(files, start.pam, chain, start.place, resource, root)
    if start.manager:
        return _unit(files, start, start.manager, chain, resource, root)
    live = chain[0].limit(resource)
    if live and chain[-1].pid == 1 and all(link.limit(resource) == live for link in chain):
        source = LimitSource("pid 1", chain[-1].label, soft=live[0], hard=live[1])
        return Given(source, source, resource=resource)
    return Given(UNKNOWN, UNKNOWN, resource=resource)


def _unit(
    files: ConfigFiles, start: Start, manager: Manager, chain: list[Link], resource: Resource, root: str
) -> Given:
    parent = chain[start.place] if start.place < len(chain) else None
    limits = parent.limit(resource) if parent else _limits_of_pid_1(chain, resource)
    manager = manager._replace(limits=limits)
    source = unit_limit(files, start.unit, manager, resource)
    nr_open = _nr_open(chain[0].proc)
    if (pam := _pam_of_unit(files, start)).runs:
        return _overlaid(files, source, pam, chain[max(start.place - 1, 0)].uid, chain, resource, root)
    return Given(source, source, manager, resource, nr_open)


def _pam_of_unit(files: ConfigFiles, start: Start) -> PamLimits:
    """Return how pam_limits runs for a unit with PAMName=, after systemd has set the limits of the unit."""
    names = start.unit_files.all if start.unit_files else ()
    found = last_assignment(files, names, "Service", "PAMName", lambda value: value or None)
    return pam_limits(files, found[1]) if found else PamLimits(False)


def _login(
    files: ConfigFiles, pam: PamLimits, chain: list[Link], index: int, resource: Resource, root: str
) -> Given:
    parent = chain[index] if index < len(chain) else None
    limits = parent.limit(resource) if parent else None
    inherited = (
        LimitSource("inherited", parent.label, soft=limits[0], hard=limits[1]) if parent and limits else UNKNOWN
    )
    return _overlaid(files, inherited, pam, chain[max(index - 1, 0)].uid, chain, resource, root)


def _overlaid(
    files: ConfigFiles,
    before: LimitSource,
    pam: PamLimits,
    uid: int,
    chain: list[Link],
    resource: Resource,
    root: str,
) -> Given:
    """Return what pam_limits makes of the limits `before`."""
    user = read_login(uid, root)
    if user is None:
        return Given(UNKNOWN, UNKNOWN, resource=resource)
    nr_open = _nr_open(chain[0].proc)
    found = limits_of_user(files, user, resource, nr_open, pam.conf)
    if found.exempt:
        return Given(before, before, resource=resource)
    base = _of_pid_1(files, chain, resource) if pam.set_all or is_debian(files) else before
    soft = _line(*found.soft, soft=True) if found.soft else base
    hard = _line(*found.hard, soft=False) if found.hard else base
    if hard.hard is not None and nr_open is not None and resource == "nofile" and is_higher(hard.hard, nr_open):
        return Given(before, before, resource=resource)
    if soft.soft is not None and hard.hard is not None and is_higher(soft.soft, hard.hard):
        soft = LimitSource(hard.kind, hard.name, hard.file, hard.line, hard.text, hard.hard, hard.hard)
    if found.soft and found.hard and found.soft[0] == found.hard[0]:
        soft = hard = LimitSource(hard.kind, hard.name, hard.file, hard.line, hard.text, soft.soft, hard.hard)
    return Given(soft, hard, resource=resource, nr_open=nr_open)


def _line(line: LimitsLine, value: int, *, soft: bool) -> LimitSource:
    file = sanitize(line.file, 4096)
    return LimitSource("login", "", file, line.line, line.text, value if soft else None, None if soft else value)


def _of_pid_1(files: ConfigFiles, chain: list[Link], resource: Resource) -> LimitSource:
    limits = _limits_of_pid_1(chain, resource)
    if limits is None:
        return UNKNOWN
    soft = lower(limits[0], SOFT) if resource == "nofile" and is_debian(files) else limits[0]
    return LimitSource("pid 1", "pid 1", soft=soft, hard=limits[1])


def _limits_of_pid_1(chain: list[Link], resource: Resource) -> Pair | None:
    links = [link for link in chain if link.pid == 1] or read_chain(1, chain[0].proc)
    return links[0].limit(resource) if links else None


def _container(files: ConfigFiles, start: Start, chain: list[Link], resource: Resource, root: str) -> Given:
    assert start.container is not None
    found = container_limit(files, start.container, resource)
    if found is None and (default := engine_default(files, start.container.engine, resource)):
        found = default
    if found is not None:
        return Given(found, found, resource=resource)
    outside = chain[start.place] if start.place < len(chain) else None
    if outside is None or not outside.unit.endswith(".service"):
        return Given(UNKNOWN, UNKNOWN, resource=resource)
    manager = manager_of(outside.unit, None, _limits_of_pid_1(chain, resource), root)
    source = unit_limit(files, outside.unit, manager, resource)
    return Given(source, source, manager, resource, _nr_open(chain[0].proc))


def _nr_open(proc: str) -> int | None:
    try:
        with open(f"{proc}/sys/fs/nr_open", "rb", buffering=0) as file:
            return int(file.read(32))
    except (OSError, ValueError):
        return None
