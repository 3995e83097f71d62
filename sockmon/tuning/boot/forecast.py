"""The forecast of a value after a reboot, in words: the line that decides, and what else sets the key."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sockmon.kernel.limit_origin.origin import OriginFinder
from sockmon.model.boot import BootForecast, BootOverride, BootRequirement
from sockmon.model.writers import Writer, sentence_of
from sockmon.text import sanitize
from sockmon.tunables import process_of
from sockmon.tunables.limit_origin.limit_value import resource_of
from sockmon.tunables.limit_origin.text import unit_of
from sockmon.tuning.boot.dropin import FILE, SIMULATED_VALUE, simulate
from sockmon.tuning.boot.kernel_rules import STARTS_WITH, depends_on, same_number
from sockmon.tuning.boot.kernel_write import Kernel
from sockmon.tuning.boot.modules import late_module
from sockmon.tuning.boot.near_misses import NearMisses
from sockmon.tuning.boot.other_programs import ALPINE, OPENRC
from sockmon.tuning.boot.other_writers import other_writers, process_names, run_file_writer
from sockmon.tuning.boot.replay import BootWrite, KeyReplay, RefusedWrite, Replay, Step, paths_for, replay
from sockmon.tuning.boot.sysctl_d import PROCPS, PROGRAMS, SYSTEMD, SysctlProgram, key_of, path_of
from sockmon.tuning.boot.this_kernel import this_kernel
from sockmon.tuning.boot.winning_line import BootFiles, read_boot_files

_SYSTEMD_MARK = "run/systemd/system"
"""Exists if systemd started the machine (sd_booted(3))."""
_SCRIPTS = ("etc/init.d/procps", "etc/init.d/sysctl")
"""Run `sysctl --system` under another init: Debian's sysvinit, OpenRC."""
_MAX_REFUSED = 3
_MAX_TEXT = 60


def boot_forecasts(
    keys: Iterable[str],
    root: str | Path = "/",
    proc: str | Path = "/proc",
    overlay: Mapping[str, bytes] | None = None,
) -> dict[str, BootForecast]:
    """Return a forecast for each of `keys`, from the files below `root` and the processes in `proc`; `overlay` has
    the contents of files after a change."""
    wanted = list(keys)
    sysctls = [key for key in wanted if "@" not in key]
    finder = OriginFinder(str(root), str(proc))
    found = {key: _of_limit(finder, key) for key in wanted if process_of(key)}
    if not sysctls:
        return found
    kernel, now = this_kernel(proc), read_boot_files(root, overlay or {})
    with_our_lines = simulate(sysctls, root)
    machine = _Machine(
        now,
        NearMisses(now, Path(root)),
        now.replays(sysctls, kernel),
        with_our_lines,
        {program: replay(_assumed(with_our_lines, program, sysctls), kernel) for program in PROGRAMS},
        kernel,
        process_names(proc),
        program_at_boot(root),
        Path(root),
    )
    return {key: found[key] if key in found else machine.forecast(key) for key in [*found, *sysctls]}


def program_at_boot(root: str | Path = "/") -> SysctlProgram | None:
    """Return which of the two programs sets sysctls when this machine boots; None if that is not known."""
    if Path(root, _SYSTEMD_MARK).is_dir():
        return SYSTEMD
    return PROCPS if any(Path(root, script).exists() for script in _SCRIPTS) else None


def _of_limit(finder: OriginFinder, key: str) -> BootForecast:
    """Return the forecast for a limit of a process: what gave it to it, and where a change lasts."""
    origin = finder.find(process_of(key), resource_of(key))
    return BootForecast(None, (), unit=unit_of(origin.starter) if origin else "", origin=origin)


def _assumed(files: BootFiles, program: SysctlProgram, keys: Iterable[str]) -> list[Step]:
    """Return the writes of `files`, those of our simulated lines accepted whatever they write."""
    return [
        msgspec.structs.replace(step, assumed=True) if _is_simulated(step) else step
        for step in files.steps(program, paths_for(keys))
    ]


def _is_simulated(step: Step) -> bool:
    return isinstance(step, BootWrite) and step.written == SIMULATED_VALUE.encode()


