"""Hundreds of processes start and end while everything is read."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sockmon.agent.sampler import open_sampler
from sockmon.fault_log import FAULTS

STORM = """
import os, socket, sys
print("ready", flush=True)
held = [socket.socket() for _ in range(40)]
while True:
    for _ in range(20):
        if os.fork() == 0:
            os._exit(0)
    for _ in range(20):
        os.wait()
"""


@pytest.mark.fault("Q1")
def test_a_storm_of_processes_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the kernel says of a process that is ending (ENOENT, ESRCH, empty files, an FDSize of 0)."""
    monkeypatch.setattr(FAULTS, "_noted", set())
    with subprocess.Popen([sys.executable, "-c", STORM], stdout=subprocess.PIPE) as storm:
        assert storm.stdout
        storm.stdout.readline()
        try:
            with open_sampler(None, 0.2) as kernel:
                for _ in range(25):
                    snapshot = kernel.sample(complete=True)
                    kernel.refresh()
                    assert snapshot.processes
                    assert snapshot.maps
        finally:
            storm.kill()
    assert not FAULTS._noted
    assert not [item for item in snapshot.missing if "malformed" in item.reason]
