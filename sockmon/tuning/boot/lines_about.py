"""The lines of sysctl.d about one key, whether sockmon tunes it or not."""

from __future__ import annotations

from pathlib import Path

import msgspec

from sockmon.document import sentence
from sockmon.tuning.boot.sysctl_d import SysctlLine
from sockmon.tuning.boot.winning_line import read_boot_files


class LinesAbout(msgspec.Struct, frozen=True):
    """What the files have about a key."""

    removed: bool
    """Whether Linux has removed the key."""
    lines: tuple[SysctlLine, ...]
    """Those that decide under one of the two programs; of a removed key all."""
    unread: tuple[str, ...]
    """Files that could not be read, with the reason: they may have a line about it."""

    def sentences(self, absent: bool) -> tuple[str, ...]:
        """Return a sentence for each line and unread file; `absent`: this kernel does not have the key now."""
        effect = ""
        if absent:
            effect = ": this line does nothing, because there is no such key"
            if not self.removed:
                effect = ", if the key exists when the line is read: it does not exist now"
        found = [f"{line.at} sets {line.value or '(empty)'}{effect}" for line in self.lines]
        found += [f"unknown: {file}: it may have a line about this key" for file in self.unread]
        return tuple(map(sentence, found)) or ("No file sets it.",)


def lines_about(key: str, removed: bool, root: str | Path = "/") -> LinesAbout:
    """Return the lines about `key` of the files below `root`."""
    files = read_boot_files(root)
    decided = {replay.of(key).decided_by for replay in files.replays([key]).values()}
    places = {(write.file, write.line) for write in decided if write}
    lines = (line for line in files.lines_about(key) if line.value is not None)
    return LinesAbout(
        removed, tuple(line for line in lines if removed or (line.file, line.number) in places), files.unread
    )
