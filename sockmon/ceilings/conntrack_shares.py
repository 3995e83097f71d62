"""Who fills the connection table, for the two ceilings that depend on it."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon import format
from sockmon.ceilings.ceiling import Window
from sockmon.model.conntrack_tops import Top, TopRow
from sockmon.model.report import LargestShare, ShareKind
from sockmon.model.snapshot import Conntrack

SMALL_SHARE = 0.02
"""Part of the entries from which on an address or a port is named."""
OLD_SECONDS = 10.0
"""Age of a walk from which on the evidence states it: `used` is newer."""
NAMED = {"source": "source", "destination": "destination", "port": "destination port"}


def largest_shares(table: Conntrack) -> tuple[LargestShare, ...]:
    """Return the largest source, destination, port and group; nothing if the table was not read, or is empty."""
    tops = table.tops
    if tops is None or not tops.entries:
        return ()
    kinds: tuple[tuple[ShareKind, Top], ...] = (
        *(("source", tops.sources), ("destination", tops.destinations)),
        *(("port", tops.ports), ("group", tops.groups)),
    )
    return tuple(_share(kind, top.rows[0], tops.entries) for kind, top in kinds if top.rows)


def _share(kind: ShareKind, row: TopRow, entries: int) -> LargestShare:
    return LargestShare(
        kind=kind,
        used=row.entries,
        ratio=round(row.entries / entries, 4),
        source=row.source,
        destination=row.destination,
        protocol=row.protocol,
        port=row.port,
        missed=row.missed,
    )


def share_lines(table: Conntrack, window: Window) -> Iterator[str]:
    """Yield one sentence about who fills the table, and its age if it is older than the count."""
    named, small = [], []
    for share in largest_shares(table):
        if share.kind not in NAMED:
            continue
        if share.ratio >= SMALL_SHARE:
            named.append(f"{NAMED[share.kind]} {_name(share)} has {format.ratio(share.ratio)} of the entries")
        else:
            small.append(NAMED[share.kind])
    if small:
        named.append(f"no {' and no '.join(small)} has {100 * SMALL_SHARE:.0f} %")
    if named:
        age = window.now.at - table.table_at if table.table_at is not None else 0.0
        yield "; ".join(named) + (f" ({format.age(age)} ago)" if age >= OLD_SECONDS else "")


def _name(share: LargestShare) -> str:
    if share.kind == "port":
        return f"{share.protocol} {share.port}"
    return share.source or share.destination or ""
