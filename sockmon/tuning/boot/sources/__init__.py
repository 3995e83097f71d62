"""What writes sysctls when the machine boots, apart from the files of sysctl.d: a reader each.

`steps_before` come before the program that reads the files, `steps_after` after it; the credential is one more
file. Tests: tests/tuning/test_boot_sources.py.
"""

from __future__ import annotations

from pathlib import Path

from sockmon.tuning.boot.replay import BootWrite, Step
from sockmon.tuning.boot.sources.kernel_command_line import command_line_writes, read_command_line
from sockmon.tuning.boot.sources.module_options import module_writes
from sockmon.tuning.boot.sources.systemd_start import systemd_writes
from sockmon.tuning.boot.sources.udev_rules import udev_writes


def steps_before(root: str | Path = "/") -> list[Step]:
    """Return what is written before any file of sysctl.d can set the key: from the kernel command line, by systemd
    when it starts, and by options of a module when it is loaded."""
    line = read_command_line(root)
    early: list[BootWrite] = [*command_line_writes(line, root)]
    return [*early, *systemd_writes(root, early), *module_writes(root, line)]


def steps_after(root: str | Path = "/") -> list[Step]:
    """Return what may be written later: by rules of udev."""
    return [*udev_writes(root)]
