"""The network namespaces that a report is to be about: one or several, by name, pid, path or pattern."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import NamedTuple

from sockmon.format import first_names, plural
from sockmon.kernel import own_descriptors
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netns import is_pattern, open_matching, open_netns
from sockmon.model.snapshot import Missing

READER = "--netns"
"""The reader in `missing` for namespaces that were asked for and not sampled."""
MAX_NETNS = 100
"""Namespaces of one report: each is sampled as the own one is."""


class WantedNetns(NamedTuple):
    """The handles of different namespaces, and what was left out."""

    handles: list[NetnsHandle]
    missing: tuple[Missing, ...]


def open_wanted(wanted: Sequence[str], patterns: bool, most: int | None, stack: ExitStack) -> WantedNetns:
    """Open each of `wanted` once, and let `stack` close them; raise NoSuchNamespace if one does not exist.

    `patterns`: they may be shell patterns. `most`: files that may be open in one of them; None: all."""
    handles: dict[int, NetnsHandle] = {}
    left_out: list[str] = []
    for spec in wanted:
        room = _room(len(handles))
        if patterns and is_pattern(spec):
            found, names = open_matching(spec, room)
        else:
            found, names = [open_netns(spec, most=most)], []
        for handle in found:
            stack.enter_context(closing(handle))
            handles.setdefault(handle.inode, handle)
        left_out += names
    return WantedNetns([*handles.values()], _missing(left_out))


def _room(opened: int) -> int:
    """Return how many more namespaces can be held open, at least one."""
    files = own_descriptors.available() // own_descriptors.OTHER_NETNS_FILES
    return max(min(MAX_NETNS - opened, files - 1), 1)


def _missing(names: Sequence[str]) -> tuple[Missing, ...]:
    if not names:
        return ()
    what = plural(len(names), "network namespace")
    reason = f"{what} that --netns matches could not be entered, or exceed what one report samples: "
    return (Missing(READER, reason + first_names([*names], 5), unjudged=f"{what} that --netns matches"),)