@dataclass(frozen=True)
class _Machine:
    """The files as they are and with our lines, what a boot makes of them, and the program that boot runs."""

    files: BootFiles
    near_misses: NearMisses
    replays: dict[SysctlProgram, Replay]
    files_with_ours: BootFiles
    with_ours: dict[SysctlProgram, Replay]
    kernel: Kernel
    process_names: Collection[str]
    program: SysctlProgram | None
    root: Path

    def forecast(self, key: str) -> BootForecast:
        found = {program: self.replays[program].of(key) for program in PROGRAMS}
        values = {one.value for one in found.values()}
        unknown = next((one.unknown for one in found.values() if one.unknown), "")
        writers = other_writers(key, self.root, self.process_names)
        unset = not unknown and not any(one.decided_by and one.decided_by.file for one in found.values())
        return BootForecast(
            value=next(iter(values)) if len(values) == 1 and not unknown else None,
            sentences=tuple(self._sentences(key, found)),
            managers=tuple(self._managers(key, writers)),
            overrides=tuple(self._overrides(key)),
            writers=writers,
            unread=self.files.unread,
            unknown=unknown,
            differs=not unknown and len(values) > 1,
            hints=self.near_misses.of(key) if unset else (),
            requires=tuple(self._requirements(key)),
            module=late_module(key, self.root),
        )

    def _sentences(self, key: str, found: dict[SysctlProgram, KeyReplay]) -> Iterator[str]:
        """Yield one sentence if both programs leave the same, else one each, first the one that runs."""
        texts = {program: outcome_sentence(key, one) for program, one in found.items()}
        if len(set(texts.values())) == 1 or self._agree(found[SYSTEMD], found[PROCPS]):
            yield texts[PROCPS]
            return
        for program in sorted(texts, key=lambda program: program != self.program):
            runs = ", which runs here at boot" if program == self.program else ""
            yield f"under {self._name(program)}{runs}: {texts[program]}"
        if self.program is None:
            yield "it is not known which of the two runs here at boot"

    def _agree(self, systemd: KeyReplay, procps: KeyReplay) -> bool:
        """Return whether both leave one value, and differ only in which of several equal lines they take: then the
        last one, which procps takes, decides under both."""
        if systemd.value is None or (systemd.value, systemd.refused) != (procps.value, procps.refused):
            return False
        write = procps.decided_by
        lines = self.files.lines[SYSTEMD]
        return write is not None and any(
            (line.at, line.written) == (write.source, write.written) for line in lines
        )

    def _name(self, program: SysctlProgram) -> str:
        return "busybox" if program == PROCPS and self.files.other in (ALPINE, OPENRC) else program

    def _managers(self, key: str, writers: tuple[Writer, ...]) -> Iterator[str]:
        for file in dict.fromkeys(line.file for line in self.files.lines_about(key)):
            if tool := self.files.written_by.get(file):
                yield f"{file} is written by {tool}, which will write it again"
            elif file.startswith("/run/"):
                writer = run_file_writer(file) or "something"
                yield f"{file} is gone after a reboot, unless {writer} writes it again"
        yield from map(sentence_of, writers)

    def _overrides(self, key: str) -> Iterator[BootOverride]:
        for program in PROGRAMS:
            found = self.with_ours[program].of(key)
            write = found.decided_by
            if write is not None and not write.assumed:
                value = found.value if found.value is not None else _shown(write)
                yield BootOverride(program, write.source, value, write.file, write.line, key_of(write.path))
            elif write is None and not found.unknown:
                line = next((line for line in self.files_with_ours.lines_about(key) if line.value is None), None)
                if line is None:
                    yield BootOverride(program, "an exclusion", None)
                else:
                    yield BootOverride(program, line.at, None, line.file, line.number, key_of(line.path))

    def _requirements(self, key: str) -> Iterator[BootRequirement]:
        """Yield the key that a value of `key` is compared with, as it is when our line is written."""
        other = depends_on(same_number(path_of(key))[0])
        if not other:
            return
        files = simulate([key], self.root)
        values = set()
        for program in PROGRAMS:
            steps = files.steps(program, paths_for([key]))
            places = (place for place, step in enumerate(steps) if _is_simulated(step) or _is_ours(step))
            last = max(places, default=-1)
            before = [step for step in steps[: last + 1] if not _is_simulated(step)]
            one = replay(before, self.kernel).of(other)
            values.add(None if one.unknown else one.value or STARTS_WITH[other])
        for value in sorted(values, key=str):
            yield BootRequirement(key_of(other), value)


def _is_ours(step: Step) -> bool:
    return isinstance(step, BootWrite) and step.file == FILE


def outcome_sentence(key: str, found: KeyReplay) -> str:
    """Return what a boot leaves of `key`, which line decides it, and what the kernel refuses."""
    refused = found.refused[-_MAX_REFUSED:]
    return "; ".join([_decided(key, found), *(refusal_sentence(each) for each in refused)])


def _decided(key: str, found: KeyReplay) -> str:
    write = found.decided_by
    if found.unknown:
        wrote = f"{write.source} writes `{_shown(write)}`: " if write else ""
        return f"unknown: {wrote}{found.unknown}"
    if write is None:
        return "no file sets it"
    value = found.value or "(empty)"
    if write.path == path_of(key):
        said = f"{write.source} sets {value}"
    else:
        said = f"{write.source} sets it to {value} by its other name, {key_of(write.path)}"
    if found.ignored:
        return f"{said}, and the kernel passes over the rest of the line, `{sanitize(found.ignored, _MAX_TEXT)}`"
    return said if _is_plain(write, found.value or "") else f"{said}: so the kernel reads `{_shown(write)}`"


def _is_plain(write: BootWrite, value: str) -> bool:
    return write.written.decode("utf-8", "replace").split() == value.split()


def refusal_sentence(refused: RefusedWrite) -> str:
    """Return which write the kernel refuses, and why."""
    write, outcome = refused.write, refused.outcome
    return f"the kernel refuses {write.source}, `{_shown(write)}`, with {outcome.errno}: {outcome.reason}"


def _shown(write: BootWrite) -> str:
    return sanitize(b" ".join(write.written.split()), _MAX_TEXT) or "(empty)"
