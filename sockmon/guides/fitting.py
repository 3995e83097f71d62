"""Which guides fit the present report, and why."""

from __future__ import annotations

from collections.abc import Iterable

from sockmon import format as fmt
from sockmon.ceilings import TITLES
from sockmon.guides.facts import Facts
from sockmon.guides.findings import numbers_of
from sockmon.guides.guide import Guide


def fitting(guides: Iterable[Guide], facts: Facts) -> list[tuple[Guide, str]]:
    """Return every guide with the reason why it fits, in one line, empty if it does not: those that fit first, in
    the order of the alarms, and of one alarm the most specific guide."""
    found = [(guide, _reason(guide, facts)) for guide in guides]
    return sorted(found, key=lambda each: (not each[1], _place(each[0], facts), len(each[0].ceilings)))


def _reason(guide: Guide, facts: Facts) -> str:
    if guide.fits:
        return guide.fits(facts)
    alarms = facts.alarms(*guide.ceilings)
    return numbers_of(alarms[0]) if alarms else ""


def brief_reason(guide: Guide, why: str, facts: Facts) -> str:
    """Return the reason `why` with the share first, such as `100 % open files: web-server[2]`, for a list that may
    cut its end."""
    row = next((each for each in facts.alarms(*guide.ceilings) if numbers_of(each) == why), None)
    if row is None or row.ratio is None:
        return why
    return f"{fmt.ratio(row.ratio)} {TITLES[row.ceiling]}: {row.subject}"


def _place(guide: Guide, facts: Facts) -> int:
    """Return the place of its first alarm in the report; all others come later."""
    alarms = facts.alarms()
    return next((at for at, row in enumerate(alarms) if row.ceiling in guide.ceilings), len(alarms))
