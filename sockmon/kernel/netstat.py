"""/proc/net/netstat and /proc/net/snmp: the counters that prove that a limit was met, of one namespace.

Both are pairs of lines (net/ipv4/proc.c), names over values, paired here by name: columns come and go.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from sockmon.errors import Unreadable
from sockmon.model.snapshot import Missing

if TYPE_CHECKING:
    from sockmon.kernel.netns import Door

_COUNTERS = {
    "TcpExt": (
        "EmbryonicRsts ListenDrops ListenOverflows PruneCalled SyncookiesFailed SyncookiesRecv SyncookiesSent "
        "TCPAbortOnMemory TCPBacklogDrop TCPFastOpenListenOverflow TCPMemoryPressures TCPMemoryPressuresChrono "
        "TCPRcvQDrop TCPReqQFullDoCookies TCPReqQFullDrop TCPRetransFail TCPTimeWaitOverflow TCPTimeouts "
        "TW TWRecycled"
    ),
    "Tcp": ("ActiveOpens AttemptFails CurrEstab EstabResets InSegs OutRsts OutSegs PassiveOpens RetransSegs"),
    "Udp": "InDatagrams InErrors OutDatagrams RcvbufErrors SndbufErrors",
    "Ip": "OutDiscards",
}
_FILES = {"net/netstat": ("TcpExt",), "net/snmp": ("Ip", "Tcp", "Udp")}

WATCHED = tuple(f"{section}.{name}" for section, names in _COUNTERS.items() for name in names.split())
"""Names as `TcpExt.ListenOverflows`; `Tcp.CurrEstab` is a gauge (ESTABLISHED and CLOSE_WAIT), the rest grow."""


def counters(door: Door, missing: list[Missing] | None = None) -> dict[str, int]:
    """The watched counters that this kernel has; a file or section that cannot be read goes to `missing`."""
    found: dict[str, int] = {}
    for path, sections in _FILES.items():
        try:
            text = door.read(path)
        except Unreadable as error:
            _note(missing, error)
            continue
        for section in sections:
            try:
                found.update(parse(text, section))
            except Unreadable as error:
                _note(missing, error)
    return found


def parse(text: bytes, section: str) -> dict[str, int]:
    """The watched counters of `section`; raises Unreadable where names and values do not match."""
    mark = section.encode() + b": "
    start = 0 if text.startswith(mark) else text.find(b"\n" + mark) + 1
    names, _, rest = text[start:].partition(b"\n")
    values, end, _ = rest.partition(b"\n")
    if not names.startswith(mark) or not values.startswith(mark) or not end:
        raise Unreadable(section, "is not among the counters of this kernel")
    places, width = _places(section, names)
    fields = values.split()
    if len(fields) != width:
        raise Unreadable(section, f"has {width} columns but {len(fields)} values")
    try:
        return {name: int(fields[place]) for name, place in places}
    except ValueError:
        raise Unreadable(section, "has a value that is not a number") from None


@lru_cache(maxsize=32)
def _places(section: str, names: bytes) -> tuple[tuple[tuple[str, int], ...], int]:
    """Where the watched columns are, and how many columns there are; the line of names never changes."""
    columns = names.decode("ascii", "replace").split()
    wanted = frozenset(_COUNTERS[section].split())
    places = tuple((f"{section}.{name}", place) for place, name in enumerate(columns) if name in wanted)
    return places, len(columns)


def _note(missing: list[Missing] | None, error: Unreadable) -> None:
    if missing is not None:
        missing.append(Missing(error.reader, error.message))
