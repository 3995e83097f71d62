"""Small labs for the tests of the sandbox, and what these tests ask of processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from sockmon.labs import BY_NAME
from sockmon.sandbox.builder import LabBuilder, LabCgroup
from sockmon.sandbox.scenario import Lab
from sockmon.sandbox.workers import FOREVER

SCRIPT = """
import json, time
from sockmon.sandbox.session import run_lab
from tests.sandbox import sample_lab
with run_lab(sample_lab.make_lab(sample_lab.{build})) as running:
    print(json.dumps([running.pid, running.facts]), flush=True)
    time.sleep(60)
"""
"""A program that builds a lab, prints a pid inside and its facts, and holds it for a minute."""


def make_lab(build: Callable[[LabBuilder], None]) -> Lab:
    return replace(BY_NAME["process-fds"], name="sample", build=build)


def build_quiet(builder: LabBuilder) -> None:
    """One process that sleeps."""
    builder.start("quiet", sleep_forever)
    builder.facts["isolated"] = builder.isolated
    builder.progress(0.5, "half of it")


def build_in_cgroup(builder: LabBuilder) -> None:
    """One process that sleeps in a nested cgroup."""
    builder.cgroup("pids", "outer", max=40)
    group = builder.cgroup("pids", "outer/inner", max=20)
    builder.facts["group"] = str(group.path)
    builder.start("member", partial(sleep_forever, group))


def sleep_forever(group: LabCgroup | None = None) -> Iterator[float]:
    if group:
        group.join()
    yield FOREVER


def process_tree(pid: int) -> list[int]:
    """A process and all below it, parents first."""
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in below for each in process_tree(int(child)))]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def becomes_true(condition: Callable[[], bool]) -> bool:
    """Wait up to 20 s."""
    give_up = time.monotonic() + 20
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.05)
    return condition()
