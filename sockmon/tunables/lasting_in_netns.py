"""What makes a sysctl of a network namespace last: the option of its container runtime.

From the sources of each: Docker and nerdctl `--sysctl` and Compose `sysctls`; Podman `--sysctl`, of a pod too, and
`Sysctl=` of Quadlet (podman-systemd.unit(5)); the kubelet's safe sysctls (pkg/kubelet/sysctl/safe_sysctls.go);
lxc.container.conf(5); `linux.sysctl.*` of Incus and LXD; `linux.sysctl` of the OCI runtime specification;
systemd.service(5), where `+` runs a command with full privileges, but in the network namespace of the unit.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from sockmon.model.other_netns import CONTAINER, MACHINE, NAMED, POD, UNIT
from sockmon.model.plan import NetnsTarget, Plan
from sockmon.text import sanitize

SAFE_SYSCTLS = frozenset({
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
})  # fmt: skip
"""What every pod may set below net, without `allowedUnsafeSysctls` of the kubelet; some only since `_SINCE`."""
_SINCE = {
    "net.ipv4.ip_local_reserved_ports": "1.27",
    "net.ipv4.tcp_keepalive_time": "1.29",
    "net.ipv4.tcp_fin_timeout": "1.29",
    "net.ipv4.tcp_keepalive_intvl": "1.29",
    "net.ipv4.tcp_keepalive_probes": "1.29",
    "net.ipv4.tcp_rmem": "1.32",
    "net.ipv4.tcp_wmem": "1.32",
}
NO_FILE_APPLIES = (
    "No sysctl.d file applies to this network namespace: set the value in whatever creates the namespace."
)


def lasting(target: NetnsTarget | None, key: str, value: str) -> tuple[str, ...]:
    """Return how `key` keeps `value` when the namespace is made again, a sentence each."""
    if target is None:
        return (NO_FILE_APPLIES,)
    name = sanitize(target.name)
    ends = f"No sysctl.d file applies to network namespace {name}, and the value ends with it."
    return (ends, _how(target, name, key, shlex.quote(f"{key}={value}"), value))


def not_persisted_message(plan: Plan) -> str:
    """Return why the values of a plan for another namespace are not written to /etc/sysctl.d, and what lasts."""
    assert plan.target is not None
    name, ways = sanitize(plan.target.name), " ".join(dict.fromkeys(_ways(plan)))
    return f"not written to /etc/sysctl.d, which does not apply to network namespace {name}. {ways}"


def ways_to_last(plan: Plan) -> tuple[str, ...]:
    """Return how the values of a plan for another namespace last, a sentence each; empty for our own."""
    return tuple(dict.fromkeys(_ways(plan))) if plan.target is not None else ()


def _ways(plan: Plan) -> Iterable[str]:
    return (lasting(plan.target, each.key, each.new)[-1] for each in plan.settings if each.is_sysctl)


def _how(target: NetnsTarget, name: str, key: str, assignment: str, value: str) -> str:
    if target.kind == POD:
        return _of_pod(key, value)
    if target.kind == CONTAINER and target.runtime in _BY_RUNTIME:
        return _BY_RUNTIME[target.runtime].format(name=name, key=key, value=value, assignment=assignment)
    if target.kind == MACHINE:
        return (
            f"systemd-nspawn has no option for it: write `{key} = {value}` to a file in /etc/sysctl.d of the"
            " machine, where its own systemd-sysctl.service applies it."
        )
    if target.kind == UNIT:
        return f"Add `ExecStartPre=+sysctl -w {assignment}` to {name}: it runs in the unit's network namespace."
    if target.kind == NAMED:
        return (
            f"Whatever runs `ip netns add` must set it: ip netns exec {shlex.quote(name)} sysctl -w {assignment}"
        )
    return "What makes the namespace must set it each time."


def _of_pod(key: str, value: str) -> str:
    how = f'Set it in the pod: spec.securityContext.sysctls: [{{name: {key}, value: "{value}"}}]'
    if key not in SAFE_SYSCTLS:
        allow = f"the kubelet of the node must allow it: allowedUnsafeSysctls: [{key}]"
        return f"{how}; Kubernetes calls it unsafe, so {allow}."
    since = _SINCE.get(key)
    return f"{how}; a safe sysctl{f' since Kubernetes {since}' if since else ''}, the kubelet allows it."


_ENGINE = "Make the container again with `{engine} run --sysctl {{assignment}} …`{more}."
_COMPOSE = ", or in Compose with `sysctls: [{assignment}]` of its service"
_LXD = "Run `{command} config set {{name}} linux.sysctl.{{key}}={{value}}`, then restart the container."
_OCI = 'Write `"{key}": "{value}"` to linux.sysctl in config.json of its bundle, and make the container again.'
_BY_RUNTIME = {
    "docker": _ENGINE.format(engine="docker", more=_COMPOSE),
    "nerdctl": _ENGINE.format(engine="nerdctl", more=_COMPOSE),
    "podman": _ENGINE.format(
        engine="podman", more="; in Quadlet it is `Sysctl={assignment}`, in a pod `podman pod create --sysctl`"
    ),
    "lxc": "Write `lxc.sysctl.{key} = {value}` to /var/lib/lxc/{name}/config, then restart the container.",
    "incus": _LXD.format(command="incus"),
    "lxd": _LXD.format(command="lxc"),
    "runc": _OCI,
    "crun": _OCI,
    "containerd": _OCI,
}
"""By runtime; an engine sets these when it makes a container, and a restart of it is not enough."""
