"""fanotify groups and marks: limits of a user since Linux 5.13, with errors that name something else."""

from __future__ import annotations

from collections.abc import Sequence

from sockmon.ceilings.ceiling import Ceiling, Manual
from sockmon.ceilings.epoll_inotify import LEVELS, change_key_of, measure_by_user, raise_limit, user_evidence
from sockmon.misconceptions import FANOTIFY_EMFILE
from sockmon.model.snapshot import Owner, UserWatches

GROUPS = ("fs.fanotify.max_user_groups", "user.max_fanotify_groups")
MARKS = ("fs.fanotify.max_user_marks", "user.max_fanotify_marks")
_CHANGE_KEY = change_key_of(*GROUPS, *MARKS)
_CHARGED = (
    " The kernel charges the effective user of fanotify_init(), and if that process is in a user namespace also"
    " the user who created it. It does not report the count:"
)
_SINCE = "Before Linux 5.13 the limits are constants of the kernel, 128 groups and 8,192 marks of a group."


def _owners(user: UserWatches) -> Sequence[Owner]:
    return user.fanotify_owners


FANOTIFY_GROUPS = Ceiling(
    id="fanotify-groups",
    title="fanotify groups",
    unit="groups",
    scope="user",
    from_processes=True,
    levels=LEVELS,
    consequence="at the limit fanotify_init() fails with EMFILE, `too many open files`, although few files are"
    " open",
    measure=measure_by_user(GROUPS, lambda user: user.fanotify_groups, _owners),
    evidence=user_evidence(
        GROUPS,
        "fanotify groups",
        "fanotify_init() fails with EMFILE (24), `too many open files`, although few descriptors are open",
        _owners,
    ),
    remedies=raise_limit(GROUPS, 4, 512, "find the program that opens a group per file system: one can mark many"),
    change_key=_CHANGE_KEY,
    manual=Manual(
        measurement="The fanotify groups, one for each fanotify_init(), of all processes of a user together,"
        f" containers included.{_CHARGED} sockmon counts descriptors of the type anon_inode:[fanotify], an"
        f" inherited one only once. {_SINCE}",
        symptoms=(
            "fanotify_init() fails with EMFILE (24): too many open files",
            "on-access scanners, file indexers and audit agents do not start, or do not see a new container",
            "root is limited too; no counter moves and the kernel logs nothing",
        ),
        raise_now="Run sysctl -w fs.fanotify.max_user_groups=512 on the host.",
        persist="Put the same setting in a file in /etc/sysctl.d on the host.",
        cost="Very little for each group; each can queue up to fs.fanotify.max_queued_events events, and one with"
        " FAN_UNLIMITED_QUEUE as many as there is memory for.",
        misconceptions=(
            FANOTIFY_EMFILE,
            "FAN_UNLIMITED_QUEUE and FAN_UNLIMITED_MARKS are no exemption from this limit.",
            "A full event queue is another limit: no call fails, and the reader gets FAN_Q_OVERFLOW.",
        ),
        sysctls=GROUPS,
        source="fs/notify/fanotify/fanotify_user.c, kernel/ucount.c; fanotify(7)",
    ),
)

FANOTIFY_MARKS = Ceiling(
    id="fanotify-marks",
    title="fanotify marks",
    unit="marks",
    scope="user",
    from_processes=True,
    levels=LEVELS,
    consequence="at the limit fanotify_mark() fails with ENOSPC, `no space left on device`, although no disk is"
    " full",
    measure=measure_by_user(MARKS, lambda user: user.fanotify_marks, _owners),
    evidence=user_evidence(
        MARKS,
        "fanotify marks",
        "fanotify_mark() fails with ENOSPC (28), `no space left on device`, although no disk is full",
        _owners,
    ),
    remedies=raise_limit(
        MARKS, 2, 262_144, "mark file systems or mounts instead of single directories, or exclude build trees"
    ),
    change_key=_CHANGE_KEY,
    manual=Manual(
        measurement="The marked files, directories, mounts and file systems of all fanotify groups of a user;"
        f" groups with FAN_UNLIMITED_MARKS do not count.{_CHARGED} sockmon counts the lines `fanotify` of"
        f" /proc/PID/fdinfo. {_SINCE}",
        symptoms=(
            "fanotify_mark() fails with ENOSPC (28), `no space left on device`, while df shows free space",
            "an indexer or scanner misses changes of some directories",
            "no counter moves and the kernel logs nothing",
        ),
        raise_now="Run sysctl -w fs.fanotify.max_user_marks=262144 on the host.",
        persist="Put the same setting in a file in /etc/sysctl.d on the host.",
        cost="A mark keeps the inode of what it watches in memory, unless it was made with FAN_MARK_EVICTABLE:"
        " about 1 kB if nothing else holds it.",
        misconceptions=("Free space or free inodes on the disk do not help.",),
        sysctls=MARKS,
        source="fs/notify/fanotify/fanotify_user.c, kernel/ucount.c; fanotify_mark(2)",
    ),
)
