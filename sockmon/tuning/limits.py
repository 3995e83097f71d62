"""A limit of a live process on its way: what the change does in numbers, what is against it, what to think of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sockmon.errors import Refused
from sockmon.model.snapshot import Process
from sockmon.tunables import process_of
from sockmon.tunables.value import ENDLESS, UNLIMITED, limits, numbers
from sockmon.tuning.change import NR_OPEN, Change
from sockmon.tuning.here import Here

MOST = 5
"""Processes that are named; of more their number is said."""
After = Mapping[str, str]


def effect(change: Change, here: Here) -> str:
    """`soft 1,024 -> 8,192, hard 4,096 -> 8,192 descriptors; nginx[1044] has 100, so that 8,092 more fit`."""
    (soft, hard), (new_soft, new_hard) = _both(change)
    pairs = (("soft", soft, new_soft), ("hard", hard, new_hard))
    said = (f"{name} {_count(old)}" + (f" -> {_count(new)}" if new != old else "") for name, old, new in pairs)
    used = in_use(change, here)
    unit = change.row.unit.partition(":")[0]
    left = _count(new_soft, used or 0)
    room = "" if new_soft == ENDLESS else f", so that {left} more fit{'s' if left == '1' else ''}"
    has = "" if used is None else f"; {_user(change, here)} has {used:,}{room}"
    return f"{', '.join(said)} {unit}{has}"


def in_use(change: Change, here: Here) -> int | None:
    """What counts against the soft limit now; None where it could not be seen, or nothing counts."""
    process = here.process(change.key)
    if process is None or (change.row.key == "nproc" and process.exempt):
        return None
    if change.row.key == "nofile":
        return process.fds
    return sum(row.threads for row in _same_user(process, here))


def objections(change: Change, after: After, here: Here) -> Iterator[Refused]:
    """Why the kernel would refuse it, or could not take it back, or the process could not go on."""
    if change.row.kind != "limit":
        return
    (_, hard), (soft, new_hard) = _both(change)
    now, most = (_nr_open(change, values) for values in (here.values, after))
    if most is not None and new_hard > most:
        yield Refused(
            f"{change.key}: the hard limit {_count(new_hard)} is more than fs.nr_open = {most:,}, which the kernel"
            " answers with EPERM",
            f"plan {NR_OPEN}={new_hard} with it" if new_hard <= change.row.most else "",
        )
    if now is not None and most is not None and hard > max(now, most):
        yield Refused(
            f"{change.key}: its hard limit {_count(hard)} is more than fs.nr_open = {most:,}: the kernel would not"
            " take it back",
            f"plan {NR_OPEN}={hard} with it" if hard <= change.row.most else "",
        )
    used = in_use(change, here)
    if change.less and used is not None and soft < used:
        unit = change.row.unit.partition(":")[0]
        yield Refused(
            f"{change.key}: a soft limit of {soft:,} is less than the {used:,} {unit} that {_user(change, here)}"
            " has now: each new one would fail at once",
            f"now it is {change.old}",
        )


def cautions(change: Change, after: After, here: Here) -> Iterator[str]:
    """What to think of before a limit is changed."""
    if change.row.kind != "limit":
        return
    (_, hard), (soft, new_hard) = _both(change)
    process = here.process(change.key)
    if new_hard < hard:
        yield "a lower hard limit is raised again only with CAP_SYS_RESOURCE, which the process itself seldom has"
    if new_hard > hard:
        yield "a higher hard limit takes CAP_SYS_RESOURCE, which root in a container seldom has"
    if process is None:
        yield "what it has in use could not be seen"
        return
    others = [row for row in _named_alike(process, here) if row.pid != process.pid]
    if others:
        keys = ", ".join(f"{change.row.key}@{row.pid}" for row in others[:MOST])
        more = f" and {len(others) - MOST} more" if len(others) > MOST else ""
        yield f"other processes called {process.name} have limits of their own: {keys}{more}"
    yield from (_files if change.row.key == "nofile" else _tasks)(process, soft, after, here)


def _files(process: Process, soft: int, after: After, here: Here) -> Iterator[str]:
    files = here.snapshot.files if here.snapshot else None
    if files and soft - (process.fds or 0) > files.maximum - files.allocated:
        room = max(files.maximum - files.allocated, 0)
        more = "1 more file" if room == 1 else f"{room:,} more files"
        yield f"the whole host has room for {more} until fs.file-max = {files.maximum:,}"


def _tasks(process: Process, soft: int, after: After, here: Here) -> Iterator[str]:
    if process.exempt:
        yield "RLIMIT_NPROC does not bind it now: it is root's, or has CAP_SYS_RESOURCE or CAP_SYS_ADMIN"
    ids = numbers(after.get("kernel.pid_max", ""))
    if ids and soft > ids[0]:
        yield f"kernel.pid_max = {ids[0]:,} is lower, and ends it before"


def _nr_open(change: Change, values: After) -> int | None:
    """What no hard limit of descriptors may be above; None for other limits, and where it is not known."""
    found = numbers(values.get(NR_OPEN, "")) if change.row.key == "nofile" else []
    return found[0] if found else None


def _both(change: Change) -> tuple[tuple[int, int], tuple[int, int]]:
    """Soft and hard limit, before and after."""
    return limits(change.old) or (0, 0), limits(change.new) or (0, 0)


def _count(limit: int, used: int = 0) -> str:
    return UNLIMITED if limit == ENDLESS else f"{max(limit - used, 0):,}"


def _user(change: Change, here: Here) -> str:
    """Whose it is that counts: the process, or its user."""
    process = here.process(change.key)
    if process is None:
        return f"process {process_of(change.key)}"
    return f"{process.name}[{process.pid}]" if change.row.key == "nofile" else f"user {process.user}"


def _same_user(process: Process, here: Here) -> list[Process]:
    rows = here.snapshot.processes.rows if here.snapshot and here.snapshot.processes else ()
    return [row for row in rows if row.uid == process.uid]


def _named_alike(process: Process, here: Here) -> list[Process]:
    return [row for row in _same_user(process, here) if row.name == process.name]
