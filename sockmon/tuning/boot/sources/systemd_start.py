"""What systemd itself writes when it starts as the first process, before it starts any service.

From src/core/main.c, bump_file_max_and_nr_open() and bump_unix_max_dgram_qlen(). A distribution may build it
without the first two; then their messages are not in the program.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from sockmon.tuning.boot.replay import BootWrite

SOURCE = "systemd itself"
_MARK = "run/systemd/system"
_PROGRAMS = ("usr/lib/systemd/systemd", "lib/systemd/systemd")
_LIBRARIES = ("usr/lib/systemd", "usr/lib/*/systemd", "lib/systemd")
_NR_OPEN = 1_073_741_816
"""INT_MAX in multiples of 8, halved once, because the kernel refuses what is above its own maximum."""
_FILE_MAX = sys.maxsize
_DGRAM_QLEN = 512
_CHUNK = 1 << 20


def systemd_writes(root: str | Path, before: Sequence[BootWrite] = ()) -> Iterator[BootWrite]:
    """Yield what it writes if systemd starts the machine; it leaves a value alone that is higher already, by what
    the kernel command line sets (`before`)."""
    if not Path(root, _MARK).is_dir():
        return
    files = _files(Path(root))
    if _contains(files, b"Failed to bump fs.file-max"):
        yield BootWrite("fs/file-max", str(_FILE_MAX).encode(), SOURCE)
    raised = (
        ("fs/nr_open", _NR_OPEN, b"Failed to bump fs.nr_open"),
        ("net/unix/max_dgram_qlen", _DGRAM_QLEN, b""),
    )
    for path, value, message in raised:
        now = [int(one.written) for one in before if one.path == path and one.written.isdigit()]
        if (not message or _contains(files, message)) and (not now or now[-1] < value):
            yield BootWrite(path, str(value).encode(), SOURCE)


def _files(root: Path) -> list[Path]:
    """Return the program and, in newer versions, the library that has most of it."""
    libraries = (file for place in _LIBRARIES for file in sorted(root.glob(f"{place}/libsystemd-core*.so")))
    return [*(root / program for program in _PROGRAMS), *libraries]


def _contains(files: list[Path], text: bytes) -> bool:
    for file in files:
        with suppress(OSError), file.open("rb") as opened:
            end = b""
            while more := opened.read(_CHUNK):
                if text in end + more:
                    return True
                end = more[-len(text) :]
    return False
