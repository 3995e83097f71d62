"""What a boot does to one key, whether sockmon tunes it or not, and the lines of sysctl.d about it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from sockmon.document import sentence
from sockmon.model.boot import BootForecast
from sockmon.tuning.boot.forecast import boot_forecasts
from sockmon.tuning.boot.sysctl_d import SysctlLine
from sockmon.tuning.boot.winning_line import read_boot_files


class LinesAbout(msgspec.Struct, frozen=True):
    """What the files have about a key, and what comes of it."""

    forecast: BootForecast | None
    """What a boot leaves; None of a key that Linux has removed."""
    lines: tuple[SysctlLine, ...]
    """Those that decide under one of the two programs; of a removed key all."""
    unread: tuple[str, ...]
    """Files that could not be read, with the reason: they may have a line about it."""

    def sentences(self, absent: bool) -> tuple[str, ...]:
        """Return what comes of the key, a sentence each; `absent`: this kernel does not have the key now."""
        if self.forecast is None:
            found = [
                f"{line.at} sets {line.value or '(empty)'}: this line does nothing, because there is no such key"
                for line in self.lines
            ]
            found += [f"unknown: {file}: it may have a line about this key" for file in self.unread]
            return tuple(map(sentence, found)) or ("No file sets it.",)
        condition = (
            ", if the key exists when the line is read: it does not exist now" if absent and self.lines else ""
        )
        found = [f"{text}{condition}" for text in self.forecast.sentences]
        return tuple(map(sentence, (*found, *self.forecast.hints, *self.forecast.managers)))


def lines_about(key: str, removed: bool, root: str | Path = "/", proc: str | Path = "/proc") -> LinesAbout:
    """Return what the files below `root` have about `key`, and the processes in `proc`."""
    files = read_boot_files(root)
    decided = {replay.of(key).decided_by for replay in files.replays([key]).values()}
    places = {(write.file, write.line) for write in decided if write}
    lines = (line for line in files.lines_about(key) if line.value is not None)
    return LinesAbout(
        None if removed else boot_forecasts([key], root, proc)[key],
        tuple(line for line in lines if removed or (line.file, line.number) in places),
        files.unread,
    )
