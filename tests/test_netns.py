"""The private namespace in which other tests use the kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.netns import inside, set_sysctl

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_a_sysctl_of_the_host_is_refused() -> None:
    with pytest.raises(RuntimeError, match="refused"):
        set_sysctl("net.ipv4.ip_local_port_range", RANGE.read_text())


def narrow() -> tuple[int, str]:
    set_sysctl("net.ipv4.ip_local_port_range", "40000 40099")
    return os.stat("/proc/self/ns/net").st_ino, RANGE.read_text()


@pytest.mark.usefixtures("needs_userns")
def test_a_private_sysctl_leaves_the_host_alone() -> None:
    before = RANGE.read_text()
    inode, text = inside(narrow)
    assert inode != os.stat("/proc/self/ns/net").st_ino
    assert text.split() == ["40000", "40099"]
    assert RANGE.read_text() == before


@pytest.mark.usefixtures("needs_userns")
def test_a_failure_in_the_child_is_reported() -> None:
    with pytest.raises(AssertionError, match="No such file"):
        inside(os.listdir, "/nowhere")
