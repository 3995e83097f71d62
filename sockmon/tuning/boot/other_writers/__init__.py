"""What else sets a key, apart from the files of sysctl.d: services that write it at their start, and tuned
profiles."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from sockmon.text import sanitize
from sockmon.tuning.boot.sysctl_d import UnreadableFile, path_of, read_file

_KUBE_PROXY = (
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
)
KEYS_SET_AT_START = {
    "kube-proxy": _KUBE_PROXY,
    "k3s": _KUBE_PROXY,
    "k3s-server": _KUBE_PROXY,
    "k3s-agent": _KUBE_PROXY,
    "dockerd": ("net.ipv4.ip_forward",),
}
"""By the name of a process in /proc/PID/comm, the keys that it may write when it starts, whatever sysctl.d has
(kubernetes cmd/kube-proxy/app/conntrack.go; k3s has a kube-proxy inside)."""

_ACTIVE_PROFILE = "etc/tuned/active_profile"
_PROFILE_DIRECTORIES = ("etc/tuned/profiles", "etc/tuned", "usr/lib/tuned/profiles", "usr/lib/tuned")
_MAX_INCLUDE_DEPTH = 8


class Manager(msgspec.Struct, frozen=True):
    """Something that sets a key automatically."""

    name: str
    where: str
    """`FILE:LINE`, or `running`."""
    message: str
    """What that means for a value that was changed manually."""


def process_names(proc: str | Path = "/proc") -> frozenset[str]:
    """Return the names of the processes in `proc` (/proc/PID/comm)."""
    names = set()
    for directory in Path(proc).glob("[0-9]*"):
        with suppress(OSError):
            names.add((directory / "comm").read_bytes().decode("utf-8", "replace").rstrip("\n"))
    return frozenset(names)


def other_managers(key: str, root: str | Path, processes: Collection[str]) -> tuple[Manager, ...]:
    """Return what else sets `key`, by the files below `root` and the names of the running processes."""
    running = (
        Manager(name, "running", f"{name} may set it again when it starts, whatever the files of sysctl.d have")
        for name, keys in KEYS_SET_AT_START.items()
        if name in processes and key in keys
    )
    return (*running, *_tuned(key, Path(root), "tuned" in processes))


def _tuned(key: str, root: Path, runs: bool) -> Iterator[Manager]:
    try:
        active = read_file(root / _ACTIVE_PROFILE).decode("utf-8", "replace").split()
    except (OSError, UnreadableFile):
        return
    for name, value, where in _profiles(key, root, active, _MAX_INCLUDE_DEPTH):
        words = f"the profile {name} sets {value}" + (
            " again when it is applied again, unless a file in /etc/sysctl.d sets the key"
            if runs
            else ", but tuned is not running"
        )
        yield Manager("tuned", where, words)


def _profiles(key: str, root: Path, names: list[str], deeper: int) -> Iterator[tuple[str, str, str]]:
    """Yield profile, value and place of each line about `key` in the active profiles, included profiles first."""
    for name in names:
        # The names come from a file, and one with a slash would leave the directory.
        if "/" in name or name.startswith("."):
            continue
        for directory in _PROFILE_DIRECTORIES:
            file = f"{directory}/{name}/tuned.conf"
            with suppress(OSError, UnreadableFile):
                text = read_file(root / file).decode("utf-8", "replace")
                yield from _profile(key, root, (name, f"/{file}", text), deeper)
                break


def _profile(key: str, root: Path, profile: tuple[str, str, str], deeper: int) -> Iterator[tuple[str, str, str]]:
    name, file, text = profile
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        word, equals, value = (part.strip() for part in line.partition("="))
        if line.lstrip().startswith("["):
            section = line.strip().strip("[]")
        elif not equals or line.lstrip().startswith(("#", ";")):
            continue
        elif section == "main" and word == "include" and deeper:
            yield from _profiles(key, root, value.replace(",", " ").split(), deeper - 1)
        elif section == "sysctl" and path_of(word) == path_of(key):
            yield sanitize(name), sanitize(value), f"{sanitize(file)}:{number}"
