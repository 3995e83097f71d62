"""Whether two descriptors of two processes are one open file: kcmp(2) (kernel/kcmp.c).

A file that was inherited by fork(2) is one file to the kernel's limits, and /proc does not show that.
"""

from __future__ import annotations

import ctypes
import os
import sys

_KCMP_FILE = 0
_NUMBERS = {"x86_64": 312, "aarch64": 272, "riscv64": 272, "loongarch64": 272, "ppc64le": 354, "s390x": 343}
_ORDER = {0: 0, 1: -1, 2: 1}

File = tuple[int, int]
"""A descriptor: pid and number."""


class Kcmp:
    """Orders open files. `works` is False if the kernel was built without kcmp(2), or a sandbox forbids it."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._number = _NUMBERS.get(os.uname().machine) if sys.maxsize > 1 << 32 else None
        own = (os.getpid(), 0)
        self.works = self._number is not None and self.order(own, own) == 0

    def order(self, one: File, other: File) -> int | None:
        """Return 0 for one and the same file, else -1 or 1 in an order that holds until the next boot; None if one
        of them was closed or may not be compared."""
        result = self._libc.syscall(self._number, one[0], other[0], _KCMP_FILE, one[1], other[1])
        return _ORDER.get(result)
