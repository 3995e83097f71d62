"""Locked memory (RLIMIT_MEMLOCK): of a process for mlock() and VFIO, of a user for io_uring."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sockmon import format as fmt
from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import process_label
from sockmon.ceilings.measuring import is_full, nearly_all_read, release, unknown_measure, unread_measure
from sockmon.ceilings.remedies import application, next_limit
from sockmon.misconceptions import LIMITS_CONF
from sockmon.model.detail import ProcessQuery
from sockmon.model.report import Remedy
from sockmon.model.snapshot import UNLIMITED, LockedMemory, ProcessLocked

AMPLE_BYTES = 256 << 20
"""Room from which on a process is not near its limit, whatever the share: a virtual machine with devices of the
host locks all of its memory, and gets a limit that is 1 GB higher."""
_AMPLE = Levels(1.0, 1.0)
_WITHOUT_RINGS = ((5, 12), (6, 14))
"""Linux versions from which on, and up to which, the rings of io_uring are charged to the memory cgroup alone."""
_NOT_VISIBLE = "MSG_ZEROCOPY and AF_XDP count for the user too, and the kernel does not show them"


@dataclass(frozen=True)
class UserPinned:
    """What the io_uring of one user has pinned, in bytes."""

    uid: int
    user: str
    rows: Sequence[ProcessLocked]
    ring_bytes: int
    """0 on a kernel that does not charge rings."""

    @property
    def used(self) -> int:
        """Return what counts, as far as it is visible."""
        return self.ring_bytes + sum(row.pinned for row in self.rows)

    @property
    def bound_process(self) -> ProcessLocked:
        """Return the process with the lowest limit."""
        return min(self.rows, key=lambda row: (row.limit == UNLIMITED, row.limit))


def _memlock(window: Window) -> Iterator[Measure]:
    locked, host = window.now.locked, window.now.host.name
    if locked is None:
        yield unread_measure(host, window.missing("locked memory"))
        return
    measures = [*_processes(locked), *_users(locked, _charges_rings(window.now.host.kernel))]
    processes = window.now.processes
    if not nearly_all_read(len(processes.rows) - locked.unseen if processes else 0, locked.unseen):
        measures.append(_unread(locked.unseen))
    yield from measures or [Measure(host, None, None, at=locked.at)]


def _unread(processes: int) -> Measure:
    which = fmt.plural(processes, "process", "processes")
    return unknown_measure(which, f"io_uring of {which} is not known: their descriptors cannot be read")


def _charges_rings(kernel: str) -> bool:
    since, until = _WITHOUT_RINGS
    return not since <= release(kernel) < until


def _processes(locked: LockedMemory) -> Iterator[Measure]:
    """Yield a Measure for VmLck of each process, and for VmPin of those without io_uring."""
    for row in locked.rows:
        if row.locked:
            yield _process(process_label(row), row.name, row, row.locked, locked.at)
        if row.pinned and not row.rings:
            yield _process(f"{process_label(row)} pinned", f"{row.name} pinned", row, row.pinned, locked.at)


def _process(subject: str, name: str, row: ProcessLocked, used: int, at: float) -> Measure:
    limit = None if row.limit == UNLIMITED else row.limit
    query = ProcessQuery(row.pid, row.start)
    if limit is not None and used > limit:
        reason = (
            f"{fmt.size(used)} are more than RLIMIT_MEMLOCK, {fmt.size(limit)}: they were locked with"
            " CAP_IPC_LOCK, or the limit was lowered since; whether more is needed is not known"
        )
        return Measure(subject, used, None, unknown_reason=reason, at=at, query=query, name=name, payload=row)
    ample = limit is not None and limit - used >= AMPLE_BYTES
    levels = _AMPLE if ample else None
    return Measure(subject, used, limit, at=at, query=query, name=name, payload=row, levels=levels)


def _users(locked: LockedMemory, rings: bool) -> Iterator[Measure]:
    by_user: defaultdict[tuple[int, str], list[ProcessLocked]] = defaultdict(list)
    for row in locked.rows:
        if row.rings:
            by_user[row.uid, row.user].append(row)
    for (uid, user), rows in by_user.items():
        pinned = UserPinned(uid, user, rows, sum(row.ring_bytes for row in rows) if rings else 0)
        bound = pinned.bound_process
        limit = None if bound.limit == UNLIMITED else bound.limit
        count = sum(row.rings for row in rows)
        room = None if limit is None else limit - pinned.used
        full = room is not None and pinned.ring_bytes > 0 and room < pinned.ring_bytes // count
        query = ProcessQuery(bound.pid, bound.start)
        yield Measure(
            f"{user} ({uid})",
            pinned.used,
            limit,
            hit=full,
            at=locked.at,
            query=query,
            payload=pinned,
            scope="user",
        )


def _change_key(window: Window) -> object:
    now = window.now
    return now.locked.at if now.locked else object()


def _evidence(window: Window, measure: Measure) -> list[str]:
    if isinstance(measure.payload, UserPinned):
        return _user_evidence(measure, measure.payload)
    row = measure.payload
    if not isinstance(row, ProcessLocked):
        return ["no process that RLIMIT_MEMLOCK binds has locked or pinned memory", f"not counted: {_NOT_VISIBLE}"]
    what = "VmLck" if measure.used == row.locked else "VmPin"
    lines = [f"{what} {fmt.size(measure.used or 0)}, soft RLIMIT_MEMLOCK {_limit(row)}; io_uring counts apart"]
    if is_full(measure):
        lines.append("mlock() and mlockall() fail with ENOMEM (12), mmap() with MAP_LOCKED with EAGAIN (11)")
    return lines


def _limit(row: ProcessLocked) -> str:
    return "unlimited" if row.limit == UNLIMITED else fmt.size(row.limit)


def _user_evidence(measure: Measure, pinned: UserPinned) -> list[str]:
    bound, rows = pinned.bound_process, pinned.rows
    rings = fmt.plural(sum(row.rings for row in rows), "io_uring instance")
    buffers = sum(row.pinned for row in rows)
    lines = [f"{rings} of {pinned.user}; soft RLIMIT_MEMLOCK {_limit(bound)} of {process_label(bound)}"]
    if pinned.ring_bytes:
        lines.append(f"their rings take at least {fmt.size(pinned.ring_bytes)}, which this kernel counts")
    if buffers:
        lines.append(f"registered buffers (VmPin) take {fmt.size(buffers)}")
    if len(rows) > 1:
        most = sorted(rows, key=lambda row: -(row.pinned + row.ring_bytes))[:3]
        lines.append(f"held mostly by {', '.join(map(process_label, most))}; all of the user count together")
    if measure.hit or is_full(measure):
        lines.append("io_uring_setup() and io_uring_register() fail with ENOMEM (12) for this user")
    return [*lines, f"not counted: {_NOT_VISIBLE}"]


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    payload = measure.payload
    if not isinstance(payload, (UserPinned, ProcessLocked)) or measure.limit is None:
        return []
    row = payload.bound_process if isinstance(payload, UserPinned) else payload
    wanted = next_limit(max(measure.limit, 1 << 22))
    higher = (
        f"raise the limit of the running process: prlimit --pid {row.pid} --memlock={wanted}:{wanted} (above its"
        " hard limit: requires CAP_SYS_RESOURCE); to persist it, set LimitMEMLOCK= in the service's unit, or"
        " --ulimit memlock= of the container"
    )
    fewer = f"check what {row.name} locks: a key or a ring needs little, all of a heap seldom does"
    if isinstance(payload, UserPinned):
        fewer = f"let {row.name} use fewer or smaller rings, or give each service a user of its own"
    return [Remedy("rlimit", "memlock", f"{wanted}:{wanted}", higher, pid=row.pid), application(fewer)]


MEMLOCK = Ceiling(
    id="memlock",
    title="locked memory",
    unit="bytes",
    scope="process",
    from_processes=True,
    levels=Levels(0.85, 0.95),
    consequence="at the limit mlock() and io_uring_setup() fail with ENOMEM, `cannot allocate memory`, although"
    " memory is free",
    measure=_memlock,
    evidence=_evidence,
    remedies=_remedies,
    change_key=_change_key,
    manual=Manual(
        measurement="RLIMIT_MEMLOCK of a process is compared with two counts. That of the process, VmLck in"
        " /proc/PID/status, has what mlock() and VFIO locked; RDMA is in VmPin. That of the real user, which no"
        " file shows, has io_uring: registered buffers, which are in VmPin too, and the rings, which Linux 5.12 to"
        " 6.13 charge to the memory cgroup instead. sockmon adds up VmPin and the rings of /proc/PID/fdinfo of the"
        " user's processes; MSG_ZEROCOPY and AF_XDP are not visible. Processes with CAP_IPC_LOCK"
        " are exempt. BPF counts before Linux 5.11 only.",
        symptoms=(
            "mlock(), mlockall(), io_uring_setup() and io_uring_register() fail with ENOMEM (12), while memory is"
            " free",
            "mmap() with MAP_LOCKED, and any mmap() after mlockall(MCL_FUTURE), fail with EAGAIN (11)",
            "send() with MSG_ZEROCOPY and setsockopt(XDP_UMEM_REG) fail with ENOBUFS (105)",
            "root of a container is limited too, unless it has CAP_IPC_LOCK; no counter moves and nothing is"
            " logged",
        ),
        raise_now="Run prlimit --pid PID --memlock=SOFT:HARD for the process that fails.",
        persist="Set LimitMEMLOCK= in the service's unit, --ulimit memlock= of the container; for login sessions,"
        " /etc/security/limits.conf.",
        cost="Locked memory cannot be swapped out or reclaimed: the limit protects the other programs.",
        misconceptions=(
            LIMITS_CONF,
            "More memory does not help: this ENOMEM reports the limit. The default is 8 MiB since Linux 5.16, 64"
            " KiB before.",
            "io_uring of all processes of a user counts together, of containers too that have the same uid on the"
            " host; a user namespace does not separate it.",
        ),
        source="mm/mlock.c, io_uring/rsrc.c, io_uring/memmap.c, drivers/vfio/vfio_iommu_type1.c; getrlimit(2)",
    ),
)
