"""The words for the origin of a limit: who set it, and what to change so that it lasts. Pure."""

from __future__ import annotations

import shlex

from sockmon import format as fmt
from sockmon.document import sentence
from sockmon.model.limit_origin import LimitOrigin, LimitSource, Resource, Starter
from sockmon.model.snapshot import UNLIMITED
from sockmon.tunables.limit_origin.limit_value import NAMES
from sockmon.tunables.limit_origin.unit_name import USER_PREFIX, container_of_cgroup, unit_of_cgroup

_OWN_FOLDERS = ("/etc/systemd/", "/etc/security/")
"""Where a line may be changed; a file of a package in another folder is overridden instead."""
_ENGINE_DEFAULTS = {
    "docker": "default-ulimits in /etc/docker/daemon.json",
    "podman": "default_ulimits in /etc/containers/containers.conf",
}
_OWN_SETTINGS = {
    "nginx": "worker_rlimit_nofile in nginx.conf",
    "haproxy": "maxconn or ulimit-n in haproxy.cfg",
    "mysqld": "open_files_limit in my.cnf",
    "mariadbd": "open_files_limit in my.cnf",
    "redis-server": "maxclients in redis.conf",
    "php-fpm": "rlimit_files in php-fpm.conf or the pool",
}
"""Settings with which a program raises its own limit of descriptors, by the name of the process."""


def describe(origin: LimitOrigin) -> str:
    """Return `1,024 soft, 524,288 hard: nginx.service, LimitNOFILE=1024:524288 in FILE:LINE`, without a full
    stop."""
    numbers = f"{fmt_limit(origin.soft)} soft, {fmt_limit(origin.hard)} hard"
    return f"{numbers}{':' if origin.soft_source == origin.hard_source else ';'} {set_by(origin)}"


def set_by(origin: LimitOrigin) -> str:
    """Return what set the two limits, without the numbers."""
    if origin.soft_source == origin.hard_source:
        text = _source(origin, origin.soft_source)
    else:
        soft, hard = (_source(origin, each) for each in (origin.soft_source, origin.hard_source))
        text = f"soft: {soft}; hard: {hard}"
    if origin.next_start:
        text += f". The next start gets {_pair(origin.next_start)}: {_source(origin, origin.next_start)}"
    return text


def to_last(origin: LimitOrigin, value: str = "") -> tuple[str, ...]:
    """Return what to change so that the next start has `value`, as SOFT:HARD, too: a sentence each; without a
    value, where the change belongs."""
    lines = _to_last(origin.resource, origin.starter, value, origin.next_start or origin.soft_source)
    if origin.manager_hard is not None:
        lines = (*lines, _manager_limit(origin))
    return lines


def limit_note(resource: Resource, origin: LimitOrigin | None, value: str = "") -> tuple[str, ...]:
    """Return who set the limit, and what to change so that the next start has `value`; a sentence each."""
    if origin is None:
        return _to_last(resource, Starter(), value, LimitSource("unknown"))
    return (sentence(describe(origin)), *to_last(origin, value))


def to_last_of_cgroup(resource: Resource, path: str, value: str = "") -> tuple[str, ...]:
    """Return what to change for a process of which only the cgroup is known."""
    return _to_last(resource, _starter_of_cgroup(path), value, LimitSource("unknown"))


def _starter_of_cgroup(path: str) -> Starter:
    if container := container_of_cgroup(path):
        return Starter("container", container.id or container.engine, engine=container.engine)
    unit = unit_of_cgroup(path)
    if unit.startswith("session-"):
        return Starter("login")
    if not unit.endswith(".service"):
        return Starter()
    return Starter("user unit" if unit.startswith(USER_PREFIX) else "unit", unit.removeprefix(USER_PREFIX))


def unit_of(starter: Starter) -> str:
    """Return the unit as systemctl takes it: `nginx.service`, `--user web.service`; empty if it is no unit."""
    prefix = {"unit": "", "user unit": USER_PREFIX}.get(starter.kind)
    return "" if prefix is None else f"{prefix}{starter.name}"


