"""What set a limit of a live process: the answer, from the unit or login that started it down to the process
itself.

The processes between what started it and itself are compared with what the configuration gives. A difference was
made on the way: by ulimit in a script, by the program itself, or by prlimit(1); the kernel keeps no record of
which."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from sockmon.kernel.limit_origin.config_files import ConfigFiles
from sockmon.kernel.limit_origin.given_limit import Given, given_by
from sockmon.kernel.limit_origin.process_chain import Link, read_chain
from sockmon.kernel.limit_origin.start_scripts import SHELLS, find_ulimit, script_of, script_of_exec_start
from sockmon.kernel.limit_origin.starter import Start, find_start
from sockmon.kernel.limit_origin.unit_files import assignments
from sockmon.kernel.processes.proc_files import PROC
from sockmon.model.limit_origin import LimitOrigin, LimitSource, Resource
from sockmon.model.processes import USER_HZ

_EDIT_SLACK = 1.0
"""Seconds by which clocks of files and of the kernel may differ."""


@dataclass
class OriginFinder:
    """Answers for several processes, and reads each configuration file once."""

    root: str = "/"
    proc: str = PROC

    def __post_init__(self) -> None:
        self._files = ConfigFiles(self.root)

    def find(self, pid: int, resource: Resource) -> LimitOrigin | None:
        """Return the origin of a limit; None if the process has ended or its limits cannot be read."""
        self._files.forget_unread()
        chain = read_chain(pid, self.proc)
        live = chain[0].limit(resource) if chain else None
        if live is None:
            return None
        start = find_start(self._files, chain, self.root)
        given = given_by(self._files, start, chain, resource, self.root)
        soft, hard = self._sources(start, given, chain, resource)
        unread = self._files.unread
        soft, hard = (_if_sure(each, unread) for each in (soft, hard))
        configured = given.soft if given.soft == given.hard else None
        differs = configured is not None and not given.explains(live) and configured.soft is not None
        return LimitOrigin(
            pid=pid,
            start=chain[0].start,
            resource=resource,
            soft=live[0],
            hard=live[1],
            soft_source=soft,
            hard_source=hard,
            starter=start.starter,
            next_start=configured if differs else None,
            edited=self._edited(start, given, chain[0]),
            manager_hard=given.manager_hard,
            unread=unread,
        )

    def _sources(
        self, start: Start, given: Given, chain: list[Link], resource: Resource
    ) -> tuple[LimitSource, LimitSource]:
        """Return what set the soft and what set the hard limit."""
        live = chain[0].limit(resource)
        assert live is not None
        if given.explains(live) or (given.soft.kind == "unknown" and start.starter.kind == "login"):
            return given.soft, given.hard
        changed = self._changed_by(start, given, chain, resource)
        by_script = changed.kind == "script"
        soft_stays = given.soft.soft == live[0] and not (by_script and changed.soft is not None)
        hard_stays = given.hard.hard == live[1] and not (by_script and changed.hard is not None)
        same_soft, same_hard = (changed, changed) if by_script else _of_parent(chain, resource, changed)
        return given.soft if soft_stays else same_soft, given.hard if hard_stays else same_hard

    def _changed_by(self, start: Start, given: Given, chain: list[Link], resource: Resource) -> LimitSource:
        """Return what made the limits others than what the configuration gives."""
        live = chain[0].limit(resource)
        assert live is not None
        scripts = self._scripts(start, chain)
        if found := find_ulimit(self._files, scripts, resource, *live):
            return found
        if self._edited(start, given, chain[0]):
            return LimitSource("unknown", start.starter.name, given.soft.file, soft=live[0], hard=live[1])
        below = chain[: start.place]
        same = next((place for place, link in enumerate(below) if link.limit(resource) != live), len(below))
        parent = chain[start.place] if start.place < len(chain) else None
        if start.starter.kind == "login" and same == len(below) and parent and parent.limit(resource) == live:
            # The kernel has refused what limits.conf asks for, or the login is older than its line.
            return LimitSource("inherited", parent.label, soft=live[0], hard=live[1])
        if same > 1:
            return LimitSource("inherited", below[same - 1].label, soft=live[0], hard=live[1])
        return LimitSource("program", chain[0].label, soft=live[0], hard=live[1])

    def _scripts(self, start: Start, chain: list[Link]) -> Iterator[str]:
        for link in chain[: start.place + 1]:
            if link.name in SHELLS or link.name.endswith(".sh"):
                yield from filter(None, (script_of(link.arguments, link.directory),))
            elif (words := link.arguments) and words[0].rpartition("/")[2] in SHELLS:
                # A script with `#!` has the name of its file, and the shell as its first argument.
                yield from filter(None, (script_of(words, link.directory),))
        for name in start.unit_files.all if start.unit_files else ():
            for each in assignments(self._files, name, "Service"):
                if each.key in ("ExecStart", "ExecStartPre"):
                    yield from filter(None, (script_of_exec_start(each.value),))
            for each in assignments(self._files, name, "Unit"):
                if each.key == "SourcePath":
                    yield each.value

    def _edited(self, start: Start, given: Given, process: Link) -> bool:
        """Return whether the configuration was changed after the process started."""
        began = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + process.start / USER_HZ
        names = [*(start.unit_files.all if start.unit_files else ()), given.soft.file, given.hard.file]
        times = [self._files.changed(name) for name in dict.fromkeys(names) if name]
        return any(each > began + _EDIT_SLACK for each in times if each is not None)


def _of_parent(chain: list[Link], resource: Resource, changed: LimitSource) -> tuple[LimitSource, LimitSource]:
    """Return `changed` for the half of the limit that the nearest parent with other limits does not have too."""
    live = chain[0].limit(resource)
    parent = next((link for link in chain[1:] if link.limit(resource) != live), None)
    limits = parent.limit(resource) if parent else None
    if parent is None or limits is None or live is None or changed.kind not in ("program", "inherited"):
        return changed, changed
    same = LimitSource("inherited", parent.label, soft=live[0], hard=live[1])
    return same if limits[0] == live[0] else changed, same if limits[1] == live[1] else changed


def _if_sure(source: LimitSource, unread: tuple[str, ...]) -> LimitSource:
    """Return `source`, or that it is not known: what was not read may have set the limit."""
    if unread and source.kind in ("built-in", "pid 1", "program", "inherited"):
        return LimitSource("unknown", source.name, soft=source.soft, hard=source.hard)
    return source
