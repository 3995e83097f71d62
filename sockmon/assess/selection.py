"""Which readings of a Report count: those of chosen ceilings, without those that the user ignores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from sockmon.assess.readings import worst
from sockmon.ceilings import CEILINGS
from sockmon.ceilings.selector import Selector, parse_selector
from sockmon.errors import Misuse
from sockmon.format import plural
from sockmon.model.report import Reading, Report
from sockmon.model.snapshot import Missing

NOT_CHOSEN = "--only"
"""The reader in `missing` for the ceilings that were not chosen."""


class Selection(NamedTuple):
    """What the user has chosen and what he ignores; empty: everything counts."""

    only: tuple[str, ...] = ()
    """Ids of ceilings."""
    ignore: tuple[Selector, ...] = ()

    def apply(self, report: Report) -> Report:
        """Return `report` without the other readings. The ignored ones are in `ignored`; what was not chosen is in
        `missing`."""
        chosen = [row for row in report.readings if not self.only or row.ceiling in self.only]
        ignored = tuple(row for row in chosen if self._ignores(row))
        readings = tuple(row for row in chosen if not self._ignores(row))
        missing = _without(report.missing, (row for row in report.readings if row not in readings), readings)
        return replace(
            report,
            verdict=worst(readings),
            readings=readings,
            missing=(*missing, *self._not_chosen()),
            only=self.only,
            ignored=ignored,
        )

    def _ignores(self, row: Reading) -> bool:
        return any(each.matches(row.ceiling, row.subject) for each in self.ignore)

    def _not_chosen(self) -> tuple[Missing, ...]:
        if not self.only:
            return ()
        others = plural(len(CEILINGS) - len(self.only), "other limit")
        return (Missing(NOT_CHOSEN, f"{others} not judged: --only {','.join(self.only)}", unjudged=others),)

    def unused(self, report: Report) -> list[Selector]:
        """Return what is to be ignored, but is not among the ignored readings of `report`."""
        rows = report.ignored
        return [each for each in self.ignore if not any(each.matches(row.ceiling, row.subject) for row in rows)]


def parse_selection(only: Iterable[str], ignore: Iterable[str]) -> Selection:
    """Return what `--only A,B` and `--ignore A[:SUBJECT]` name; raise Misuse."""
    chosen = [parse_selector(name) for text in only for name in text.split(",") if name.strip()]
    if named := next((each for each in chosen if each.subject), None):
        raise Misuse(f"--only {named}: expected limits without a subject", f"for example: --only {named.ceiling}")
    return Selection(tuple(dict.fromkeys(each.ceiling for each in chosen)), tuple(map(parse_selector, ignore)))


def _without(missing: Iterable[Missing], left_out: Iterable[Reading], kept: Iterable[Reading]) -> list[Missing]:
    """Return `missing` without the entries that are about nothing but readings that are left out."""
    dropped = [entry for row in left_out for entry in row.missing]
    needed = [entry for row in kept for entry in row.missing]
    return [entry for entry in missing if entry not in dropped or entry in needed]