def fmt_limit(limit: int) -> str:
    """Return `1,024` or `unlimited`."""
    return "unlimited" if limit == UNLIMITED else f"{limit:,}"


def directive_value(value: str) -> str:
    """Return SOFT:HARD as a directive of systemd takes it."""
    return value.replace("unlimited", "infinity")


def _source(origin: LimitOrigin, source: LimitSource) -> str:
    setting = f"{source.text} in {source.at}"
    start = origin.starter
    texts = {
        "unit": f"{source.name}, {setting}",
        "manager": f"{source.name} sets none; {setting}",
        "built-in": f"{source.name} sets none: the default of systemd",
        "login": f"{_login(start)}, `{source.text}` in {source.at}",
        "pid 1": _of_pid_1(origin),
        "container": f"{_container(start)}, {setting}",
        "engine": f"{_container(start)}, default of {source.name}: {setting}",
        "script": f"`{source.text}` in {source.at}",
        "inherited": f"inherited from {source.name}",
        "program": f"{source.name} itself (setrlimit), its start script, or prlimit{_own_setting(origin)}",
        "unknown": _unknown(origin, source),
    }
    return texts[source.kind]


def _of_pid_1(origin: LimitOrigin) -> str:
    if origin.starter.kind in ("login", "unit", "user unit"):
        return f"{_login(origin.starter)}, limits.conf sets none: pam_limits takes those of process 1"
    if origin.starter.kind == "container":
        return f"{_container(origin.starter)}, as its process 1 was started"
    return "process 1 itself, or what started it" if origin.pid == 1 else "inherited from process 1"


def _login(start: Starter) -> str:
    if start.kind in ("unit", "user unit"):
        # A unit with PAMName=, such as the service manager of a user.
        return start.name
    through = f" through {start.name}" if start.name else ""
    return f"login of {start.user}{through}"


def _container(start: Starter) -> str:
    name = f" {start.name[:12]}" if start.name else ""
    return f"{start.engine or 'a'} container{name}" if start.engine != "container" else f"container{name}"


def _own_setting(origin: LimitOrigin) -> str:
    name = origin.soft_source.name.partition("[")[0]
    known = _OWN_SETTINGS.get(name) if origin.resource == "nofile" else None
    return f"; see {known}" if known else ""


def _unknown(origin: LimitOrigin, source: LimitSource) -> str:
    if origin.unread:
        return f"unknown: {fmt.first_names(list(origin.unread))}"
    if source.file:
        return f"set before {source.file} was changed"
    if origin.starter.kind == "login":
        return f"unknown: {_login(origin.starter)}, who is not in /etc/passwd"
    return f"unknown: {_container(origin.starter)}" if origin.starter.kind == "container" else "unknown"


def _pair(source: LimitSource) -> str:
    soft, hard = source.soft, source.hard
    assert soft is not None
    assert hard is not None
    return fmt_limit(soft) if soft == hard else f"{fmt_limit(soft)}:{fmt_limit(hard)}"


def _to_last(resource: Resource, starter: Starter, value: str, source: LimitSource) -> tuple[str, ...]:
    if starter.kind in ("unit", "user unit"):
        return _unit_lines(resource, starter, value, source)
    if starter.kind == "login":
        return _login_lines(resource, starter, value, source)
    # Seen from inside of a container, only what process 1 has comes from the engine.
    if starter.kind == "container" and (starter.name or source.kind in ("pid 1", "unknown")):
        return _container_lines(resource, starter, value, source)
    if starter.kind == "unknown":
        setting = f"{NAMES[resource].directive}={directive_value(value) if value else 'SOFT:HARD'}"
        return (
            f"To last: what started it is not known. Of a unit, {setting} below [Service]; of a login, a line in"
            " /etc/security/limits.d; of a container, --ulimit.",
        )
    return _process_lines(resource, value, source)


