"""The list of labs: as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sockmon.document import json_text
from sockmon.labs import LABS
from sockmon.sandbox.availability import unavailable_reason
from sockmon.sandbox.scenario import Lab


class LabRow(msgspec.Struct):
    """One lab in `lab list --json`."""

    name: str
    ceiling: str | None
    """None: a healthy host, on which there must be no alarm."""
    title: str
    scenario: str = msgspec.field(name="does")
    what_to_see: str = msgspec.field(name="look")
    claim: str = msgspec.field(name="proves")
    needs: tuple[str, ...]
    recording: bool
    """On this machine a recording is shown."""
    unavailable: str | None = msgspec.field(name="refusal")
    """Why it cannot run here, or only as a recording; None: it can run."""


def as_json() -> str:
    """Return a JSON array of LabRow."""
    return json_text([_row(lab) for lab in LABS])


def _row(lab: Lab) -> LabRow:
    reason = unavailable_reason(lab)
    recording = lab.recorded or bool(lab.recording and reason)
    return LabRow(
        lab.name,
        lab.ceiling,
        lab.title,
        lab.scenario,
        lab.what_to_see,
        lab.claim,
        lab.needs,
        recording,
        reason or None,
    )


def as_text(width: int | None) -> str:
    """Return the labs by kind, one line each, cut to `width`; a second line says why one cannot run here."""
    name_width = max(len(lab.name) for lab in LABS)
    lines: list[str] = []
    for heading, labs in _by_kind():
        lines += ["", heading] if lines else [heading]
        for row in map(_row, labs):
            line = f"  {row.name:<{name_width}}  {row.title}"
            lines.append(line if width is None or len(line) <= width else line[: width - 1] + "…")
            if row.unavailable:
                consequence = "shown from a recording" if row.recording else "not available here"
                lines.append(f"  {'':<{name_width}}  {consequence}: {row.unavailable}")
    return "\n".join(lines)


def _by_kind() -> Iterator[tuple[str, list[Lab]]]:
    yield "Limits that are reproduced on this kernel:", [lab for lab in LABS if lab.ceiling and not lab.recorded]
    yield "Host-wide limits, shown from a recording:", [lab for lab in LABS if lab.recorded]
    yield "Healthy hosts, which must raise no alarm:", [lab for lab in LABS if not lab.ceiling]
