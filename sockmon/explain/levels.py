"""At which share of a limit its alarms begin: by default, and on this machine."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon import format as fmt
from sockmon.ceilings import Ceiling
from sockmon.document import sentence
from sockmon.model.report import Report


def levels(row: Ceiling, report: Report | None) -> Iterator[str]:
    """Yield at which share of the limit an alarm begins, and what is judged by other levels on this machine."""
    default = row.levels.warning, row.levels.critical if row.levels.critical <= 1 else None
    yield sentence(f"{_text(*default)}, if nothing else is set")
    other: dict[tuple[float, float | None], list[str]] = {}
    for each in report.readings if report else ():
        if each.ceiling == row.id and each.warning is not None and (each.warning, each.critical) != default:
            other.setdefault((each.warning, each.critical), []).append(each.subject)
    for chosen, subjects in other.items():
        yield sentence(f"{_text(*chosen)} here for {fmt.first_names(subjects, 3)}")


def _text(warning: float, critical: float | None) -> str:
    worse = f"critical from {critical * 100:.3g} %" if critical else "never critical"
    return f"warning from {warning * 100:.3g} %, {worse}"
