"""The replay of a boot: every write in order, each judged by what the kernel has at that moment.

A write that the kernel refuses changes nothing, so the last line of a key is not always the one that decides:
its number may have another name (net.nf_conntrack_max), and whether a range of ports is accepted depends on
another key. Pure: what is on the machine comes in as values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from sockmon.tuning.boot.kernel_rules import depends_on, same_number
from sockmon.tuning.boot.kernel_write import Kept, Kernel, Outcome, Refused, write
from sockmon.tuning.boot.sysctl_d import path_of


class BootWrite(msgspec.Struct, frozen=True):
    """A text that something writes to a key when the machine boots."""

    path: str
    """Below /proc/sys, with single slashes: `net/core/somaxconn`."""
    written: bytes
    """The bytes, without the line feed at their end."""
    source: str
    """`FILE:LINE`, or the name of what else writes it: `tuned`."""
    file: str = ""
    """The file of `source`, as people edit it; empty if it is none."""
    line: int = 0
    """Its number in `file`, from 1 on."""
    assumed: bool = False
    """Whether to take it for granted that the kernel accepts it."""
    uncertain: str = ""
    """Why it is not certain that this is written; empty if it is."""


class UnreadWrites(msgspec.Struct, frozen=True):
    """A place in the order at which anything may be written, because a file cannot be read."""

    reason: str
    """`FILE: Permission denied`."""


Step = BootWrite | UnreadWrites


class RefusedWrite(msgspec.Struct, frozen=True):
    """A write that the kernel refuses."""

    write: BootWrite
    outcome: Refused


class KeyReplay(msgspec.Struct, frozen=True):
    """What a boot leaves of one number."""

    value: str | None = None
    """The value at the end, as the kernel prints it; None if nothing sets it, or if it is not known."""
    unknown: str = ""
    """Why the value is not known; empty if it is, or if nothing sets it."""
    decided_by: BootWrite | None = None
    """The write that the kernel has accepted last; None if there is none, or if it is not known."""
    ignored: str = ""
    """The rest of its text, which the kernel passes over."""
    refused: tuple[RefusedWrite, ...] = ()
    """Writes that the kernel refuses, in order."""
    replaced: tuple[BootWrite, ...] = ()
    """Writes that the kernel accepts and a later one replaces, in order."""


@dataclass
class _Number:
    """One number while the writes are replayed."""

    value: str | None = None
    unknown: str = ""
    decided_by: BootWrite | None = None
    ignored: str = ""
    refused: list[RefusedWrite] = field(default_factory=list)
    accepted: list[BootWrite] = field(default_factory=list)

    def close(self) -> KeyReplay:
        replaced = tuple(one for one in self.accepted if one is not self.decided_by)
        return KeyReplay(self.value, self.unknown, self.decided_by, self.ignored, tuple(self.refused), replaced)


class Replay(msgspec.Struct, frozen=True):
    """What a boot leaves."""

    numbers: dict[str, KeyReplay]
    """By the first name of the number; what is not in it is written by nothing that was read."""
    unread: tuple[str, ...]
    """Why anything may have been written last; empty if everything was read."""

    def of(self, key: str) -> KeyReplay:
        """Return what becomes of `key`, whichever of its names it is."""
        nothing = KeyReplay(unknown=self.unread[0]) if self.unread else KeyReplay()
        return self.numbers.get(same_number(path_of(key))[0], nothing)


def paths_for(keys: Iterable[str]) -> set[str]:
    """Return the paths that matter for `keys`: all names of their numbers, and of those that they depend on."""
    firsts = {same_number(path_of(key))[0] for key in keys}
    needed = firsts | {other for first in firsts if (other := depends_on(first))}
    return {path for first in needed for path in same_number(first)}


def replay(steps: Iterable[Step], kernel: Kernel | None = None) -> Replay:
    """Return what the writes of `steps`, in their order, leave in a kernel that has just started."""
    numbers: dict[str, _Number] = {}
    unread: list[str] = []
    for step in steps:
        if isinstance(step, UnreadWrites):
            unread.append(step.reason)
            for number in numbers.values():
                number.value, number.unknown, number.decided_by = None, step.reason, None
            continue
        first = same_number(step.path)[0]
        number = numbers.setdefault(first, _Number(unknown=unread[0] if unread else ""))
        _apply(step, number, _outcome(step, first, numbers, unread, kernel))
    return Replay({path: number.close() for path, number in numbers.items()}, tuple(unread))


def _outcome(
    step: BootWrite,
    first: str,
    numbers: Mapping[str, _Number],
    unread: list[str],
    kernel: Kernel | None,
) -> Outcome:
    if step.assumed:
        return Kept(None, reason="it is not known which value is written")
    now = {path: numbers[path].value for path in (first, depends_on(first)) if _is_written(path, numbers)}
    if unread:
        # Whatever could not be read may have changed the other key first.
        now = {path: now.get(path) for path in (first, depends_on(first)) if path}
    return write(first, step.written, now, kernel)


def _is_written(path: str, numbers: Mapping[str, _Number]) -> bool:
    return path in numbers and bool(numbers[path].accepted or numbers[path].unknown)


def _apply(step: BootWrite, number: _Number, outcome: Outcome) -> None:
    if isinstance(outcome, Refused):
        number.refused.append(RefusedWrite(step, outcome))
        if outcome.partly:
            number.accepted.append(step)
            number.value, number.decided_by, number.ignored = outcome.value, step, ""
            number.unknown = "" if outcome.value is not None else outcome.reason
        return
    number.accepted.append(step)
    why = step.uncertain or (outcome.reason if outcome.value is None else "")
    number.value = None if why else outcome.value
    number.unknown, number.ignored = why, outcome.ignored
    number.decided_by = None if step.uncertain else step
