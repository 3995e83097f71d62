"""What is known of the kernel that will boot: that of now, as long as no other is installed."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sockmon.tunables import TUNABLES
from sockmon.tuning.boot.kernel_write import Kernel
from sockmon.tuning.boot.sysctl_d import path_of

_POSSIBLE_PROCESSORS = "/sys/devices/system/cpu/possible"


def this_kernel(proc: str | Path = "/proc") -> Kernel:
    """Return version, number of processors, and which keys of newer kernels it does not have."""
    version = re.match(r"([0-9]+)\.([0-9]+)", os.uname().release)
    return Kernel(
        release=(int(version[1]), int(version[2])) if version else Kernel().release,
        processors=_possible_processors(),
        missing=_missing(Path(proc, "sys")),
    )


def _possible_processors() -> int:
    try:
        last = Path(_POSSIBLE_PROCESSORS).read_text().strip().rpartition(",")[2].rpartition("-")[2]
        return int(last) + 1
    except (OSError, ValueError):
        return os.cpu_count() or 1


def _missing(tree: Path) -> dict[str, str]:
    if not tree.is_dir():
        return {}
    newer = ((path_of(row.key), row.since) for row in TUNABLES if row.since)
    return {path: f"it came with Linux {since}" for path, since in newer if not (tree / path).exists()}
