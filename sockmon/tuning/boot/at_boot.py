"""Whether values would be set by a boot, why not, and what to change so that they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from sockmon.model.boot import set_both
from sockmon.model.plan import Setting
from sockmon.tunables import row_of
from sockmon.tunables.value import equal
from sockmon.tuning.boot.atomic_file import FILE
from sockmon.tuning.boot.kernel_rules import PORT_RANGE, PORT_START
from sockmon.tuning.boot.kernel_write import Kernel
from sockmon.tuning.boot.replay import BootWrite, Replay
from sockmon.tuning.boot.sysctl_d import SysctlProgram, key_of
from sockmon.tuning.boot.winning_line import BootFiles


class NotSet(msgspec.Struct, frozen=True):
    """A value that a boot would not set."""

    key: str
    message: str
    way_out: str = ""
    """What to change so that it is set; empty if that is not known."""
    unknown: bool = False
    """Whether it may be set: a file cannot be read, or what the kernel makes of a line is not known."""


def not_set_at_boot(
    settings: Iterable[Setting], files: BootFiles, kernel: Kernel | None = None
) -> tuple[NotSet, ...]:
    """Return for each of the new values that a boot with `files` would not leave, why; empty if it leaves all."""
    wanted = list(settings)
    replays = files.replays([setting.key for setting in wanted], kernel)
    found: list[NotSet] = []
    for setting in wanted:
        programs: dict[NotSet, list[SysctlProgram]] = {}
        for program, replay in replays.items():
            one = replay.of(setting.key)
            if one.value is None or not equal(row_of(setting.key), one.value, setting.new):
                programs.setdefault(_reason(setting, replay, files), []).append(program)
        found += _with_programs(programs)
    return tuple(found)


def _with_programs(programs: dict[NotSet, list[SysctlProgram]]) -> Iterator[NotSet]:
    """Yield the reasons, with the program for which one holds if it does not hold for both."""
    for reason, under in programs.items():
        only = f", under {under[0]}" if len(under) == 1 else ""
        yield msgspec.structs.replace(reason, message=f"{reason.message}{only}")


def _reason(setting: Setting, replay: Replay, files: BootFiles) -> NotSet:
    key, found = setting.key, replay.of(setting.key)
    write = found.decided_by
    if found.unknown:
        unread = f"{found.unknown}: it may hold a line that wins at boot"
        return NotSet(
            key, unread if files.unread else f"{key} is not known after a boot: {found.unknown}", unknown=True
        )
    ours = next((each for each in found.refused if each.write.file == FILE), None)
    if ours is not None and (write is None or write.file == FILE):
        refused = f"the kernel refuses {key} = {setting.new} at boot with {ours.outcome.errno}"
        return NotSet(
            key, f"{refused}: {ours.outcome.reason}", _change_the_other(setting, ours.outcome.by, replay)
        )
    if write is not None:
        name = key_of(write.path)
        message = f"{write.source} wins at boot: {name} = {found.value}"
        return NotSet(key, message, _change_line(write, name, setting.new))
    line = next((line for line in files.lines_about(key) if line.value is None), None)
    if line is None:
        return NotSet(key, f"no file sets {key} at boot")
    return NotSet(key, f"{line.at} excludes {key} at boot", f"remove line {line.number} of {line.file}")


def _change_the_other(setting: Setting, path: str, replay: Replay) -> str:
    """Return how the key of `path`, which the new value depends on, gets a value with which it is accepted."""
    first = setting.new.split()[0]
    wanted = {PORT_START: first, PORT_RANGE: f"{first} 65535"}.get(path, "")
    if not wanted:
        return ""
    key, write = key_of(path), replay.of(key_of(path)).decided_by
    if write is not None and write.file != FILE:
        return _change_line(write, key, wanted)
    return set_both(key, wanted)


def _change_line(write: BootWrite, key: str, value: str) -> str:
    return f"change line {write.line} of {write.file} to `{key} = {value}`" if write.file else ""
