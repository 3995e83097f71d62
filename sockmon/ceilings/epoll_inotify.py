"""inotify instances and watches, and epoll watches: limits of a user, with errors that name something else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import most, process_label
from sockmon.ceilings.measuring import (
    is_full,
    largest_owner,
    nearly_all_read,
    sysctl_number,
    unknown_measure,
    unread_measure,
)
from sockmon.ceilings.remedies import application, next_limit
from sockmon.format import plural
from sockmon.misconceptions import INOTIFY_EMFILE
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Owner, UserWatches

INSTANCES = ("fs.inotify.max_user_instances", "user.max_inotify_instances")
WATCHES = ("fs.inotify.max_user_watches", "user.max_inotify_watches")
EPOLL = ("fs.epoll.max_user_watches",)
"""The keys of each limit, the host's first; in another user namespace its own and the host's apply."""
LEVELS = Levels(0.80, 0.95)


def _binding_limit(window: Window, keys: tuple[str, ...]) -> tuple[int, str] | None:
    """Return the lowest limit of `keys` and its key; None if none is visible."""
    found = [(limit, key) for key in keys if (limit := sysctl_number(window.now.sysctls, key)) is not None]
    return min(found, key=lambda pair: pair[0], default=None)


def _inotify_owners(user: UserWatches) -> Sequence[Owner]:
    return user.owners


def measure_by_user(
    keys: tuple[str, ...],
    used: Callable[[UserWatches], int],
    owners: Callable[[UserWatches], Sequence[Owner]] = _inotify_owners,
) -> Callable[[Window], Iterator[Measure]]:
    """Return the function that yields a Measure for each user that has some; unknown if no process could be
    read."""

    def measure(window: Window) -> Iterator[Measure]:
        now, binding = window.now, _binding_limit(window, keys)
        if now.watches is None or binding is None:
            yield unread_measure(now.host.name, window.missing("watches" if binding else keys[0]))
            return
        users = [user for user in now.watches.users if used(user)]
        if not users:
            if not _nearly_all_read(window):
                yield unknown_measure(now.host.name, _unread(now.watches.unseen))
                return
            users = [UserWatches(now.host.uid, now.host.user, 0, 0, 0, False, ())]
        for user in users:
            query = largest_owner(owners(user))
            subject = f"{user.user} ({user.uid})"
            yield Measure(subject, used(user), binding[0], at=now.watches.at, query=query, payload=user)

    return measure


def _nearly_all_read(window: Window) -> bool:
    watches, processes = window.now.watches, window.now.processes
    unseen = watches.unseen if watches else 0
    return nearly_all_read(len(processes.rows) - unseen if processes else 0, unseen)


def _unread(processes: int) -> str:
    return f"descriptors of {plural(processes, 'process', 'processes')} cannot be read"


def change_key_of(*keys: str) -> Callable[[Window], object]:
    """Return the function that returns what changes if a user's count or one of these limits does."""

    def change_key(window: Window) -> object:
        now = window.now
        return (now.watches.at, tuple(map(now.sysctls.get, keys))) if now.watches else object()

    return change_key


def user_evidence(
    keys: tuple[str, ...],
    what: str,
    failure: str,
    owners: Callable[[UserWatches], Sequence[Owner]] = _inotify_owners,
) -> Callable[[Window, Measure], list[str]]:
    """Return the function that returns the evidence; `failure` is what happens at the limit."""

    def evidence(window: Window, measure: Measure) -> list[str]:
        user = measure.payload
        assert isinstance(user, UserWatches)
        binding = _binding_limit(window, keys)
        about = "about " if keys is EPOLL and user.estimated else ""
        key = binding[1] if binding else ""
        lines = [f"{about}{measure.used:,} {what} of {user.user}, {key} {measure.limit:,}"]
        lines += _epoll_sets(window, user) if keys is EPOLL else _held_by(owners(user))
        if is_full(measure):
            lines.append(failure)
        unseen = window.now.watches.unseen if window.now.watches else 0
        return lines + ([f"not counted: {_unread(unseen)}"] if unseen else [])

    return evidence


def _held_by(owners: Sequence[Owner]) -> list[str]:
    names = ", ".join(map(process_label, owners[:3]))
    return [f"held mostly by {names}"] if names else []


def _epoll_sets(window: Window, user: UserWatches) -> list[str]:
    lines = []
    if user.estimated:
        lines.append("estimate: one for each descriptor of a process whose epoll set is too large to list")
    rows = window.now.processes.rows if window.now.processes else ()
    largest = most((row, row.fds or 0) for row in rows if row.uid == user.uid)
    if largest and user.epoll:
        lines.append(f"most descriptors: {largest}")
    return lines


def raise_limit(
    keys: tuple[str, ...], factor: int, minimum: int, instead: str
) -> Callable[[Window, Measure], list[Remedy]]:
    """Return the function that returns the remedies: raise the binding limit, or do `instead`."""

    def remedies(window: Window, measure: Measure) -> list[Remedy]:
        limit, key = _binding_limit(window, keys) or (measure.limit or 0, keys[0])
        wanted = max(next_limit(limit, factor), minimum)
        text = "takes effect at once; ulimit -n would not help"
        if key == keys[0] and len(keys) > 1:
            text += "; only on the host: a container cannot raise it"
        elif (host := sysctl_number(window.now.sysctls, keys[0])) is not None and limit < host < wanted:
            text += f"; above {host:,} the host's {keys[0]} applies"
        return [Remedy("sysctl", key, str(wanted), text), application(instead)]

    return remedies


