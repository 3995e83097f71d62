"""Who else sets a key, besides the files of sysctl.d: services that write it when they start, or run a profile."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from sockmon.model.clean import clean
from sockmon.tuning.sysctl_d import Unread, path_of, read

_KUBE_PROXY = (
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
)
WRITERS = {
    "kube-proxy": _KUBE_PROXY,
    "k3s": _KUBE_PROXY,
    "k3s-server": _KUBE_PROXY,
    "k3s-agent": _KUBE_PROXY,
    "dockerd": ("net.ipv4.ip_forward",),
}
"""Name of a process, as /proc/PID/comm has it → keys that it may write when it starts, whatever sysctl.d says
(kubernetes cmd/kube-proxy/app/conntrack.go; k3s has a kube-proxy inside)."""

_ACTIVE = "etc/tuned/active_profile"
_PROFILES = ("etc/tuned/profiles", "etc/tuned", "usr/lib/tuned/profiles", "usr/lib/tuned")
_DEEPEST = 8


class Manager(msgspec.Struct, frozen=True):
    """Something that sets a key by itself."""

    name: str
    where: str
    """`FILE:LINE`, or that it runs."""
    words: str
    """What that means for a value changed by hand."""


def running(proc: str | Path = "/proc") -> frozenset[str]:
    """The names of the processes that `proc` shows: /proc/PID/comm."""
    names = set()
    for directory in Path(proc).glob("[0-9]*"):
        with suppress(OSError):
            names.add((directory / "comm").read_bytes().decode("utf-8", "replace").rstrip("\n"))
    return frozenset(names)


def managers(key: str, root: str | Path, processes: Collection[str]) -> tuple[Manager, ...]:
    """What else sets `key` on the machine with its files below `root`, where processes called `processes` run."""
    running = (
        Manager(name, "running", f"{name} may set it again when it starts, over what sysctl.d says")
        for name, keys in WRITERS.items()
        if name in processes and key in keys
    )
    return (*running, *_tuned(key, Path(root), "tuned" in processes))


def _tuned(key: str, root: Path, runs: bool) -> Iterator[Manager]:
    try:
        active = read(root / _ACTIVE).decode("utf-8", "replace").split()
    except (OSError, Unread):
        return
    for name, value, where in _profiles(key, root, active, _DEEPEST):
        words = f"its profile {name} sets {value}" + (
            ": it comes back when the profile is applied again, unless a file in /etc/sysctl.d says otherwise"
            if runs
            else ", but tuned does not run now"
        )
        yield Manager("tuned", where, words)


def _profiles(key: str, root: Path, names: list[str], deeper: int) -> Iterator[tuple[str, str, str]]:
    """Profile, value and place of each line of the active profiles about `key`, included ones first."""
    for name in names:
        # Names come from a file: one with a slash is no name.
        if "/" in name or name.startswith("."):
            continue
        for directory in _PROFILES:
            file = f"{directory}/{name}/tuned.conf"
            with suppress(OSError, Unread):
                text = read(root / file).decode("utf-8", "replace")
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
            yield clean(name), clean(value), f"{clean(file)}:{number}"
