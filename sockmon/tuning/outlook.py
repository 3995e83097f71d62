"""What a restart makes of a value, and who else writes it: files of sysctl.d, services, the unit of a process."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sockmon.model.change import Outlook, Rival
from sockmon.tunables import Tunable, process_of, row_of
from sockmon.tunables.value import misread
from sockmon.tuning.boot import Boot, Fate, boot
from sockmon.tuning.managers import managers, running
from sockmon.tuning.persist import TRIED, trial
from sockmon.tuning.sysctl_d import PROCPS, SYSTEMD, Line, Loader
from sockmon.tuning.unit import named

_SYSTEMD = "run/systemd/system"
"""Is there where systemd is what started the machine (sd_booted(3))."""
_SCRIPTS = ("etc/init.d/procps", "etc/init.d/sysctl")
"""Run `sysctl --system` where another init does: Debian's sysvinit, OpenRC."""
_LONGEST = 64 * 1024


def outlooks(keys: Iterable[str], root: str | Path = "/", proc: str | Path = "/proc") -> dict[str, Outlook]:
    """An Outlook for each of `keys`, by the files below `root` and the processes that `proc` shows."""
    wanted = list(keys)
    sysctls = [key for key in wanted if not process_of(key)]
    found = {key: Outlook(None, (), unit=unit_of(process_of(key), proc)) for key in wanted if process_of(key)}
    if not sysctls:
        return found
    look = _Look(boot(root), trial(sysctls, root), running(proc), program(root), Path(root))
    return {key: found[key] if key in found else look.outlook(key) for key in wanted}


def program(root: str | Path = "/") -> Loader | None:
    """Which of the two sets sysctls when this machine starts; None where it cannot be told."""
    if Path(root, _SYSTEMD).is_dir():
        return SYSTEMD
    return PROCPS if any(Path(root, script).exists() for script in _SCRIPTS) else None


def unit_of(pid: int, proc: str | Path = "/proc") -> str:
    """`nginx.service`, by the cgroup of the process; empty where systemd gave it none, or it has ended."""
    try:
        with open(Path(proc, str(pid), "cgroup"), "rb") as file:
            lines = file.read(_LONGEST).decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    # HIERARCHY:CONTROLLERS:PATH (cgroups(7)); systemd's own hierarchy has a name, and v2 has one for all.
    fields = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    paths = {controllers: path for _, controllers, path in fields}
    return named(paths.get("name=systemd") or paths.get("", ""))


@dataclass(frozen=True)
class _Look:
    """The files as they are and with our lines in them, who runs, and which program reads the files at boot."""

    now: Boot
    ours: Boot
    names: Collection[str]
    program: Loader | None
    root: Path

    def outlook(self, key: str) -> Outlook:
        fates = self.now.fates(key)
        values = {fate.winner.value if fate.winner else None for fate in fates}
        return Outlook(
            value=next(iter(values)) if len(values) == 1 else None,
            boot=tuple(self._sentences(fates, row_of(key))),
            managers=tuple(self._managers(key, fates)),
            rivals=tuple(_rivals(self.ours.fates(key))),
            unread=self.now.unread,
        )

    def _sentences(self, fates: tuple[Fate, ...], row: Tunable) -> Iterator[str]:
        """One where both programs end with the same line, else one for each, and first the one that runs here."""
        said = {fate.loader: _won(fate.winner, row) for fate in fates}
        if len(set(said.values())) == 1:
            yield next(iter(said.values()))
            return
        for loader in sorted(said, key=lambda loader: loader != self.program):
            runs = ", which runs here at boot" if loader == self.program else ""
            yield f"under {loader}{runs}: {said[loader]}"
        if self.program is None:
            yield "which of the two runs here at boot could not be told"

    def _managers(self, key: str, fates: tuple[Fate, ...]) -> Iterator[str]:
        lines = [fate.winner for fate in fates if fate.winner]
        lines += [lost.line for fate in fates for lost in fate.losers]
        for file in dict.fromkeys(line.file for line in lines):
            if tool := self.now.written_by.get(file):
                yield f"{file} is written by {tool}, which will write it again"
        for name in _other_names(key):
            for line in dict.fromkeys(fate.winner for fate in self.now.fates(name) if fate.winner):
                yield f"besides, {line.at} sets it to {line.value or '(empty)'} by its other name, {name}"
        for manager in managers(key, self.root, self.names):
            name = "" if manager.where == "running" else f"{manager.name} ({manager.where}): "
            yield f"besides, {name}{manager.words}"


def _other_names(key: str) -> tuple[str, ...]:
    """What else the same number is called."""
    row = row_of(key)
    names = (row.key, *row.aliases)
    return tuple(name for name in names if name != key) if key in names else ()


def _won(line: Line | None, row: Tunable) -> str:
    if line is None:
        return "no file sets it"
    why = line.doubt or misread(row, line.value or "")
    doubt = f", which the kernel may refuse or read otherwise: {'' if line.doubt else 'it '}{why}" if why else ""
    return f"{line.at} sets {line.value or '(empty)'}{doubt}"


def _rivals(fates: Iterable[Fate]) -> Iterator[Rival]:
    for fate in fates:
        if fate.winner is None:
            line = next((lost.line for lost in fate.losers if lost.line.value is None), None)
            yield Rival(fate.loader, line.at if line else "a line that excludes it", None)
        elif fate.winner.value != TRIED:
            yield Rival(fate.loader, fate.winner.at, fate.winner.value or "")
