"""Make a measurement, as the lab that it is, and say why one cannot be made."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from sockmon.errors import LabUnavailable
from sockmon.labs.lab import Lab
from sockmon.labs.running import refusal, running
from sockmon.labs.stage import Stage
from sockmon.proofs import BY_KEY, ELSEWHERE, Finding, Proof, Step
from sockmon.tunables import Tunable

Progress = Callable[[float, str], None]
_DEADLINE = 300.0


def prove(key: str, row: Tunable, progress: Progress | None = None) -> Finding:
    """What `key` does on this kernel, measured now; LabUnavailable with the reason where that cannot be."""
    if row.until:
        return _gone(row)
    if key not in BY_KEY:
        raise LabUnavailable(*_unproved(key, row))
    return measure(BY_KEY[key], progress)


def measure(proof: Proof, progress: Progress | None = None) -> Finding:
    """What `proof` finds; LabUnavailable where it cannot run here, SockmonError where it failed."""
    with running(_lab(proof), progress) as world:
        return msgspec.convert(world.facts["finding"], type=Finding)


def obstacle(proof: Proof) -> str:
    """Why `proof` cannot run here; empty: nothing is known against it."""
    return refusal(_lab(proof))


def _lab(proof: Proof) -> Lab:
    return Lab(
        name=f"the proof of {proof.key}",
        ceiling=None,
        title=proof.title,
        does=proof.title,
        look="",
        proves=proof.title,
        build=partial(_build, run=proof.run),
        first=None,
        needs=proof.needs,
        deadline=_DEADLINE,
    )


def _build(stage: Stage, run: Callable[[Stage], Finding]) -> None:
    stage.facts["finding"] = msgspec.to_builtins(run(stage))


def _gone(row: Tunable) -> Finding:
    """A key that today's kernels do not have: the absence of its file is what is measured."""
    there = [key for key in row.keys if Path("/proc/sys", key.replace(".", "/")).exists()]
    steps = [
        Step(key, f"the file is {'there' if key in there else 'absent'}", row.until, key not in there)
        for key in row.keys
    ]
    numbers = f"{row.key} is {'there' if there else 'not in this kernel'}"
    return Finding(steps, numbers, row.until)


def _unproved(key: str, row: Tunable) -> tuple[str, str]:
    """Why there is no proof of `key`, and what shows its effect instead."""
    if not row.writable:
        return f"{key} is a count that cannot be set: there is nothing to prove", ""
    found = ELSEWHERE[key]
    commands = " or ".join(f"sockmon {verb}" for verb in found.instead)
    return f"{key} {found.why}", f"{found.shows}: {commands}" if commands else ""
