"""What was found, and what can be: as text and as JSON."""

from __future__ import annotations

import os

import msgspec

from sockmon.proofs import PROOFS, Finding, Step
from sockmon.proofs.running import obstacle


class Row(msgspec.Struct, frozen=True):
    """What can be proved, for a script."""

    key: str
    title: str
    seconds: int
    """About how long it takes."""
    unavailable: str
    """Why it cannot run here; empty where it can."""


class Proved(msgspec.Struct, frozen=True):
    """What was found, for a script."""

    key: str
    kernel: str
    holds: bool
    verdict: str
    steps: list[Step]


def rows() -> list[Row]:
    """Every proof."""
    return [Row(proof.key, proof.title, proof.seconds, obstacle(proof)) for proof in PROOFS]


def all_as_json() -> str:
    """An array of Rows."""
    return msgspec.json.format(msgspec.json.encode(rows()), indent=2).decode()


def all_as_text() -> str:
    """A line each, with what stands against it."""
    found = rows()
    room = max(len(row.key) for row in found)
    lines = []
    for row in found:
        lines.append(f"{row.key.ljust(room)}  {row.seconds:3} s  {row.title}")
        if row.unavailable:
            lines.append(f"{' ' * room}  not here: {row.unavailable}")
    return "\n".join(lines)


def as_json(key: str, finding: Finding) -> str:
    """One object."""
    proved = Proved(key, os.uname().release, finding.holds, finding.verdict, finding.steps)
    return msgspec.json.format(msgspec.json.encode(proved), indent=2).decode()


def as_text(finding: Finding) -> str:
    """Each setting with what was measured, then the verdict."""
    lines = []
    for step in finding.steps:
        lines += [step.setting, f"  {step.measured}", f"  {'' if step.holds else 'NOT '}as told: {step.words}"]
    return "\n".join([*lines, "", f"Linux {os.uname().release}: {finding.verdict}."])
