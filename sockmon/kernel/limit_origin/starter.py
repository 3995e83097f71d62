"""What started a process: the first of its parents that stands for a login, a unit or a container engine."""

from __future__ import annotations

from typing import NamedTuple

from sockmon.kernel.limit_origin.config_files import ConfigFiles
from sockmon.kernel.limit_origin.pam_stacks import PamLimits, pam_limits, service_of
from sockmon.kernel.limit_origin.passwd_files import read_login
from sockmon.kernel.limit_origin.process_chain import Link
from sockmon.kernel.limit_origin.service_managers import Manager, files_of, manager_of
from sockmon.kernel.limit_origin.unit_files import UnitFiles
from sockmon.model.limit_origin import Starter
from sockmon.text import sanitize
from sockmon.tunables.limit_origin.unit_name import USER_PREFIX, Container, container_of_cgroup, manager_uid

_MARKS = (("/.dockerenv", "docker"), ("/run/.containerenv", "podman"))
"""Files by which an engine marks the file system of its containers."""


class Start(NamedTuple):
    """What started the process, and where in the chain of parents it is."""

    starter: Starter
    place: int
    """The place of the parent that started it; the length of the chain if it is not visible."""
    unit: str = ""
    manager: Manager | None = None
    unit_files: UnitFiles | None = None
    pam: PamLimits = PamLimits(False)
    container: Container | None = None


def find_start(files: ConfigFiles, chain: list[Link], root: str) -> Start:
    """Return what started the first process of `chain`."""
    if container := container_of_cgroup(chain[0].cgroup):
        return _container(chain, container)
    index = next((place for place in range(1, len(chain)) if _ends_here(files, chain, place)), len(chain))
    parent = chain[index] if index < len(chain) else None
    if parent and (pam := _login_program(files, parent)).runs and parent.name != chain[index - 1].name:
        return _login(chain, index, service_of(parent.name, parent.arguments), pam, root)
    unit = chain[0].unit
    if unit == f"{USER_PREFIX}init.scope":
        # The service manager of a user is a unit of the host itself.
        unit = f"user@{manager_uid(chain[0].cgroup)}.service"
    if unit.endswith(".service"):
        return _unit(files, chain, index, unit, root)
    if unit.startswith("session-"):
        # The login program has ended, or is the process itself.
        service = next((name for name in ("sshd", "login") if pam_limits(files, name).runs), "")
        return _login(chain, index, "", pam_limits(files, service), root)
    if unit.endswith(".scope"):
        # A scope has no limits: what asked for it, a login or systemd-run, started the process.
        return Start(Starter("process", unit), index)
    return _without_unit(files, chain)


def _ends_here(files: ConfigFiles, chain: list[Link], place: int) -> bool:
    link = chain[place]
    return link.pid == 1 or link.unit != chain[0].unit or _login_program(files, link).runs


def _login_program(files: ConfigFiles, link: Link) -> PamLimits:
    service = service_of(link.name, link.arguments)
    return pam_limits(files, service) if service else PamLimits(False)


def _login(chain: list[Link], index: int, service: str, pam: PamLimits, root: str) -> Start:
    uid = chain[index - 1].uid
    login = read_login(uid, root)
    return Start(Starter("login", service, sanitize(login.name, 64) if login else str(uid)), index, pam=pam)


def _unit(files: ConfigFiles, chain: list[Link], index: int, unit: str, root: str) -> Start:
    uid = manager_uid(chain[0].cgroup)
    manager = manager_of(unit, uid, None, root)
    login = read_login(uid, root) if uid is not None else None
    name, user = unit.removeprefix(USER_PREFIX), sanitize(login.name, 64) if login and manager.is_user else ""
    starter = Starter("user unit" if manager.is_user else "unit", name, user)
    return Start(starter, index, unit, manager, files_of(files, unit, manager))


def _container(chain: list[Link], container: Container) -> Start:
    index = next((place for place, link in enumerate(chain) if not link.in_container), len(chain))
    return Start(Starter("container", container.id, engine=container.engine), index, container=container)


def _without_unit(files: ConfigFiles, chain: list[Link]) -> Start:
    engine = next((name for mark, name in _MARKS if files.exists(mark)), "")
    if engine:
        return Start(Starter("container", "", engine=engine), len(chain))
    top = chain[1] if len(chain) > 1 else None
    return Start(Starter("process", top.label if top else ""), len(chain))
