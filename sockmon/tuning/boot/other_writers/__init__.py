"""Who else writes a sysctl while the machine runs, apart from the files of sysctl.d: a table of programs, a row
each, and tuned, whose profiles have rules of their own.

A row says only what the source of the program says (`Row.source`). Tests: tests/tuning/test_other_writers.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from sockmon.model.writers import Writer
from sockmon.text import sanitize
from sockmon.tuning.boot.other_writers.containers import CONTAINERS
from sockmon.tuning.boot.other_writers.firewalls import FIREWALLS
from sockmon.tuning.boot.other_writers.row import KeyWrite, Machine, Row
from sockmon.tuning.boot.other_writers.services import SERVICES
from sockmon.tuning.boot.other_writers.tuned import tuned_writers
from sockmon.tuning.boot.sysctl_d import path_of

WRITERS: tuple[Row, ...] = (*FIREWALLS, *CONTAINERS, *SERVICES)
"""First what writes again soonest, because a narrow screen shows the first."""

_RUN_FILES = {"/run/sysctl.d/zz-lxd.conf": "lxd", "/run/sysctl.d/10-netavark-": "podman"}
"""By the start of its name, who writes a file that a reboot removes: lxd snapcraft/commands/daemon.start, netavark
src/network/sysctl.rs."""


def run_file_writer(file: str) -> str:
    """Return the program that writes a file in /run; empty if it is not known."""
    return next((name for start, name in _RUN_FILES.items() if file.startswith(start)), "")


def process_names(proc: str | Path = "/proc") -> frozenset[str]:
    """Return the names of the processes in `proc` (/proc/PID/comm)."""
    names = set()
    for directory in Path(proc).glob("[0-9]*"):
        with suppress(OSError):
            names.add((directory / "comm").read_bytes().decode("utf-8", "replace").rstrip("\n"))
    return frozenset(names)


def other_writers(key: str, root: str | Path, processes: Collection[str]) -> tuple[Writer, ...]:
    """Return which programs write `key`, by the files below `root` and the names of the running processes."""
    machine = Machine(Path(root), processes)
    return (*_by_row(key, machine), *tuned_writers(key, machine))


def who_wrote(key: str, before: str, now: str, root: str | Path, processes: Collection[str]) -> tuple[Writer, ...]:
    """Return which of the programs that run here make `now` of `before`."""
    running = (writer for writer in other_writers(key, root, processes) if writer.runs)
    return tuple(writer for writer in running if writer.leaves(now) and not writer.leaves(before))


def _by_row(key: str, machine: Machine) -> Iterator[Writer]:
    for row in WRITERS:
        if not row.here(machine):
            continue
        # Of several lines about a key, the last one counts.
        last: KeyWrite | None = None
        for write in row.key_writes(machine):
            if path_of(write.key) == path_of(key):
                last = write
        if last:
            yield _writer(row, last)


def _writer(row: Row, write: KeyWrite) -> Writer:
    value = None if write.value is None else sanitize(write.value, 4096)
    when = write.when or row.when
    return Writer(row.name, write.action, value, when, sanitize(write.setting, 4096), certain=write.certain)


__all__ = ["WRITERS", "Row", "Writer", "other_writers", "process_names", "run_file_writer", "who_wrote"]
