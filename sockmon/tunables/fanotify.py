"""fanotify and the event queues of fanotify and inotify: fs.fanotify.*, user.max_fanotify_*."""

from sockmon.misconceptions import FANOTIFY_EMFILE
from sockmon.tunables.files import ALL_NAMESPACES
from sockmon.tunables.tunable import Tunable

_MARK_RISK = "kernel memory that cannot be swapped out, about 1 kB for each mark with the inode that it holds"
_GROUPS_SOURCE = "fs/notify/fanotify/fanotify_user.c"


def _queued_events(family: str, overflow: str, existing: str, ceiling: str) -> Tunable:
    return Tunable(
        key=f"fs.{family}.max_queued_events",
        unit="events",
        scope="host",
        default="16,384",
        takes_effect=f"for new {existing}: restart the program that reads them",
        after_restart=True,
        description=f"The events that may wait in one queue of {family}. If more come the kernel drops them, and"
        f" the reader gets one event {overflow}; no call fails.",
        misconceptions=("A longer queue does not make the reader faster: it absorbs bursts.",),
        ceilings=(ceiling,),
        source=f"fs/notify/{family}/{family}_user.c, fs/notify/notification.c",
        minimum=64,
        maximum=1 << 24,
        unaffected=f"{existing} that exist keep the value that they started with",
        risk="kernel memory for each event that waits, charged to the memory cgroup of the reader",
    )


FANOTIFY = (
    Tunable(
        key="fs.fanotify.max_user_groups",
        unit="groups",
        scope="host",
        default="128",
        takes_effect="at once",
        description="The number of fanotify descriptors that one user may have. At this limit fanotify_init()"
        " fails with EMFILE, `Too many open files`, even if the process has few.",
        misconceptions=(FANOTIFY_EMFILE,),
        ceilings=("fanotify-groups",),
        since="5.13",
        source=_GROUPS_SOURCE,
        maximum=1 << 20,
        unaffected="groups that exist",
        risk="small: kernel memory for each group",
        related=("user.max_fanotify_groups",),
    ),
    Tunable(
        key="fs.fanotify.max_user_marks",
        unit="marks",
        scope="host",
        default="depends on memory: 205,039 on 24 GB",
        takes_effect="at once",
        description="The number of fanotify marks that one user may have. At this limit fanotify_mark() fails with"
        " ENOSPC, `No space left on device`, although no disk is full.",
        ceilings=("fanotify-marks",),
        since="5.13",
        source=_GROUPS_SOURCE,
        unaffected="marks that exist; groups with FAN_UNLIMITED_MARKS",
        risk=_MARK_RISK,
        related=("user.max_fanotify_marks",),
    ),
    _queued_events("fanotify", "FAN_Q_OVERFLOW", "groups", "fanotify-groups"),
    _queued_events("inotify", "IN_Q_OVERFLOW", "instances", "inotify-instances"),
    Tunable(
        key="user.max_fanotify_groups",
        unit="groups",
        scope="user namespace",
        default="128 in the initial user namespace; the same value as fs.fanotify.max_user_groups there",
        takes_effect="at once",
        description=f"The number of fanotify descriptors of one user in this user namespace. {ALL_NAMESPACES}",
        ceilings=("fanotify-groups",),
        since="5.13",
        source="kernel/ucount.c",
        maximum=1 << 20,
        unaffected="groups that exist; the limits of the user namespaces above",
        risk="small: kernel memory for each group",
        related=("fs.fanotify.max_user_groups",),
    ),
    Tunable(
        key="user.max_fanotify_marks",
        unit="marks",
        scope="user namespace",
        default="the same value as fs.fanotify.max_user_marks in the initial user namespace",
        takes_effect="at once",
        description=f"The number of fanotify marks of one user in this user namespace. {ALL_NAMESPACES}",
        ceilings=("fanotify-marks",),
        since="5.13",
        source="kernel/ucount.c",
        unaffected="marks that exist; the limits of the user namespaces above",
        risk=_MARK_RISK,
        related=("fs.fanotify.max_user_marks",),
    ),
)
