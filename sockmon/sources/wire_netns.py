"""How a stream carries hundreds of network namespaces: a line has those that have changed since the line before.

The first namespaces, for which sockmon was started, are in each line. Of the others a line has the fields that
have changed, and from time to time each of them as a whole, so that a reader that has lost a line knows all of
them again after KEY_LINES lines. An older reader sees fewer of the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict, fields, replace

from sockmon.model.snapshot import Netns, Snapshot

KEY_LINES = 60
"""Lines after which each of the other namespaces was written as a whole at least once."""

MAX_NETNS = 10_000
"""Namespaces of one Snapshot that a reader keeps; a forged recording could have more with each line."""

_NAMES = tuple(field.name for field in fields(Netns) if field.name != "inode")
_SNAPSHOT_NAMES = tuple(field.name for field in fields(Snapshot) if field.name != "netns")

NetnsChange: Any = msgspec.defstruct(
    "NetnsChange",
    [("inode", int), *((f.name, f.type | UnsetType, UNSET) for f in fields(Netns) if f.name != "inode")],
    frozen=True,
    module=__name__,
)
"""The fields of a Netns that differ from those in the line before."""


class SnapshotLine(Snapshot, frozen=True, tag="snapshot", tag_field="type", omit_defaults=True):
    """A Snapshot on a line: `netns` lacks those of the others that have not changed, or not much."""

    number: int = 0
    """That of the line before plus one: changes are relative to it. 0: all namespaces are in `netns`."""
    changed_netns: tuple[NetnsChange, ...] = ()
    ended_netns: tuple[int, ...] = ()
    """Inodes of those that the line before had."""


class SnapshotWriter:
    """Turns the Snapshots of one stream into its lines."""

    def __init__(self) -> None:
        self._number = 0
        self._known: dict[int, Netns] = {}

    def restart(self) -> None:
        """Write all as a whole again: the last line was lost."""
        self._known = {}

    def line(self, snapshot: Snapshot) -> Snapshot:
        """Return what the next line has of `snapshot`."""
        others = {netns.inode: netns for netns in snapshot.netns if netns.at is not None}
        others.pop(snapshot.netns[0].inode, None)
        if not others and not self._known:
            return snapshot
        self._number += 1
        whole = [netns for netns in snapshot.netns if netns.inode not in others]
        changed = []
        for place, (inode, netns) in enumerate(others.items()):
            before = self._known.get(inode)
            if before is None or (self._number + place) % KEY_LINES == 0:
                whole.append(netns)
            elif before is not netns and (change := _change(before, netns)):
                changed.append(NetnsChange(inode, **change))
        ended = tuple(inode for inode in self._known if inode not in others)
        self._known = others
        return SnapshotLine(
            netns=tuple(whole),
            number=self._number,
            changed_netns=tuple(changed),
            ended_netns=ended,
            **{name: getattr(snapshot, name) for name in _SNAPSHOT_NAMES},
        )


class SnapshotReader:
    """Turns the lines of one stream into its Snapshots."""

    def __init__(self) -> None:
        self._number = 0
        self._known: dict[int, Netns] = {}

    def snapshot(self, line: SnapshotLine) -> Snapshot:
        """Return the Snapshot of a line; of the other namespaces those that are known after it."""
        if line.number != self._number + 1 or len(self._known) > MAX_NETNS:
            self._known = {}
        self._number = line.number
        found = self._known
        for inode in line.ended_netns:
            found.pop(inode, None)
        for change in line.changed_netns:
            if (before := found.get(change.inode)) is not None:
                found[change.inode] = _changed(before, change)
        first = [netns for place, netns in enumerate(line.netns) if place == 0 or netns.at is None]
        if line.number:
            found |= {netns.inode: netns for netns in line.netns[1:] if netns.at is not None}
            others: Iterable[Netns] = found.values()
        else:
            others = (netns for netns in line.netns[1:] if netns.at is not None)
        return Snapshot(netns=(*first, *others), **{name: getattr(line, name) for name in _SNAPSHOT_NAMES})


def _change(before: Netns, now: Netns) -> dict[str, object]:
    pairs = ((name, getattr(before, name), getattr(now, name)) for name in _NAMES)
    return {name: new for name, old, new in pairs if new is not old and new != old}


def _changed(before: Netns, change: Any) -> Netns:
    values = {name: value for name, value in asdict(change).items() if value is not UNSET and name != "inode"}
    return replace(before, **values)
