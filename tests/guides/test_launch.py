"""What the launch guide computes for N connections, and what the kernel then counts for as many."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial

import pytest

from sockmon.ceilings.measuring import release
from sockmon.errors import LabUnavailable
from sockmon.guides.facts import Facts
from sockmon.guides.launch.limits import requirements
from sockmon.guides.launch.shape import BYTES_TOLERANCE, SHAPES, Shape
from sockmon.labs import BY_NAME
from sockmon.sandbox.session import run_lab
from tests.guides import launch_lab
from tests.guides.walks import Stream
from tests.snapshots import netns

CONNECTIONS = {"epoll": 2000, "threads": 300}
MORE_MAPS = 20
"""Maps that the program itself makes meanwhile."""
CHARGED_AT_ACCEPT = (6, 12)
"""Linux from which on an accepted socket is charged to the cgroup that accepts it."""


def _needed(shape: Shape, total: int) -> dict[str, int]:
    rows = requirements(Facts(Stream().next(netns())), shape, total)
    return {row.ceiling: row.needed for row in reversed(rows)}


def _grew(shape: Shape, total: int) -> dict[str, int]:
    lab = replace(BY_NAME["idle-box"], name="launch", build=partial(launch_lab.build, shape=shape, total=total))
    try:
        with run_lab(lab) as running:
            found: dict[str, int] = running.facts["grew"]
            return found
    except LabUnavailable as refused:
        pytest.skip(refused.message)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.id)
def test_the_kernel_counts_what_was_computed(shape: Shape) -> None:
    total = CONNECTIONS[shape.model]
    needed, grew = _needed(shape, total), _grew(shape, total)
    for ceiling in ("process-fds", "epoll-watches", "ephemeral-ports", "pid-max"):
        assert grew[ceiling] == needed.get(ceiling, 0), ceiling
    maps = needed.get("memory-maps", 0)
    assert maps <= grew["memory-maps"] <= maps + MORE_MAPS
    # Inside of a cgroup the kernel counts objects, without what their pages waste.
    if "memory" in grew and release(os.uname().release) >= CHARGED_AT_ACCEPT:
        assert grew["memory"] == pytest.approx(total * shape.kernel_bytes, rel=BYTES_TOLERANCE)
