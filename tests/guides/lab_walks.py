"""A guide, walked by the evidence on the real kernel of a lab, as `sockmon guide NAME --json` prints it."""

from __future__ import annotations

import time

import msgspec
import pytest

from sockmon.ceilings import CEILINGS
from sockmon.errors import LabUnavailable
from sockmon.guides.report import StepRow, WalkReport
from sockmon.labs import find_lab
from sockmon.sandbox.session import python_command, run_lab

_OF_THE_HOST = {ceiling.id for ceiling in CEILINGS if ceiling.scope == "host"}
_WALKS, _PAUSE = 5, 25.0
"""How often a walk is tried while a limit of the host has an alarm, and the seconds between: a counter that moved
is an alarm for a minute."""


def walk_on_lab(guide: str, lab: str, *options: str) -> WalkReport:
    """Return the walk through `guide` on `lab`; `--yes` makes the change. Skip if the lab cannot be built here, or
    if another test keeps a limit of the host busy, which a lab shares."""
    for attempt in range(_WALKS):
        if attempt:
            time.sleep(_PAUSE)
        walk = _walk_on_lab(guide, lab, *options)
        of_others = named(walk) & _OF_THE_HOST - {find_lab(lab).ceiling}
        if walk.outcome != "other-limit" or not of_others:
            return walk
    pytest.skip(f"limits of the host have an alarm: {', '.join(sorted(of_others))}")


def _walk_on_lab(guide: str, lab: str, *options: str) -> WalkReport:
    try:
        with run_lab(find_lab(lab)) as running:
            if not running.isolated:
                pytest.skip(
                    "this kernel does not allow mounting a /proc here, so other processes would be visible"
                )
            if running.lab.recorded:
                pytest.skip(running.recording_reason or "this lab is a recording")
            command = [*python_command("sockmon"), "guide", guide, *options, "--json"]
            done = running.run(command, timeout=240)
    except LabUnavailable as refused:
        pytest.skip(refused.message)
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=WalkReport)


def path(walk: WalkReport) -> list[str]:
    """Return the ids of the steps that were passed, with the end."""
    return [step.id for step in walk.steps if step.passed]


def end(walk: WalkReport) -> StepRow:
    """Return the end of a walk, with its text in `advice`."""
    return [step for step in walk.steps if step.passed][-1]


def named(walk: WalkReport) -> set[str]:
    """Return the ceilings of the readings that supported a step of the path."""
    return {
        key.ceiling for step in walk.steps if step.verdict == "supports" for key in step.readings if step.passed
    }
