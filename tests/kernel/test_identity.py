"""Boot id, kernel release and network namespace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sockmon.kernel.identity import boot_id, kernel_version, netns_inode


@pytest.mark.parametrize(
    ("release", "version"),
    [("6.18.44", (6, 18)), ("6.8.0-31-generic", (6, 8)), ("5.15-rc1", (5, 15)), ("odd", (0, 0))],
)
def test_the_version_is_the_beginning_of_the_release(
    release: str, version: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((real[0], real[1], release, *real[3:])))
    assert kernel_version() == version


def test_this_boot_and_this_namespace() -> None:
    assert boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert f"net:[{netns_inode()}]" == os.readlink("/proc/self/ns/net")
