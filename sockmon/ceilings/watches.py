"""inotify instances and watches, and epoll watches: limits of a user whose errors name something else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sockmon.ceilings.ceiling import (
    Ceiling,
    Levels,
    Measure,
    Window,
    Words,
    largest,
    nearly_all,
    number,
    raised,
    unknown,
)
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Owner, Snapshot, UserWatches

INSTANCES = ("fs.inotify.max_user_instances", "user.max_inotify_instances")
WATCHES = ("fs.inotify.max_user_watches", "user.max_inotify_watches")
EPOLL = ("fs.epoll.max_user_watches",)
"""The keys that limit each, the host's first; in another user namespace both its own and the host's bind."""
LEVELS = Levels(0.80, 0.95)


def _binding(window: Window, keys: tuple[str, ...]) -> tuple[int, str] | None:
    """The lowest limit of `keys` and its key; None where none is shown."""
    found = [(limit, key) for key in keys if (limit := number(window.now.sysctls, key)) is not None]
    return min(found, key=lambda pair: pair[0], default=None)


def _by_user(keys: tuple[str, ...], used: Callable[[UserWatches], int]) -> Callable[[Window], Iterator[Measure]]:
    """A Measure for each user that has some; unknown where nobody could be looked at."""

    def measure(window: Window) -> Iterator[Measure]:
        now, binding = window.now, _binding(window, keys)
        if now.watches is None or binding is None:
            yield unknown(now.host.name, window.why_missing("watches" if binding else keys[0]))
            return
        users = [user for user in now.watches.users if used(user)]
        if not users and not _nearly_all(window):
            yield unknown(now.host.name, f"descriptors of {_processes(now.watches.unseen)} may not be read")
        elif not users:
            nobody = UserWatches(now.host.uid, now.host.user, 0, 0, 0, False, ())
            yield Measure(_subject(nobody), 0, binding[0], at=now.watches.at, about=nobody)
        for user in users:
            focus = largest(user.owners)
            yield Measure(_subject(user), used(user), binding[0], at=now.watches.at, focus=focus, about=user)

    return measure


def _nearly_all(window: Window) -> bool:
    watches, processes = window.now.watches, window.now.processes
    unseen = watches.unseen if watches else 0
    return nearly_all(len(processes.rows) - unseen if processes else 0, unseen)


def _subject(user: UserWatches) -> str:
    """`www (33)`."""
    return f"{user.user} ({user.uid})"


def _as_of(now: Snapshot) -> object:
    limits = tuple(now.sysctls.get(key) for key in (*INSTANCES, *WATCHES, *EPOLL))
    return (now.watches.at, limits) if now.watches else object()


def _user(measure: Measure) -> UserWatches:
    assert isinstance(measure.about, UserWatches)
    return measure.about


def _full(measure: Measure) -> bool:
    return measure.used is not None and measure.limit is not None and measure.used >= measure.limit


def _processes(number: int) -> str:
    return "1 process" if number == 1 else f"{number:,} processes"


def _held_by(owners: tuple[Owner, ...]) -> list[str]:
    names = ", ".join(f"{owner.name}[{owner.pid}]" for owner in owners[:3])
    return [f"held most by {names}"] if names else []


def _unseen(window: Window) -> list[str]:
    unseen = window.now.watches.unseen if window.now.watches else 0
    return [f"descriptors of {_processes(unseen)} may not be read and are not in it"] if unseen else []


def _instances_evidence(window: Window, measure: Measure) -> list[str]:
    user, binding = _user(measure), _binding(window, INSTANCES)
    lines = [
        f"{measure.used:,} inotify instances of {user.user}, {binding[1] if binding else ''} {measure.limit:,}"
    ]
    lines += _held_by(user.owners)
    if _full(measure):
        lines.append(
            "inotify_init1() fails with EMFILE (24): too many open files, however few descriptors are open"
        )
    return lines + _unseen(window)


def _watches_evidence(window: Window, measure: Measure) -> list[str]:
    user, binding = _user(measure), _binding(window, WATCHES)
    lines = [f"{measure.used:,} inotify watches of {user.user}, {binding[1] if binding else ''} {measure.limit:,}"]
    lines += _held_by(user.owners)
    if _full(measure):
        lines.append("inotify_add_watch() fails with ENOSPC (28): no space left on device, though no disk is full")
    return lines + _unseen(window)


def _epoll_evidence(window: Window, measure: Measure) -> list[str]:
    user = _user(measure)
    about = "about " if user.estimated else ""
    lines = [f"{about}{measure.used:,} descriptors of {user.user} in epoll sets, {EPOLL[0]} {measure.limit:,}"]
    if user.estimated:
        lines.append("one for each descriptor of a process with a set that is too large to list")
    rows = window.now.processes.rows if window.now.processes else ()
    largest = sorted((row for row in rows if row.uid == user.uid), key=lambda row: -(row.fds or 0))[:3]
    if largest and measure.used:
        names = ", ".join(f"{row.name}[{row.pid}] {row.fds or 0:,}" for row in largest)
        lines.append(f"most descriptors: {names}")
    if _full(measure):
        lines.append("epoll_ctl(EPOLL_CTL_ADD) fails with ENOSPC (28): no space left on device")
    return lines + _unseen(window)


def _raise(
    keys: tuple[str, ...], factor: int, least: int, application: str
) -> Callable[[Window, Measure], list[Remedy]]:
    """Raise what binds; `application` says what else to look at."""

    def remedies(window: Window, measure: Measure) -> list[Remedy]:
        limit, key = _binding(window, keys) or (measure.limit or 0, keys[0])
        wanted = max(raised(limit, factor), least)
        text = f"raise {key} to {wanted:,}; it acts at once, and no limit of descriptors (ulimit -n) helps"
        if key == keys[0] and len(keys) > 1:
            text += "; of the host: a container cannot raise it"
        elif (host := number(window.now.sysctls, keys[0])) is not None and limit < host < wanted:
            text += f"; beyond {host:,} that of the host binds, {keys[0]}"
        return [Remedy("sysctl", key, str(wanted), text), Remedy("application", None, None, application)]

    return remedies


INOTIFY_INSTANCES = Ceiling(
    id="inotify-instances",
    title="inotify instances",
    unit="instances",
    scope="user",
    levels=LEVELS,
    what="at the limit inotify_init() fails with EMFILE, too many open files, with hardly any file open",
    measure=_by_user(INSTANCES, lambda user: user.inotify_instances),
    evidence=_instances_evidence,
    remedies=_raise(INSTANCES, 4, 512, "find out who opens an instance for each file: one can watch many"),
    as_of=_as_of,
    words=Words(
        counted="inotify instances, one for each inotify_init(), of all processes of a user, also in"
        " containers, together. The kernel charges the effective user at that moment and publishes no count:"
        " sockmon counts the descriptors that are anon_inode:inotify, one that several processes inherited once.",
        shows=(
            "inotify_init() and inotify_init1() fail with EMFILE (24): too many open files",
            "tail -f falls back to polling, and what follows logs or files gives up, while they have"
            " fifty descriptors open",
            "root is bound too; nothing is counted or logged",
        ),
        live="sysctl -w fs.inotify.max_user_instances=512 on the host.",
        lasting="fs.inotify.max_user_instances=512 in a file of /etc/sysctl.d on the host.",
        costs="Very little for each instance; each may queue up to fs.inotify.max_queued_events events.",
        myths=(
            "ulimit -n and fs.file-max do not help: it is not about open files, although the error says so",
            "the limit is not a container's own: containers whose users are the same to the host share it",
        ),
        keys=INSTANCES,
        source="fs/notify/inotify/inotify_user.c, kernel/ucount.c; inotify(7)",
    ),
)

INOTIFY_WATCHES = Ceiling(
    id="inotify-watches",
    title="inotify watches",
    unit="watches",
    scope="user",
    levels=LEVELS,
    what="at the limit inotify_add_watch() fails with ENOSPC, no space left on device, with no disk full",
    measure=_by_user(WATCHES, lambda user: user.inotify_watches),
    evidence=_watches_evidence,
    remedies=_raise(WATCHES, 2, 524_288, "watch fewer directories: leave out build trees and node_modules"),
    as_of=_as_of,
    words=Words(
        counted="Watched files and directories of all inotify instances of a user. sockmon counts the lines"
        " `inotify wd:` of /proc/PID/fdinfo, which costs the kernel 4 µs each: rarely, where there are many.",
        shows=(
            "inotify_add_watch() fails with ENOSPC (28): no space left on device, while df shows room",
            "editors, build watchers and log shippers stop noticing changes of some files",
            "nothing is counted or logged",
        ),
        live="sysctl -w fs.inotify.max_user_watches=524288 on the host.",
        lasting="fs.inotify.max_user_watches=524288 in a file of /etc/sysctl.d on the host.",
        costs="A watch keeps the inode of what it watches in memory: about 1 kB where nothing else holds it.",
        myths=("freeing space or inodes on the disk does not help",),
        keys=WATCHES,
        source="fs/notify/inotify/inotify_user.c, kernel/ucount.c; inotify(7)",
    ),
)

EPOLL_WATCHES = Ceiling(
    id="epoll-watches",
    title="epoll watches",
    unit="watches",
    scope="user",
    levels=LEVELS,
    what="at the limit epoll_ctl(EPOLL_CTL_ADD) fails with ENOSPC: connections are accepted and never served",
    measure=_by_user(EPOLL, lambda user: user.epoll),
    evidence=_epoll_evidence,
    remedies=_raise(EPOLL, 2, 1 << 20, "see whether descriptors are in more epoll sets than they need to be"),
    as_of=_as_of,
    words=Words(
        counted="Descriptors in epoll sets of all processes of a real user: one that is in two sets counts twice."
        " sockmon counts the lines `tfd:` of /proc/PID/fdinfo; of processes with more than 16,384 descriptors it"
        " takes one for each descriptor, because listing a set holds up the server that uses it.",
        shows=(
            "epoll_ctl(EPOLL_CTL_ADD) fails with ENOSPC (28): no space left on device",
            "accept() still works, so that connections pile up that nobody serves",
            "nothing is counted or logged",
        ),
        live="sysctl -w fs.epoll.max_user_watches=N, for the host and every namespace.",
        lasting="fs.epoll.max_user_watches=N in a file of /etc/sysctl.d.",
        costs="192 bytes of kernel memory for each watch that is made; the default allows for 4 % of the memory.",
        myths=("ulimit -n does not help, and root is bound too",),
        keys=EPOLL,
        source="fs/eventpoll.c; epoll(7)",
    ),
)
