"""Requests of asynchronous I/O that all processes of the host have reserved with io_setup(): fs.aio-max-nr."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import process_label
from sockmon.ceilings.measuring import is_full, sysctl_number, unread_measure
from sockmon.ceilings.remedies import application, next_limit
from sockmon.format import plural
from sockmon.model.detail import ProcessQuery
from sockmon.model.report import Remedy
from sockmon.model.snapshot import ProcessAio

AIO_NR, AIO_MAX_NR = "fs.aio-nr", "fs.aio-max-nr"
USUAL_LIMIT = 1 << 20
"""What databases ask for, and the most that is advised unless it is in use."""
_NEAR_LIMIT_RATIO = 0.80


def _aio_events(window: Window) -> Iterator[Measure]:
    host, sysctls = window.now.host.name, window.now.sysctls
    used, limit = sysctl_number(sysctls, AIO_NR), sysctl_number(sysctls, AIO_MAX_NR)
    if used is None or limit is None:
        yield unread_measure(host, window.missing(AIO_NR if used is None else AIO_MAX_NR))
        return
    holders = _holders(window)
    query = ProcessQuery(holders[0].pid, holders[0].start) if holders else None
    yield Measure(host, used, limit, query=query)


def _holders(window: Window) -> tuple[ProcessAio, ...]:
    return window.now.maps.aio if window.now.maps else ()


def _evidence(window: Window, measure: Measure) -> list[str]:
    used, limit = measure.used or 0, measure.limit or 0
    holders = _holders(window)
    lines = [f"{AIO_NR} {used:,}, {AIO_MAX_NR} {limit:,}; io_setup(n) reserves n, whether they are used or not"]
    if holders:
        lines.append("held by " + ", ".join(map(_share, holders)))
    if sum(row.most_requests for row in holders) < used:
        lines.append(_unattributed(window, bool(holders)))
    if is_full(measure):
        lines.append("io_setup() fails with EAGAIN (11) for every process, for root too; nothing is logged")
    elif used >= _NEAR_LIMIT_RATIO * limit:
        lines.append(f"io_setup() fails with EAGAIN (11) for more than the {limit - used:,} that are left")
    return lines


def _share(row: ProcessAio) -> str:
    return f"{process_label(row)} (at most {row.most_requests:,} in {plural(row.contexts, 'context')})"


def _unattributed(window: Window, some: bool) -> str:
    what = "who holds the others" if some else "who holds them"
    maps = window.now.maps
    if maps is None:
        return f"{what} is not known: {window.missing('maps').reason}"
    if maps.unseen:
        return f"{what} is not known: memory maps of {plural(maps.unseen, 'process')} cannot be read"
    return f"{what} is not known: a process that is not visible here, or that began since the last count"


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    limit = measure.limit or 0
    holders = _holders(window)
    name = process_label(holders[0]) if holders else "each process"
    wanted = max(next_limit(limit, 4), USUAL_LIMIT)
    higher = "takes effect at once, for the next io_setup(); on the host only, and ulimit would not help"
    fewer = f"check how many requests {name} reserves: each context counts in full, also if it is idle"
    change = Remedy("sysctl", AIO_MAX_NR, str(wanted), higher)
    return [application(fewer), change] if limit >= USUAL_LIMIT else [change, application(fewer)]


AIO_EVENTS = Ceiling(
    id="aio-events",
    title="asynchronous requests",
    unit="requests",
    scope="host",
    levels=Levels(0.80, 0.95),
    consequence="at the limit io_setup() fails with EAGAIN: a database does not start, or uses slower I/O",
    measure=_aio_events,
    evidence=_evidence,
    remedies=_remedies,
    manual=Manual(
        measurement="The requests that all processes of the host have reserved, in every container and of every"
        " user: fs.aio-nr. io_setup(n) adds n at once, used or not, until io_destroy() or the end of the process."
        " The kernel does not report who holds them. sockmon finds the maps `/[aio]` of /proc/PID/maps, one for"
        " each context; their size gives the most that it can have reserved. io_uring does not count.",
        symptoms=(
            "io_setup() fails with EAGAIN (11); no counter moves and the kernel logs nothing",
            "MySQL logs `io_setup() failed with EAGAIN`, Oracle reports ORA-27090, Seastar `Could not setup Async"
            " I/O`, QEMU `failed to create linux AIO context`",
            "a request for more than the whole limit fails in the same way on an idle host",
        ),
        raise_now="Run sysctl -w fs.aio-max-nr=1048576 on the host.",
        persist="Put the same setting in a file in /etc/sysctl.d on the host.",
        cost="Nothing until contexts are made; then 64 bytes for each request, and the kernel frees them with the"
        " process.",
        misconceptions=(
            "A container has no limit of its own: all containers and the host share one.",
            "ulimit does not help, and root is limited too.",
        ),
        sysctls=(AIO_MAX_NR,),
        source="fs/aio.c, ioctx_alloc(); io_setup(2)",
    ),
)