def _unit_lines(resource: Resource, starter: Starter, value: str, source: LimitSource) -> tuple[str, ...]:
    user = starter.kind == "user unit"
    # systemd escapes names with backslashes, and who has a cgroup may name those below it as he likes.
    unit, systemctl = shlex.quote(starter.name), f"systemctl {'--user ' if user else ''}"
    if source.kind in ("script", "login"):
        return (f"To last: change the line in {source.at}, then {systemctl}restart {unit}.",)
    setting = f"{NAMES[resource].directive}={directive_value(value) if value else 'SOFT:HARD'}"
    if source.kind == "unit" and source.file.startswith(_OWN_FOLDERS):
        to = f" to {setting}" if value else ""
        how = f"{systemctl}daemon-reload && {systemctl}restart {unit}"
        return (f"To last: change {source.at}{to} ({systemctl}edit {unit}), then {how}.",)
    return (
        f"To last: {systemctl}edit {unit}, add {setting} below [Service], then {systemctl}restart {unit};"
        " limits.conf has no effect on it.",
    )


def _login_lines(resource: Resource, starter: Starter, value: str, source: LimitSource) -> tuple[str, ...]:
    if source.kind == "script":
        return (f"To last: change the line in {source.at}, then start it again.",)
    lines = _limits_conf_lines(resource, starter.user or "USER", value)
    if source.kind == "login" and source.file.startswith(_OWN_FOLDERS):
        return (f"To last: change {source.at} ({lines}), then log in again.",)
    return (f"To last: write {lines} to a file in /etc/security/limits.d (pam_limits), then log in again.",)


def _limits_conf_lines(resource: Resource, user: str, value: str) -> str:
    soft, _, hard = (_pam(resource, each) for each in (value or "N").partition(":"))
    hard = hard or soft
    if soft == hard:
        return f"`{user} - {resource} {soft}`"
    return f"`{user} soft {resource} {soft}` and `{user} hard {resource} {hard}`"


def _pam(resource: Resource, number: str) -> str:
    # limits.conf counts locked memory in KiB.
    return str(int(number) // 1024) if resource == "memlock" and number.isdigit() else number


def _container_lines(resource: Resource, starter: Starter, value: str, source: LimitSource) -> tuple[str, ...]:
    number = value or "SOFT:HARD"
    setting = f"{NAMES[resource].directive}={directive_value(number)}"
    if starter.engine == "lxc":
        line = f"lxc.prlimit.{resource} = {number}"
        return (f"To last: write {line} to the config of the container, then start it again.",)
    if starter.engine == "systemd-nspawn":
        return (f"To last: write {setting} below [Exec] of the .nspawn file, then start the container again.",)
    if starter.engine == "kubernetes":
        return (
            "To last: Kubernetes has no ulimits, a pod gets those of its runtime. Run systemctl edit containerd"
            f" (or crio, k3s), add {setting} below [Service], restart it, then start the pod again.",
        )
    text = f"To last: start the container with --ulimit {resource}={number} (Compose: ulimits)"
    default = source.at if source.kind == "engine" else _ENGINE_DEFAULTS.get(starter.engine, "")
    return (f"{text}; for all new containers: {default}." if default else f"{text}.",)


def _process_lines(resource: Resource, value: str, source: LimitSource) -> tuple[str, ...]:
    if source.kind == "script":
        return (f"To last: change the line in {source.at}, then start it again.",)
    command = f"ulimit -{NAMES[resource].ulimit} {value.partition(':')[0] or 'N'}"
    return (f"To last: it is not a systemd service. Set it in whatever starts it, for example with {command}.",)


def _manager_limit(origin: LimitOrigin) -> str:
    assert origin.manager_hard is not None
    user = origin.starter.user or "this user"
    return (
        f"No unit of {user} gets more than {fmt_limit(origin.manager_hard)}, the hard limit of its service"
        " manager: systemctl edit user@.service raises that."
    )
