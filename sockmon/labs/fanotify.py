"""A user at a limit of fanotify, and one with half of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.fanotify import add_group, mark_adder, require_marks
from sockmon.sandbox.loads.inotify import Add, add_until_refused
from sockmon.sandbox.scenario import Lab, hit
from sockmon.sandbox.workers import FOREVER

MAX_GROUPS, MAX_MARKS = 16, 128
GROUPS, MARKS = "user.max_fanotify_groups", "user.max_fanotify_marks"


def _group_adder() -> Add:
    return add_group


def _add_until(error: str, adder: Callable[[], Add]) -> Iterator[float]:
    """Add groups or marks until the kernel refuses with `error`."""
    _, found = add_until_refused(adder())
    if found != error:
        raise RuntimeError(f"fanotify failed with {found}, not with {error}")
    yield FOREVER


def _add_half() -> Iterator[float]:
    add = mark_adder()
    for _ in range(MAX_GROUPS // 2 - 1):
        add_group()
    for _ in range(MAX_MARKS // 2):
        add()
    yield FOREVER


def _build(builder: LabBuilder, name: str, worker: Callable[[], Iterator[float]]) -> None:
    require_marks()
    builder.set_sysctl(GROUPS, MAX_GROUPS)
    builder.set_sysctl(MARKS, MAX_MARKS)
    builder.start(name, worker)


GROUPS_FULL = Lab(
    name="fanotify-groups",
    ceiling="fanotify-groups",
    title="an on-access scanner that does not start",
    scenario="A scanner opens a fanotify group for each container, and its user may have 16 of them.",
    what_to_see="fanotify groups at 16/16: EMFILE, with few descriptors open",
    claim="EMFILE of fanotify_init() is not mistaken for the descriptor limit of the process, nor for inotify",
    build=partial(_build, name="scanner", worker=partial(_add_until, "EMFILE", _group_adder)),
    expect_first=hit("fanotify-groups", r"\(0\)$", MAX_GROUPS, "sysctl", GROUPS),
    expect_no_alarm=("process-fds", "fanotify-marks", "inotify-instances"),
    needs=("Linux 5.13",),
)

MARKS_FULL = Lab(
    name="fanotify-marks",
    ceiling="fanotify-marks",
    title="no space left on device, from fanotify",
    scenario="An indexer marks every directory below /usr, and its user may have 128 fanotify marks.",
    what_to_see="fanotify marks at 128/128: ENOSPC, although df shows free space",
    claim="ENOSPC of fanotify_mark() is reported as the limit of marks, with the process that holds them",
    build=partial(_build, name="indexer", worker=partial(_add_until, "ENOSPC", mark_adder)),
    expect_first=hit("fanotify-marks", r"\(0\)$", MAX_MARKS, "sysctl", MARKS),
    expect_no_alarm=("process-fds", "fanotify-groups", "inotify-watches"),
    needs=("Linux 5.13",),
)

HALF = Lab(
    name="fanotify-half",
    ceiling=None,
    title="a scanner with half of its fanotify limits",
    scenario="A scanner has 8 of 16 fanotify groups and 64 of 128 marks, and adds none.",
    what_to_see="no alarm: fanotify groups and marks at 50 %",
    claim="half of a limit that does not grow raises no alarm",
    build=partial(_build, name="scanner", worker=_add_half),
    expect_first=None,
    needs=("Linux 5.13",),
    check_seconds=10.0,
)
