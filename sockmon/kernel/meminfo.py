"""/proc/meminfo: the memory of the host that is available, also inside a container."""

from __future__ import annotations

from sockmon.errors import ReadError
from sockmon.kernel.integers import is_count
from sockmon.kernel.namespace_handle import NetnsHandle

_READER = "/proc/meminfo"
_UNIT = b"kB"


def read_available(handle: NetnsHandle) -> int:
    """Return the bytes that can be allocated without swapping; raise ReadError."""
    return parse_available(handle.read("meminfo"))


def parse_available(text: bytes) -> int:
    """Return MemAvailable, in units of 1,024 bytes in the text (fs/proc/meminfo.c); raise ReadError."""
    for line in text.splitlines():
        name, _, rest = line.partition(b":")
        if name == b"MemAvailable":
            fields = rest.split()
            if len(fields) != 2 or not is_count(fields[0]) or fields[1] != _UNIT:
                raise ReadError(_READER, "expected MemAvailable in kB")
            return int(fields[0]) * 1024
    raise ReadError(_READER, "has no MemAvailable")
