"""The labs as a table for a person, and as JSON for a program."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sockmon.labs import BY_NAME, LABS
from sockmon.labs.lab import Lab
from sockmon.labs.running import refusal


class Row(msgspec.Struct):
    """One lab in `lab list --json`."""

    name: str
    ceiling: str | None
    """None: a healthy world, of which nothing may be said."""
    title: str
    does: str
    look: str
    proves: str
    needs: tuple[str, ...]
    recording: bool
    """What is shown was recorded."""
    refusal: str | None
    """Why it cannot run here, or only from a recording; None: it can."""


def rows() -> list[Row]:
    """All labs in their order, each with what is against it on this machine."""
    return [_row(lab) for lab in LABS]


def _row(lab: Lab) -> Row:
    return Row(
        lab.name,
        lab.ceiling,
        lab.title,
        lab.does,
        lab.look,
        lab.proves,
        lab.needs,
        lab.recorded or bool(lab.recording and refusal(lab)),
        refusal(lab) or None,
    )


def as_json() -> str:
    """An array of Rows."""
    return msgspec.json.format(msgspec.json.encode(rows()), indent=2).decode()


def as_text(width: int | None) -> str:
    """A line each below what they have in common, cut to `width`; what cannot run here says why below."""
    found = rows()
    room = max(len(row.name) for row in found)
    lines: list[str] = []
    for kind, together in _kinds(found):
        lines += ["", kind] if lines else [kind]
        for row in together:
            line = f"  {row.name:<{room}}  {row.title}"
            lines.append(line if width is None or len(line) <= width else line[: width - 1] + "…")
            if row.refusal:
                here = "from a recording" if row.recording else "not here"
                lines.append(f"  {'':<{room}}  {here}: {row.refusal}")
    return "\n".join(lines)


def _kinds(found: list[Row]) -> Iterator[tuple[str, list[Row]]]:
    """The labs by what they are: of a limit met here, recorded, or of health."""
    live = [row for row in found if row.ceiling and not BY_NAME[row.name].recorded]
    yield "A limit is met, on this kernel:", live
    recorded = [row for row in found if BY_NAME[row.name].recorded]
    yield "Recorded, because it takes a setting of the whole host:", recorded
    yield "Nothing is wrong, and no alarm may be raised:", [row for row in found if not row.ceiling]