_CHANGE_KEY = change_key_of(*INSTANCES, *WATCHES, *EPOLL)

INOTIFY_INSTANCES = Ceiling(
    id="inotify-instances",
    title="inotify instances",
    unit="instances",
    scope="user",
    from_processes=True,
    levels=LEVELS,
    consequence="at the limit inotify_init() fails with EMFILE, `too many open files`, although few files are"
    " open",
    measure=measure_by_user(INSTANCES, lambda user: user.inotify_instances),
    evidence=user_evidence(
        INSTANCES,
        "inotify instances",
        "inotify_init1() fails with EMFILE (24), `too many open files`, although few descriptors are open",
    ),
    remedies=raise_limit(
        INSTANCES, 4, 512, "find the program that opens an instance per file: one can watch many"
    ),
    change_key=_CHANGE_KEY,
    manual=Manual(
        measurement="The inotify instances, one for each inotify_init(), of all processes of a user together,"
        " containers included: the kernel charges the effective user of that call, and if the process is in a user"
        " namespace also the user who created it, which is root for most containers. It does not report the count:"
        " sockmon counts descriptors of the type anon_inode:inotify, an inherited one only once.",
        symptoms=(
            "inotify_init() and inotify_init1() fail with EMFILE (24): too many open files",
            "tail -f falls back to polling, and programs that watch files give up, although they have few"
            " descriptors open",
            "root is limited too; no counter moves and the kernel logs nothing",
        ),
        raise_now="Run sysctl -w fs.inotify.max_user_instances=512 on the host.",
        persist="Put the same setting in a file in /etc/sysctl.d on the host.",
        cost="Very little for each instance; each can queue up to fs.inotify.max_queued_events events.",
        misconceptions=(
            INOTIFY_EMFILE,
            "A container has no limit of its own on the host: containers whose users have the same uid share it,"
            " and all that root gave a user namespace share root's.",
        ),
        sysctls=INSTANCES,
        source="fs/notify/inotify/inotify_user.c, kernel/ucount.c; inotify(7)",
    ),
)

INOTIFY_WATCHES = Ceiling(
    id="inotify-watches",
    title="inotify watches",
    unit="watches",
    scope="user",
    from_processes=True,
    levels=LEVELS,
    consequence="at the limit inotify_add_watch() fails with ENOSPC, `no space left on device`, although no disk"
    " is full",
    measure=measure_by_user(WATCHES, lambda user: user.inotify_watches),
    evidence=user_evidence(
        WATCHES,
        "inotify watches",
        "inotify_add_watch() fails with ENOSPC (28), `no space left on device`, although no disk is full",
    ),
    remedies=raise_limit(WATCHES, 2, 524_288, "watch fewer directories: exclude build trees and node_modules"),
    change_key=_CHANGE_KEY,
    manual=Manual(
        measurement="The watched files and directories of all inotify instances of a user. sockmon counts the"
        " lines `inotify wd:` of /proc/PID/fdinfo; each takes the kernel 4 µs, so a large number is counted"
        " rarely.",
        symptoms=(
            "inotify_add_watch() fails with ENOSPC (28), `no space left on device`, while df shows free space",
            "editors, build watchers and log shippers miss changes of some files",
            "no counter moves and the kernel logs nothing",
        ),
        raise_now="Run sysctl -w fs.inotify.max_user_watches=524288 on the host.",
        persist="Put the same setting in a file in /etc/sysctl.d on the host.",
        cost="A watch keeps the inode of what it watches in memory: about 1 kB if nothing else holds it.",
        misconceptions=("Free space or free inodes on the disk do not help.",),
        sysctls=WATCHES,
        source="fs/notify/inotify/inotify_user.c, kernel/ucount.c; inotify(7)",
    ),
)

EPOLL_WATCHES = Ceiling(
    id="epoll-watches",
    title="epoll watches",
    unit="watches",
    scope="user",
    from_processes=True,
    levels=LEVELS,
    consequence="at the limit epoll_ctl(EPOLL_CTL_ADD) fails with ENOSPC: connections are accepted and never"
    " served",
    measure=measure_by_user(EPOLL, lambda user: user.epoll),
    evidence=user_evidence(
        EPOLL,
        "descriptors in epoll sets",
        "epoll_ctl(EPOLL_CTL_ADD) fails with ENOSPC (28): no space left on device",
    ),
    remedies=raise_limit(EPOLL, 2, 1 << 20, "check whether descriptors are in more epoll sets than necessary"),
    change_key=_CHANGE_KEY,
    manual=Manual(
        measurement="The descriptors in epoll sets of all processes of a real user: one that is in two sets counts"
        " twice. sockmon counts the lines `tfd:` of /proc/PID/fdinfo. For a process with more than 16,384"
        " descriptors it counts one for each descriptor instead, because listing a large set blocks the server"
        " that uses it.",
        symptoms=(
            "epoll_ctl(EPOLL_CTL_ADD) fails with ENOSPC (28): no space left on device",
            "accept() still works, so connections pile up and are not served",
            "no counter moves and the kernel logs nothing",
        ),
        raise_now="sysctl -w fs.epoll.max_user_watches=N takes effect for the host and every namespace.",
        cost="192 bytes of kernel memory for each watch in use; the default allows 4 % of the memory.",
        misconceptions=("ulimit -n does not help, and root is limited too.",),
        sysctls=EPOLL,
        source="fs/eventpoll.c; epoll(7)",
    ),
)
