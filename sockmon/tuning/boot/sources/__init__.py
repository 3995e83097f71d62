"""What writes sysctls when the machine boots, apart from the files of sysctl.d: a reader each.

`steps_before` come before the program that reads the files, `steps_after` after it. Tests:
tests/tuning/test_boot_sources.py.
"""

from __future__ import annotations

from pathlib import Path

from sockmon.tuning.boot.replay import BootWrite, Step
from sockmon.tuning.boot.sources.kernel_command_line import command_line_writes, read_command_line
from sockmon.tuning.boot.sources.module_options import module_writes
from sockmon.tuning.boot.sources.systemd_start import systemd_writes
from sockmon.tuning.boot.sources.udev_rules import udev_writes


def steps_before(root: str | Path = "/", proc: str | Path = "/proc") -> list[Step]:
    """Return what is written before the files of sysctl.d are read: from the kernel command line, by systemd when
    it starts, and by modules that are loaded first."""
    line = read_command_line(proc)
    early: list[BootWrite] = [*command_line_writes(line, root)]
    return [*early, *systemd_writes(root, early), *module_writes(root, line, before_files=True)]


def steps_after(root: str | Path = "/", proc: str | Path = "/proc") -> list[Step]:
    """Return what is written later, or at a moment that is not known: by modules that something loads, and by
    rules of udev."""
    line = read_command_line(proc)
    return [*module_writes(root, line, before_files=False), *udev_writes(root)]
