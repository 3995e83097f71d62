"""What a row of the table of writers is made of, and what the rows read of this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from sockmon.model.writers import Action
from sockmon.tuning.boot.sysctl_d import UnreadableFile, read_file

_UNIT_DIRECTORY = "etc/systemd/system"


class KeyWrite(msgspec.Struct, frozen=True):
    """A key that a program writes, and the value."""

    key: str
    value: str | None
    """None if it depends on something that cannot be read from here."""
    setting: str = ""
    """What decides the value: `FILE:LINE`, a directive and its file, or a flag; empty if nothing does."""
    action: Action = "sets"
    certain: bool = True
    """False if a setting that cannot be read from here decides whether it is written at all."""
    when: str = ""
    """If it is not written when the others of its row are."""


@dataclass(frozen=True)
class Machine:
    """The files below `root`, the names of the running processes, and the number of CPUs."""

    root: Path
    processes: Collection[str] = ()
    cpus: int = field(default_factory=lambda: os.cpu_count() or 1)

    def read(self, file: str) -> str | None:
        """Return the text of `file`; empty if it does not exist, None if it cannot be read."""
        try:
            return read_file(self.root / file.lstrip("/")).decode("utf-8", "replace")
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except (OSError, UnreadableFile):
            return None

    def exists(self, file: str) -> bool:
        """Return whether `file` exists, also as a link that leads nowhere; False if that cannot be seen."""
        return os.path.lexists(self.root / file.lstrip("/"))

    def matching(self, pattern: str) -> list[str]:
        """Return the files that match `pattern`, in order; empty if their directory cannot be read."""
        try:
            return [f"/{path.relative_to(self.root)}" for path in sorted(self.root.glob(pattern))]
        except OSError:
            return []

    def enabled(self, unit: str) -> bool:
        """Return whether systemd starts `unit` at boot: some target wants or requires it."""
        targets = (*self.matching(f"{_UNIT_DIRECTORY}/*.wants"), *self.matching(f"{_UNIT_DIRECTORY}/*.requires"))
        return any(self.exists(f"{target}/{unit}") for target in targets)


Writes = Sequence[KeyWrite] | Callable[[Machine], Iterable[KeyWrite]]


class Row(msgspec.Struct, frozen=True):
    """A program that writes sysctls, what shows that it is here, which keys it writes, and when."""

    name: str
    when: str
    writes: Writes
    source: str
    """The file of its source, or the documentation, that says so."""
    processes: tuple[str, ...] = ()
    """Names in /proc/PID/comm; one of them shows that it runs."""
    unit: str = ""
    """A unit that runs at each boot and ends."""
    file: str = ""
    """A file that only exists if it runs at each boot."""

    def here(self, machine: Machine) -> bool:
        """Return whether it runs, or is enabled."""
        return (
            any(name in machine.processes for name in self.processes)
            or bool(self.unit and machine.enabled(self.unit))
            or bool(self.file and machine.exists(self.file))
        )

    def key_writes(self, machine: Machine) -> Iterable[KeyWrite]:
        """Return what it writes on this machine."""
        return self.writes(machine) if callable(self.writes) else self.writes


def numbered(text: str) -> Iterable[tuple[int, str]]:
    """Return the lines of `text` without what surrounds them, and their numbers from 1."""
    return ((number, line.strip()) for number, line in enumerate(text.split("\n"), 1))


def shell_assignments(text: str, file: str) -> dict[str, tuple[str, str]]:
    """Return value and `FILE:LINE` of each variable that a shell sets when it reads `text`, without quotes."""
    found = {}
    for number, line in numbered(text):
        match = re.fullmatch(r"""(?:export\s+)?(\w+)=(?:"([^"]*)"|'([^']*)'|([^\s#;]*))\s*(?:[#;].*)?""", line)
        if match:
            value = next(group for group in match.groups()[1:] if group is not None)
            found[match[1]] = value, f"{file}:{number}"
    return found
