"""Run an experiment in a sandbox, or say why it cannot run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from sockmon.errors import LabUnavailable
from sockmon.experiments import BY_KEY, NOT_ISOLATABLE, Experiment
from sockmon.kernel.sysctl import path
from sockmon.model.experiment import Result, Step
from sockmon.sandbox.availability import unavailable_reason
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.scenario import Lab
from sockmon.sandbox.session import Progress, run_lab
from sockmon.tunables import Tunable
from sockmon.tunables.untuned import RemovedKey

_DEADLINE = 300.0
"""Seconds after which a measurement is killed."""


def run_experiment(key: str, row: Tunable, progress: Progress | None = None) -> Result:
    """Return what `key` does on this kernel, measured now; raise LabUnavailable if it cannot be measured."""
    if key not in BY_KEY:
        raise LabUnavailable(*_not_measurable(key, row))
    return measure(BY_KEY[key], progress)


def check_absent(key: str, gone: RemovedKey) -> Result:
    """Return whether the file of a key that Linux has removed is indeed absent."""
    present = Path("/proc", path(key)).exists()
    step = Step(key, f"the file is {'present' if present else 'absent'}", gone.removed, not present)
    return Result([step], f"{key} is {'present' if present else 'not in this kernel'}", gone.removed)


def measure(experiment: Experiment, progress: Progress | None = None) -> Result:
    """Return the result of `experiment`; raise LabUnavailable if it cannot run here, SockmonError if it failed."""
    with run_lab(_as_lab(experiment), progress) as running:
        return msgspec.convert(running.facts["result"], type=Result)


def why_unavailable(experiment: Experiment) -> str:
    """Return why `experiment` cannot run here; empty if nothing is known against it."""
    return unavailable_reason(_as_lab(experiment))


def _as_lab(experiment: Experiment) -> Lab:
    return Lab(
        name=f"the experiment on {experiment.key}",
        ceiling=None,
        title=experiment.title,
        scenario=experiment.title,
        what_to_see="",
        claim=experiment.title,
        build=partial(_build, run=experiment.run),
        expect_first=None,
        needs=experiment.needs,
        deadline=_DEADLINE,
    )


def _build(builder: LabBuilder, run: Callable[[LabBuilder], Result]) -> None:
    builder.facts["result"] = msgspec.to_builtins(run(builder))


def _not_measurable(key: str, row: Tunable) -> tuple[str, str]:
    """Return why `key` has no experiment, and a hint that names what shows its effect instead."""
    if not row.writable:
        return f"{key} is a read-only counter, so it has no effect to measure", ""
    found = NOT_ISOLATABLE[key]
    commands = " or ".join(f"sockmon {verb}" for verb in found.verbs)
    return f"{key} {found.reason}", f"{found.alternative}: {commands}" if commands else ""
