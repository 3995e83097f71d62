"""The forecast of a value after a reboot, in words: the line that wins, and what else sets the key."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sockmon.limit_origin.limit_value import resource_of
from sockmon.limit_origin.origin import OriginFinder
from sockmon.limit_origin.text import unit_of
from sockmon.model.boot import BootForecast, BootOverride
from sockmon.model.writers import Writer, sentence_of
from sockmon.tunables import Tunable, process_of, row_of
from sockmon.tunables.value import boot_value_problem
from sockmon.tuning.boot.dropin import SIMULATED_VALUE, simulate
from sockmon.tuning.boot.other_writers import other_writers, process_names
from sockmon.tuning.boot.sysctl_d import PROCPS, SYSTEMD, SysctlLine, SysctlProgram
from sockmon.tuning.boot.winning_line import BootFiles, Resolution, read_boot_files

_SYSTEMD_MARK = "run/systemd/system"
"""Exists if systemd started the machine (sd_booted(3))."""
_SCRIPTS = ("etc/init.d/procps", "etc/init.d/sysctl")
"""Run `sysctl --system` under another init: Debian's sysvinit, OpenRC."""


def boot_forecasts(
    keys: Iterable[str], root: str | Path = "/", proc: str | Path = "/proc"
) -> dict[str, BootForecast]:
    """Return a forecast for each of `keys`, from the files below `root` and the processes in `proc`."""
    wanted = list(keys)
    sysctls = [key for key in wanted if not process_of(key)]
    finder = OriginFinder(str(root), str(proc))
    found = {key: _of_limit(finder, key) for key in wanted if process_of(key)}
    if not sysctls:
        return found
    files = _Files(
        read_boot_files(root), simulate(sysctls, root), process_names(proc), program_at_boot(root), Path(root)
    )
    return {key: found[key] if key in found else files.forecast(key) for key in wanted}


def program_at_boot(root: str | Path = "/") -> SysctlProgram | None:
    """Return which of the two programs sets sysctls when this machine boots; None if that is not known."""
    if Path(root, _SYSTEMD_MARK).is_dir():
        return SYSTEMD
    return PROCPS if any(Path(root, script).exists() for script in _SCRIPTS) else None


def _of_limit(finder: OriginFinder, key: str) -> BootForecast:
    """Return the forecast for a limit of a process: what gave it to it, and where a change lasts."""
    origin = finder.find(process_of(key), resource_of(key))
    return BootForecast(None, (), unit=unit_of(origin.starter) if origin else "", origin=origin)


@dataclass(frozen=True)
class _Files:
    """The files as they are and with our lines, the processes, and the program that reads the files at boot."""

    now: BootFiles
    with_our_lines: BootFiles
    process_names: Collection[str]
    program: SysctlProgram | None
    root: Path

    def forecast(self, key: str) -> BootForecast:
        resolutions = self.now.resolve_both(key)
        writers = other_writers(key, self.root, self.process_names)
        values = {resolution.winner.value if resolution.winner else None for resolution in resolutions}
        return BootForecast(
            value=next(iter(values)) if len(values) == 1 else None,
            sentences=tuple(self._sentences(resolutions, row_of(key))),
            managers=tuple(self._managers(key, resolutions, writers)),
            overrides=tuple(_overrides(self.with_our_lines.resolve_both(key))),
            unread=self.now.unread,
            writers=writers,
        )

    def _sentences(self, resolutions: tuple[Resolution, ...], row: Tunable) -> Iterator[str]:
        """Yield one sentence if the winner is the same in both programs, else one each, first the one that
        runs."""
        texts = {resolution.program: winner_sentence(resolution.winner, row) for resolution in resolutions}
        if len(set(texts.values())) == 1:
            yield next(iter(texts.values()))
            return
        for program in sorted(texts, key=lambda program: program != self.program):
            runs = ", which runs here at boot" if program == self.program else ""
            yield f"under {program}{runs}: {texts[program]}"
        if self.program is None:
            yield "it is not known which of the two runs here at boot"

    def _managers(
        self, key: str, resolutions: tuple[Resolution, ...], writers: tuple[Writer, ...]
    ) -> Iterator[str]:
        lines = [resolution.winner for resolution in resolutions if resolution.winner]
        lines += [loser.line for resolution in resolutions for loser in resolution.losers]
        for file in dict.fromkeys(line.file for line in lines):
            if tool := self.now.written_by.get(file):
                yield f"{file} is written by {tool}, which will write it again"
        for name in _other_names(key):
            for line in dict.fromkeys(
                resolution.winner for resolution in self.now.resolve_both(name) if resolution.winner
            ):
                yield f"{line.at} also sets it, to {line.value or '(empty)'} by its other name, {name}"
        yield from map(sentence_of, writers)


def _other_names(key: str) -> tuple[str, ...]:
    """Return the other names of the same number."""
    row = row_of(key)
    names = (row.key, *row.aliases)
    return tuple(name for name in names if name != key) if key in names else ()


def winner_sentence(line: SysctlLine | None, row: Tunable) -> str:
    """Return what the winning line sets, and why the kernel may not accept it."""
    if line is None:
        return "no file sets it"
    why = line.doubt or boot_value_problem(row, line.value or "")
    doubt = f", which the kernel may refuse or misread: {'' if line.doubt else 'it '}{why}" if why else ""
    return f"{line.at} sets {line.value or '(empty)'}{doubt}"


def _overrides(resolutions: Iterable[Resolution]) -> Iterator[BootOverride]:
    for resolution in resolutions:
        if resolution.winner is None:
            line = next((loser.line for loser in resolution.losers if loser.line.value is None), None)
            yield BootOverride(resolution.program, line.at if line else "an exclusion", None)
        elif resolution.winner.value != SIMULATED_VALUE:
            yield BootOverride(resolution.program, resolution.winner.at, resolution.winner.value or "")
