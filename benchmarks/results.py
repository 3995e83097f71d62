"""What one run of the benchmarks found: `docs/performance.json` keeps it, and the page is made of it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from benchmarks.row import Row

FILE = Path(__file__).resolve().parent.parent / "docs" / "performance.json"


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """The rows of one benchmark in one state."""

    state: str
    title: str
    """What the state holds, in words; empty: nothing of its own."""
    rows: tuple[Row, ...]
    fault: str = ""
    """Why rows are missing; empty if none are."""


class Section(msgspec.Struct, frozen=True, omit_defaults=True):
    """One benchmark in all of its states."""

    name: str
    title: str
    text: str
    parts: tuple[Part, ...]
    base: str = ""
    """The id of the row that the others are compared with."""


class Results(msgspec.Struct, frozen=True):
    """One run."""

    date: str
    minutes: float
    load: float
    """The load average when it began: of what else the machine did."""
    machine: dict[str, str]
    sections: tuple[Section, ...]

    def field(self, name: str) -> tuple[Row, Part]:
        """Return the row of a whole name, `socket_dump/1m/states-ss`, and where it is; raise KeyError."""
        for section in self.sections:
            for part in section.parts:
                for row in part.rows:
                    if f"{section.name}/{part.state}/{row.id}" == name:
                        return row, part
        raise KeyError(name)


def load() -> Results | None:
    """Return the results of the last whole run; None if there is none."""
    return msgspec.json.decode(FILE.read_bytes(), type=Results) if FILE.exists() else None


def save(results: Results) -> None:
    """Keep the results of a whole run."""
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
