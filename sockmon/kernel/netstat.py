"""/proc/net/netstat and /proc/net/snmp: the counters of one namespace that prove that a limit was reached.

Both are pairs of lines (net/ipv4/proc.c), names above values, which are matched by name: columns come and go.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from sockmon.errors import ReadError
from sockmon.kernel.integers import parse_integer
from sockmon.kernel.missing import note_missing
from sockmon.model.snapshot import Missing

_COUNTERS = {
    "TcpExt": (
        "EmbryonicRsts ListenDrops ListenOverflows PruneCalled SyncookiesFailed SyncookiesRecv SyncookiesSent "
        "TCPAbortFailed TCPAbortOnClose TCPAbortOnData TCPAbortOnLinger TCPAbortOnMemory TCPAbortOnTimeout "
        "TCPBacklogDrop TCPFastOpenListenOverflow TCPMemoryPressures TCPMemoryPressuresChrono "
        "TCPRcvQDrop TCPReqQFullDoCookies TCPReqQFullDrop TCPRetransFail TCPSynRetrans TCPTimeWaitOverflow "
        "TCPTimeouts TW TWRecycled"
    ),
    "Tcp": ("ActiveOpens AttemptFails CurrEstab EstabResets InSegs OutRsts OutSegs PassiveOpens RetransSegs"),
    "Udp": "InDatagrams InErrors OutDatagrams RcvbufErrors SndbufErrors",
    "Ip": "OutDiscards",
}
FILES = {"net/netstat": ("TcpExt",), "net/snmp": ("Ip", "Tcp", "Udp")}
"""Files, and the sections of them that are read."""

COUNTERS = tuple(f"{section}.{name}" for section, names in _COUNTERS.items() for name in names.split())
"""Names such as `TcpExt.ListenOverflows`; `Tcp.CurrEstab` is a gauge (ESTABLISHED and CLOSE_WAIT), the others
grow."""


class ReadsFiles(Protocol):
    """A NetnsHandle."""

    def read(self, path: str) -> bytes:
        """Return all of /proc/`path`; raise ReadError."""


def read_counters(handle: ReadsFiles, missing: list[Missing] | None = None) -> dict[str, int]:
    """Return those of COUNTERS that this kernel has; a file or section that cannot be read goes to `missing`."""
    found: dict[str, int] = {}
    for path, sections in FILES.items():
        try:
            text = handle.read(path)
        except ReadError as error:
            note_missing(missing, error)
            continue
        for section in sections:
            try:
                found.update(parse(text, section))
            except ReadError as error:
                note_missing(missing, error)
    return found


def parse(text: bytes, section: str) -> dict[str, int]:
    """Return those of COUNTERS in `section`; raise ReadError if names and values do not match."""
    mark = section.encode() + b": "
    start = 0 if text.startswith(mark) else text.find(b"\n" + mark) + 1
    names, _, rest = text[start:].partition(b"\n")
    values, end, _ = rest.partition(b"\n")
    if not names.startswith(mark) or not values.startswith(mark) or not end:
        raise ReadError(section, "this kernel does not have these counters")
    numbers, width = _column_numbers(section, names)
    fields = values.split()
    if len(fields) != width:
        raise ReadError(section, f"has {width} columns but {len(fields)} values")
    try:
        return {name: parse_integer(fields[number]) for name, number in numbers}
    except ValueError:
        raise ReadError(section, "has a value that is not a number") from None


@lru_cache(maxsize=32)
def _column_numbers(section: str, names: bytes) -> tuple[tuple[tuple[str, int], ...], int]:
    """Return the numbers of our columns, and how many columns there are; the line of names never changes."""
    columns = names.decode("ascii", "replace").split()
    wanted = frozenset(_COUNTERS[section].split())
    numbers = tuple((f"{section}.{name}", number) for number, name in enumerate(columns) if name in wanted)
    return numbers, len(columns)
