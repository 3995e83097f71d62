"""Cgroups of a lab: made with their limits, and removed, also after a supervisor that was killed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from sockmon.sandbox import cgroups
from sockmon.sandbox.session import run_lab
from tests.sandbox.sample_lab import build_in_cgroup, make_lab


@pytest.mark.usefixtures("needs_userns", "needs_cgroup")
def test_a_cgroup_has_its_limits_and_is_removed_with_the_lab() -> None:
    with run_lab(make_lab(build_in_cgroup)) as running:
        group = Path(running.facts["group"])
        assert (group / "pids.max").read_text() == "20\n"
        assert (group.parent / "pids.max").read_text() == "40\n"
        assert len((group / "cgroup.procs").read_text().split()) == 1
    assert not group.parent.parent.exists()


@pytest.mark.usefixtures("needs_cgroup")
def test_abandoned_cgroups_are_removed_unless_locked() -> None:
    # No process has this pid, as when the supervisor is in another pid namespace.
    group = cgroups.writable_cgroup("pids") / f"sockmon-lab-{2**22 + os.getpid()}"
    group.mkdir()
    descriptor = os.open(group, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        cgroups.remove_abandoned()
        assert group.exists()
    finally:
        os.close(descriptor)
    cgroups.remove_abandoned()
    assert not group.exists()
