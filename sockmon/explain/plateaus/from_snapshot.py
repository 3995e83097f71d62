"""The plateaus of this machine: for each limit that a ceiling measures, the numbers at which something stops
there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from sockmon.ceilings import BY_ID, CEILINGS
from sockmon.ceilings.backlogs import SOMAXCONN
from sockmon.ceilings.ceiling import Measure, Window
from sockmon.ceilings.measuring import sysctl_number
from sockmon.ceilings.remedies import EFFECTIVELY_UNLIMITED
from sockmon.ceilings.time_wait import TIME_WAIT_SECONDS
from sockmon.explain.plateaus.plateau import Plateau
from sockmon.format import first_names
from sockmon.model.snapshot import Snapshot

MIN_LIMIT = 64
"""A limit of descriptors below which a program does not work."""
MAX_NAMES = 3
"""Subjects that are named for one limit."""
EAGAIN = "fork() and clone() fail with EAGAIN"
EMFILE = "accept() and socket() fail with EMFILE"

Span = Callable[[int, int], tuple[int, int]]
"""Limit, number in use → first and last number at which something stops."""


def _exact(limit: int, _: int) -> tuple[int, int]:
    return limit, limit


def _one_more(limit: int, _: int) -> tuple[int, int]:
    return limit, limit + 1


def _rest_in_use(limit: int, _: int) -> tuple[int, int]:
    # The program needs some of them for something else.
    return limit - min(64, limit // 8), limit


def _pairs(limit: int, _: int) -> tuple[int, int]:
    return (limit - min(64, limit // 8)) // 2, limit // 2


def _pids(limit: int, used: int) -> tuple[int, int]:
    return limit - 300 - min(used, max(limit // 50, 20)), limit - 1


def _tasks(limit: int, used: int) -> tuple[int, int]:
    return limit - min(used, max(limit // 50, 20)), limit


def _files(limit: int, _: int) -> tuple[int, int]:
    return limit - limit // 1000, limit


def _threads(limit: int, _: int) -> tuple[int, int]:
    return (limit + 1) // 2 - 170, (limit + 1) // 2 - 5


def _maps(limit: int, _: int) -> tuple[int, int]:
    return limit - 150, limit + 2


def _half_range(limit: int, _: int) -> tuple[int, int]:
    return limit // 2 - limit // 1000, limit // 2 + 1


def _rate(limit: int, _: int) -> tuple[int, int]:
    pace = limit // TIME_WAIT_SECONDS
    return pace - pace // 100, pace + 1


class Pattern(NamedTuple):
    """How the limit of a ceiling shows as a plateau."""

    ceiling: str
    what: str
    """A text with `{subjects}` and `{limit}`."""
    check: str
    span: Span
    rate: bool = False


PORTS = "local ports to one destination ({subjects}): {limit} are usable"
HALF = "half of the {limit} usable ports to one destination: nothing fails, but each connect() is slower"
RATE = "new connections a second to one destination: {limit} usable ports, each 60 s in TIME_WAIT"
PAIRS = "connections through a proxy, with two descriptors each: {subjects}, limit {limit}"
PIDS = "kernel.pid_max = {limit}, less the tasks of other processes, and less 300 after the ids have wrapped"
THREADS = "threads of one process, two maps each: half of vm.max_map_count = {limit}, less the program's own maps"
MAPS = "memory maps of one process, such as one for each connection: vm.max_map_count = {limit}"
QUEUE = "connections that wait at {subjects}: the backlog is {limit}, and one more fits"
DATAGRAMS = "messages that wait in a unix datagram socket: net.unix.max_dgram_qlen = {limit}"
CAP = f"connections that wait at a listener that asked for more than {SOMAXCONN} = {{limit}}"
SLOW = "connect() takes 0.5 to 1 ms of a processor; perf shows __inet_hash_connect"
STUCK = "ss -xa: the reader does not keep up; send() blocks or fails with EAGAIN"

PATTERNS = (
    Pattern(
        "process-fds", "descriptors of {subjects}: limit {limit}, less what else is open", EMFILE, _rest_in_use
    ),
    Pattern("process-fds", PAIRS, EMFILE, _pairs),
    Pattern("system-fds", "fs.file-max = {limit}", "open() and accept() fail with ENFILE", _files),
    Pattern("memory-maps", THREADS, "pthread_create() fails, fork() still works", _threads),
    Pattern("memory-maps", MAPS, "wc -l /proc/PID/maps; mmap() fails with ENOMEM", _maps),
    Pattern("memory-maps", "vm.max_map_count itself", "wc -l /proc/PID/maps", _exact),
    Pattern("pid-max", PIDS, "fork() fails with EAGAIN for every user", _pids),
    Pattern("threads-max", "kernel.threads-max = {limit}", f"field 4 of /proc/loadavg; {EAGAIN}", _tasks),
    Pattern(
        "cgroup-pids", "tasks of {subjects}: pids.max = {limit}", f"pids.events of it; {EAGAIN}", _rest_in_use
    ),
    Pattern("user-processes", "threads of {subjects}: RLIMIT_NPROC {limit}", EAGAIN, _rest_in_use),
    # A range of an odd number of ports may never allocate the last one.
    Pattern("ephemeral-ports", PORTS, "connect() fails with EADDRNOTAVAIL", lambda limit, _: (limit - 1, limit)),
    Pattern("ephemeral-ports", HALF, SLOW, _half_range),
    Pattern("ephemeral-ports", RATE, "ss -tan state time-wait: nearly all ports towards it", _rate, rate=True),
    Pattern("accept-queue", QUEUE, "ss -ltn: Recv-Q above Send-Q", _one_more),
    Pattern("unix-dgram-queue", DATAGRAMS, STUCK, _one_more),
    Pattern("neighbour-table", "hosts on the same link: gc_thresh3 = {limit}", "table_fulls moves", _exact),
    *(
        Pattern(
            name, f"{BY_ID[name].manual.sysctls[0]} = {{limit}}", "sockmon check shows the limit as full", _exact
        )
        for name in (
            *("conntrack-table", "time-wait-buckets", "tcp-orphans"),
            *("inotify-instances", "inotify-watches", "epoll-watches", "aio-events"),
            *("fanotify-groups", "fanotify-marks"),
        )
    ),
)
_HOST_TASKS = ("pid-max", "threads-max")
SYSTEMD_SHARES = ((15, "a service: systemd's default TasksMax"), (33, "a user: systemd's limit of user-UID.slice"))
_CAP = Pattern("accept-queue", CAP, "ss -ltn: Send-Q of the listener", _one_more)


def local_plateaus(snapshot: Snapshot) -> list[Plateau]:
    """Return where something stops on the machine of `snapshot`."""
    return [item for item in _plateaus(snapshot) if 0 < item.high < EFFECTIVELY_UNLIMITED]


def _plateaus(snapshot: Snapshot) -> Iterator[Plateau]:
    window = Window(snapshot, snapshot.netns[0], {}, 0, {})
    limits: dict[tuple[str, int], list[Measure]] = {}
    for ceiling in CEILINGS:
        for measure in ceiling.measure(window):
            if measure.limit:
                limits.setdefault((ceiling.id, measure.limit), []).append(measure)
    for (name, limit), measures in limits.items():
        for pattern in PATTERNS:
            if pattern.ceiling == name and _counts(pattern, limit):
                used = max(measure.used or 0 for measure in measures)
                yield _plateau(
                    pattern, limit, used, first_names([measure.subject for measure in measures], MAX_NAMES)
                )
    yield from _systemd_shares({ceiling: limit for ceiling, limit in limits if ceiling in _HOST_TASKS})
    somaxconn = sysctl_number(window.netns.sysctls, SOMAXCONN)
    if somaxconn is not None and ("accept-queue", somaxconn) not in limits:
        yield _plateau(_CAP, somaxconn)


def plateaus_of(ceiling: str, subject: str, limit: int, used: int) -> list[Plateau]:
    """Return where something stops because of one limit of this machine."""
    patterns = (each for each in PATTERNS if each.ceiling == ceiling)
    return [_plateau(each, limit, used, subject) for each in patterns if _counts(each, limit)]


def _counts(pattern: Pattern, limit: int) -> bool:
    return pattern.ceiling != "process-fds" or limit > MIN_LIMIT


def _systemd_shares(limits: Mapping[str, int]) -> Iterator[Plateau]:
    """Yield what systemd takes of the lower of kernel.pid_max and kernel.threads-max, if both are known."""
    if len(limits) < len(_HOST_TASKS):
        return
    least = min(limits.values())
    for percent, what in SYSTEMD_SHARES:
        most = least * percent // 100
        low, _ = _rest_in_use(most, 0)
        text = f"tasks of {what}, {percent} % of {least:,}"
        yield Plateau(low, most, text, f"pids.events of its cgroup; {EAGAIN}", "cgroup-pids", local=True)


def _plateau(pattern: Pattern, limit: int, used: int = 0, subjects: str = "") -> Plateau:
    low, high = pattern.span(limit, used)
    what = pattern.what.format(subjects=subjects, limit=f"{limit:,}")
    return Plateau(max(low, 1), high, what, pattern.check, pattern.ceiling, local=True, rate=pattern.rate)
