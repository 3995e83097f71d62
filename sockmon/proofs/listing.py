"""What was found, and what can be: as a page and as JSON."""

from __future__ import annotations

import os
from itertools import groupby

import msgspec

from sockmon.ceilings.sections import Section
from sockmon.proofs import BY_KEY, ELSEWHERE, PROOFS, Elsewhere, Finding, Step
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


def everything() -> tuple[str, str, list[Section]]:
    """Title, what it is, and sections: what can be proved, the quickest first, and the rest."""
    found = sorted(rows(), key=lambda row: row.seconds)
    sections = [
        Section(f"{seconds} s", tuple(f"{row.key}: {row.title}{_not_here(row)}" for row in group))
        for seconds, group in groupby(found, key=lambda row: row.seconds)
    ]
    other = tuple(f"{key}: {_instead(one)}" for key, one in ELSEWHERE.items())
    what = "What can be measured now on this kernel, in namespaces of its own, and how long that takes."
    return "sockmon prove KEY", what, [*sections, Section("Host-wide", other)]


def _not_here(row: Row) -> str:
    return f" (not here: {row.unavailable})" if row.unavailable else ""


def _instead(one: Elsewhere) -> str:
    return " or ".join(f"sockmon {verb}" for verb in one.instead) or one.why


def as_json(key: str, finding: Finding) -> str:
    """One object."""
    proved = Proved(key, os.uname().release, finding.holds, finding.verdict, finding.steps)
    return msgspec.json.format(msgspec.json.encode(proved), indent=2).decode()


def as_page(key: str, finding: Finding) -> tuple[str, str, list[Section]]:
    """Title, what it is, and sections: each setting with what was measured, then the verdict."""
    sections = [section for step in finding.steps for section in _step(step)]
    title = f"{key} · {BY_KEY[key].title}" if key in BY_KEY else key
    what = f"Measured now on Linux {os.uname().release}, in namespaces of its own: nothing here was changed."
    return title, what, [*sections, Section("Verdict", (f"{finding.verdict}.",))]


def _step(step: Step) -> tuple[Section, ...]:
    return (
        Section("Set", (step.setting,)),
        Section("Measured", (step.measured,)),
        Section("As told" if step.holds else "NOT as told", (step.words,)),
    )
