"""Firewalls: ufw, firewalld and the one of Proxmox VE."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sockmon.tuning.boot.other_writers.row import KeyWrite, Machine, Row, numbered, shell_assignments
from sockmon.tuning.boot.sysctl_d import PROCPS, SysctlFile, parse_lines

_UFW_FILES = ("/etc/default/ufw", "/etc/ufw/ufw.conf")
_PVE_CLUSTER, _PVE_HOST = "/etc/pve/firewall/cluster.fw", "/etc/pve/local/host.fw"
_PVE_DEFAULT_MAX, _PVE_MAX_STEP = 262_144, 8192


def _ufw(machine: Machine) -> Iterator[KeyWrite]:
    """Yield the lines of the file that IPT_SYSCTL names, which ufw-init gives to `sysctl -p`."""
    variables: dict[str, tuple[str, str]] = {}
    for file in _UFW_FILES:
        variables |= shell_assignments(machine.read(file) or "", file)
    file = variables.get("IPT_SYSCTL", ("", ""))[0]
    if variables.get("ENABLED", ("", ""))[0] not in ("yes", "YES") or not file.startswith("/"):
        return
    text = machine.read(file)
    for line in parse_lines(SysctlFile(file, (text or "").encode()), PROCPS):
        if line.value is not None and not line.pattern:
            yield KeyWrite(line.path, line.value, line.at)


def _pve_options(machine: Machine, file: str) -> dict[str, tuple[str, str]] | None:
    """Return value and `FILE:LINE` of each option in [OPTIONS]; None if the file cannot be read."""
    text = machine.read(file)
    if text is None:
        return None
    section, options = "", {}
    for number, line in numbered(text):
        if match := re.match(r"\[(\w+)", line):
            section = match[1].lower()
        elif (match := re.fullmatch(r"(\w+):\s*(\d+)", line)) and section == "options":
            options[match[1].lower()] = match[2], f"{file}:{number}"
    return options


def _pve(machine: Machine) -> Iterator[KeyWrite]:
    cluster, host = _pve_options(machine, _PVE_CLUSTER), _pve_options(machine, _PVE_HOST)
    if cluster is not None and cluster.get("enable", ("0", ""))[0] == "0":
        return
    if host is not None and host.get("nftables", ("0", ""))[0] == "1":
        # The other firewall of Proxmox VE takes over, proxmox-firewall.
        return
    known = cluster is not None and host is not None
    yield from _pve_writes(host or {}, known)


def _pve_writes(host: Mapping[str, tuple[str, str]], known: bool) -> Iterator[KeyWrite]:
    def option(name: str, default: int) -> tuple[int, str]:
        value, place = host.get(name, (str(default), f"{name} in {_PVE_HOST}"))
        return int(value), place

    most, place = option("nf_conntrack_max", _PVE_DEFAULT_MAX)
    most = max(-(-most // _PVE_MAX_STEP) * _PVE_MAX_STEP, _PVE_DEFAULT_MAX)
    for key in ("net.netfilter.nf_conntrack_max", "net.nf_conntrack_max"):
        yield KeyWrite(key, str(most) if known else None, place, certain=known)
    buckets = str(most // 4) if known else None
    yield KeyWrite("net.netfilter.nf_conntrack_buckets", buckets, place, certain=False)
    seconds, place = option("nf_conntrack_tcp_timeout_established", 432_000)
    established = "net.netfilter.nf_conntrack_tcp_timeout_established"
    yield KeyWrite(established, str(seconds) if known else None, place, certain=known)
    yield KeyWrite("net.ipv4.tcp_syncookies", "1", certain=known)


FIREWALLS = (
    Row(
        "pve-firewall",
        "every 10 s",
        _pve,
        "pve-firewall src/PVE/Firewall.pm: update_nf_conntrack_max() and others, src/PVE/Service/pve_firewall.pm",
        ("pve-firewall",),
    ),
    Row(
        "ufw",
        "when it starts or reloads",
        _ufw,
        "ufw src/ufw-init-functions: ufw_start()",
        unit="ufw.service",
    ),
    Row(
        "firewalld",
        "when it loads masquerading or a forward port",
        tuple(
            KeyWrite(key, "1", certain=False) for key in ("net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding")
        ),
        "firewalld src/firewall/functions.py: enable_ip_forwarding(), core/fw_policy.py",
        ("firewalld",),
    ),
)
