"""Container runtimes, Kubernetes and their networks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from sockmon.tuning.boot.other_writers.row import KeyWrite, Machine, Row, numbered

_CONNTRACK_MAX = ("net.netfilter.nf_conntrack_max", "net.nf_conntrack_max")
_PER_CORE, _MIN = 32 * 1024, 128 * 1024
_CAP_CPUS = 32
"""CPUs from which on versions of kube-proxy differ: since 1.36 it does not go beyond 1,048,576."""
_TIMEOUTS = (
    ("net.netfilter.nf_conntrack_tcp_timeout_established", "conntrack-tcp-timeout-established", "86400"),
    ("net.netfilter.nf_conntrack_tcp_timeout_close_wait", "conntrack-tcp-timeout-close-wait", "3600"),
    # Written only if the flag is set.
    ("net.netfilter.nf_conntrack_udp_timeout", "conntrack-udp-timeout", None),
    ("net.netfilter.nf_conntrack_udp_timeout_stream", "conntrack-udp-timeout-stream", None),
)
_IP_FORWARD = ("net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding")


def _kube_proxy(machine: Machine, files: Sequence[str] = ()) -> Iterator[KeyWrite]:
    """Yield what kube-proxy writes with the flags in `files`; its own configuration is a ConfigMap of the cluster,
    so without files its defaults may not hold."""
    per_core, floor = (_flag(machine, files, f"conntrack-{name}") for name in ("max-per-core", "min"))
    value, setting = _conntrack_max(machine.cpus, per_core, floor)
    for key in _CONNTRACK_MAX if per_core[0] != "0" else ():
        yield KeyWrite(key, value, setting, certain=bool(files))
    for key, flag, default in _TIMEOUTS:
        given, place = _flag(machine, files, flag)
        if given in ("0", "0s"):
            continue
        seconds = _seconds(given) if given else default
        yield KeyWrite(key, seconds, place or f"--{flag}", certain=bool(given or (files and default)))


def _conntrack_max(cpus: int, per_core: tuple[str, str], floor: tuple[str, str]) -> tuple[str | None, str]:
    """Return the limit from the two flags, each with its place, and which of them decides it; None if it is not
    known."""
    each, least = per_core[0] or str(_PER_CORE), floor[0] or str(_MIN)
    if cpus > _CAP_CPUS or not each.isdecimal() or not least.isdecimal():
        return None, per_core[1] or "--conntrack-max-per-core"
    if int(each) * cpus > int(least):
        return str(int(each) * cpus), per_core[1] or "--conntrack-max-per-core"
    return least, floor[1] or "--conntrack-min"


def _flag(machine: Machine, files: Sequence[str], name: str) -> tuple[str, str]:
    """Return value and `FILE:LINE` of a flag of kube-proxy in `files`: `--NAME=VALUE`, or an item `NAME=VALUE` of
    a YAML list; the last counts, and both are empty without one."""
    found = ("", "")
    pattern = re.compile(rf"""(?:--|-\s*['"]?|['"\[,]\s*){name}[= ]['"]?([\w.]+)""")
    for file in files:
        for number, line in numbered(machine.read(file) or ""):
            if (match := pattern.search(line)) and not line.startswith("#"):
                found = match[1], f"{file}:{number}"
    return found


def _seconds(duration: str) -> str | None:
    """Return the seconds of a duration of Go, `1h30m`; None if it is not one in whole seconds."""
    parts = re.findall(r"(\d+)([hms])", duration)
    if "".join(map("".join, parts)) != duration or not parts:
        return None
    return str(sum(int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in parts))


_KUBELET = tuple(
    KeyWrite(key, value, "protectKernelDefaults")
    for key, value in (
        ("vm.overcommit_memory", "1"),
        ("vm.panic_on_oom", "0"),
        ("kernel.panic", "10"),
        ("kernel.panic_on_oops", "1"),
        ("kernel.keys.root_maxkeys", "1000000"),
        ("kernel.keys.root_maxbytes", "25000000"),
    )
)


def _k3s(machine: Machine) -> Iterator[KeyWrite]:
    files = ("/etc/rancher/k3s/config.yaml", *machine.matching("etc/rancher/k3s/config.yaml.d/*.yaml"))
    yield from _kube_proxy(machine, files)
    yield from _KUBELET
    for key in (*_IP_FORWARD, "net.ipv4.conf.default.forwarding"):
        yield KeyWrite(key, "1")


def _kubelite(machine: Machine) -> Iterator[KeyWrite]:
    yield from _kube_proxy(machine, ("/var/snap/microk8s/current/args/kube-proxy",))
    yield from _KUBELET


_NODE_PORTS = "30000-32767"
_CILIUM = (
    KeyWrite("net.ipv4.ip_local_reserved_ports", _NODE_PORTS, "node-port-range", "adds", certain=False),
    *(
        KeyWrite(key, value, when="when it starts, in newer versions also every 10 min")
        for key, value in (
            ("net.ipv4.conf.all.rp_filter", "0"),
            ("net.ipv4.fib_multipath_use_neigh", "1"),
            ("net.core.bpf_jit_enable", "1"),
            ("kernel.unprivileged_bpf_disabled", "1"),
            ("kernel.timer_migration", "0"),
        )
    ),
)


def _docker(machine: Machine) -> Iterator[KeyWrite]:
    file = "/etc/docker/daemon.json"
    text = machine.read(file)
    try:
        settings = json.loads(text) if text else {}
    except ValueError:
        settings = {}
    if not isinstance(settings, dict) or settings.get("ip-forward") is not False:
        for key in _IP_FORWARD:
            yield KeyWrite(key, "1", f"ip-forward in {file}", certain=text is not None)
    for number, value in enumerate(("8192", "49152", "65536"), 1):
        key = f"net.ipv4.neigh.default.gc_thresh{number}"
        yield KeyWrite(key, value, "", "raises", certain=False, when="with an overlay network (Swarm)")


def _lxd(machine: Machine) -> Iterator[KeyWrite]:
    if machine.matching("var/snap/lxd/current"):
        for key, value in (
            ("fs.inotify.max_user_instances", "1024"),
            ("user.max_inotify_instances", "1024"),
            ("fs.inotify.max_user_watches", "1048576"),
            ("user.max_inotify_watches", "1048576"),
            ("kernel.keys.maxkeys", "2000"),
            ("kernel.keys.maxbytes", "2000000"),
        ):
            yield KeyWrite(key, value, "", "raises")
    for key in _IP_FORWARD:
        yield KeyWrite(key, "1", "ipv4.routing of the network", certain=False, when="when a bridge starts")


CONTAINERS = (
    Row(
        "kube-proxy",
        "when it starts",
        _kube_proxy,
        "kubernetes cmd/kube-proxy/app/conntrack.go, server_linux.go, pkg/proxy/apis/config/v1alpha1/defaults.go",
        ("kube-proxy",),
    ),
    Row(
        "kubelet",
        "when it starts",
        _KUBELET,
        "kubernetes pkg/kubelet/cm/container_manager_linux.go, component-helpers node/util/sysctl",
        ("kubelet",),
    ),
    Row(
        "k3s",
        "when it starts",
        _k3s,
        "k3s pkg/agent/syssetup/setup.go; it has kubelet and kube-proxy inside",
        ("k3s", "k3s-server", "k3s-agent"),
    ),
    Row(
        "kubelite",
        "when it starts",
        _kubelite,
        "microk8s: one process with kubelet and kube-proxy inside",
        ("kubelite",),
    ),
    Row(
        "cilium-agent",
        "when it starts",
        _CILIUM,
        "cilium daemon/cmd/kube_proxy_replacement.go, pkg/datapath/loader/base.go, linux/sysctl/cell.go",
        ("cilium-agent",),
    ),
    Row(
        "calico-node",
        "when it starts",
        (
            *(KeyWrite(key, "1", "ipForwarding in FelixConfiguration", certain=False) for key in _IP_FORWARD),
            KeyWrite("net.netfilter.nf_conntrack_acct", "1"),
        ),
        "calico felix/dataplane/linux/int_dataplane.go: configureKernel()",
        ("calico-node", "calico-felix"),
    ),
    Row(
        "dockerd",
        "when it starts",
        _docker,
        "moby daemon/libnetwork/drivers/bridge/setup_ip_forwarding.go, drivers/overlay/ostweaks_linux.go",
        ("dockerd",),
    ),
    Row(
        "podman",
        "when it creates a bridge network",
        tuple(KeyWrite(key, "1", "an internal network does not", certain=False) for key in _IP_FORWARD),
        "netavark src/network/bridge.rs, src/network/sysctl.rs",
        ("conmon", "aardvark-dns"),
    ),
    Row(
        "lxd",
        "when it starts",
        _lxd,
        "lxd snapcraft/commands/daemon.start, lxd/network/driver_bridge.go",
        ("lxd",),
    ),
    Row(
        "incusd",
        "when a bridge starts",
        tuple(KeyWrite(key, "1", "ipv4.routing of the network", certain=False) for key in _IP_FORWARD),
        "incus internal/server/network/driver_bridge.go",
        ("incusd",),
    ),
)
