"""Network managers, libvirt, the tuning of SAP, and what cloud-init was given."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sockmon.tuning.boot.other_writers.row import KeyWrite, Machine, Row, numbered, shell_assignments

_IP_FORWARD = ("net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding")
_SAPCONF = "/etc/sysconfig/sapconf"
_SAPCONF_KEYS = {
    "MAX_MAP_COUNT": "vm.max_map_count",
    "TCP_SLOW_START": "net.ipv4.tcp_slow_start_after_idle",
    "SHMMAX": "kernel.shmmax",
    "SHMALL": "kernel.shmall",
    "SHMMNI": "kernel.shmmni",
    "DIRTY_BYTES": "vm.dirty_bytes",
    "DIRTY_BG_BYTES": "vm.dirty_background_bytes",
}
_SAPTUNE = "/etc/sysconfig/saptune"
_CLOUD_INIT = "/var/lib/cloud/instance/user-data.txt"
_ASSIGNMENT = re.compile(
    r"(?<![\w./-])((?:net|fs|vm|kernel|user)(?:[./][\w-]+)+)\s*=\s*(\"[^\"]*\"|'[^']*'|[\d ,\t-]*\d)"
)
_OPERATOR = re.compile(r"""([\w.+-]+)\s*[<=>]+\s*["']*(.*?)["']*""")


def _sapconf(machine: Machine) -> Iterator[KeyWrite]:
    variables = shell_assignments(machine.read(_SAPCONF) or "", _SAPCONF)
    for name, key in _SAPCONF_KEYS.items():
        if name in variables and variables[name][0]:
            yield KeyWrite(key, *variables[name])


def _saptune(machine: Machine) -> Iterator[KeyWrite]:
    """Yield the [sysctl] lines of the notes that are applied, in their order; an override comes after its note."""
    notes = shell_assignments(machine.read(_SAPTUNE) or "", _SAPTUNE).get("NOTE_APPLY_ORDER", ("", ""))[0].split()
    for note in notes:
        if "/" in note or note.startswith("."):
            continue
        for file in (
            f"/var/lib/saptune/working/notes/{note}",
            f"/etc/saptune/extra/{note}.conf",
            f"/etc/saptune/override/{note}",
        ):
            yield from _saptune_note(machine.read(file) or "", file)


def _saptune_note(text: str, file: str) -> Iterator[KeyWrite]:
    section, conditional = "", False
    for number, line in numbered(text):
        if match := re.fullmatch(r"\[(\w+)(:.*)?\]", line):
            # [sysctl:os=SLE15]: only where the tag is true.
            section, conditional = match[1], bool(match[2])
        elif section == "sysctl" and (match := _OPERATOR.fullmatch(line)) and match[2]:
            yield KeyWrite(match[1], " ".join(match[2].split()), f"{file}:{number}", certain=not conditional)


def _cloud_init(machine: Machine) -> Iterator[KeyWrite]:
    """Yield what the user data assigns: no module of cloud-init writes a sysctl, but what it runs does. `bootcmd`
    runs at each boot, `runcmd` and `write_files` once for each instance."""
    for number, line in numbered(machine.read(_CLOUD_INIT) or ""):
        if line.startswith("#"):
            continue
        for match in _ASSIGNMENT.finditer(line):
            yield KeyWrite(match[1], match[2].strip("\"'"), f"{_CLOUD_INIT}:{number}", certain=False)


SERVICES = (
    Row(
        "systemd-networkd",
        "when it starts",
        tuple(KeyWrite(key, None, "IPv4Forwarding= in networkd.conf", certain=False) for key in _IP_FORWARD),
        "systemd src/network/networkd-sysctl.c: manager_set_ip_forwarding()",
        ("systemd-network",),
    ),
    Row(
        "NetworkManager",
        "when it starts a shared connection",
        (KeyWrite("net.ipv6.conf.all.forwarding", "1", "ipv6.method=shared", certain=False),),
        "NetworkManager src/core/devices/nm-device.c: _dev_ipshared6_start()",
        ("NetworkManager",),
    ),
    Row(
        "libvirt",
        "when a routed or NAT network starts",
        tuple(KeyWrite(key, "1", certain=False) for key in _IP_FORWARD),
        "libvirt src/network/bridge_driver.c: networkEnableIPForwarding()",
        ("libvirtd", "virtnetworkd"),
    ),
    Row(
        "sapconf",
        "when its service starts",
        _sapconf,
        "sapconf lib/sapconf, lib/common.sh, lib/util.sh",
        unit="sapconf.service",
    ),
    Row(
        "saptune",
        "when its service starts",
        _saptune,
        "saptune sap/note/ini.go, sap/note/sectSysctl.go, actions/actions.go",
        unit="saptune.service",
    ),
    Row(
        "cloud-init",
        "when it runs its user data",
        _cloud_init,
        "cloud-init cloudinit/config/cc_bootcmd.py, cc_runcmd.py, cc_write_files.py",
        file=_CLOUD_INIT,
    ),
)
