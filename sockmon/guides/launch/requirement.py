"""What N connections need of one limit, and what the limit has left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sockmon import format as fmt
from sockmon.ceilings import TITLES
from sockmon.ceilings.remedies import EFFECTIVELY_UNLIMITED
from sockmon.explain.plateaus import parse
from sockmon.guides.facts import Facts, Wanted

SPARE_RATIO = 1.1
"""A raised limit holds a tenth more than is needed."""
_ROUND = 1024
UNREAD = "not read here"
"""The value of `unknown` if the sample does not have it."""


@dataclass(frozen=True)
class Requirement:
    """One limit."""

    ceiling: str
    subject: str
    """What the limit is of, such as `nginx[1044]`; empty: the host, or a process that does not run yet."""
    needed: int
    """How many more of its units."""
    unit: str
    limit: int | None = None
    """None: there is no limit, or it is unknown."""
    used: int = 0
    settings: tuple[Wanted, ...] = ()
    """What raises it far enough, if sockmon can set it."""
    words: tuple[str, ...] = ()
    """What else to do if it is short."""
    unknown: str = ""
    """Why it cannot be compared; empty if it can."""

    @property
    def free(self) -> int | None:
        """Return what is left; None if there is no limit, or it is unknown."""
        return None if self.limit is None else max(self.limit - self.used, 0)

    @property
    def short(self) -> int:
        """Return by how much it is too low; 0 if it is not, or if that is unknown."""
        return max(self.needed - self.free, 0) if self.free is not None and not self.unknown else 0

    @property
    def unread(self) -> bool:
        """Return whether another user, or another place, might read it."""
        return self.unknown == UNREAD


def rounded(needed: int) -> int:
    """Return a round number that is at least a tenth more."""
    return -(-int(needed * SPARE_RATIO) // _ROUND) * _ROUND


def title_of(requirement: Requirement) -> str:
    """Return the name of the limit."""
    return TITLES.get(requirement.ceiling, requirement.ceiling)


def line_of(requirement: Requirement) -> str:
    """Return `open files: nginx[1044]: needs 10,000 more descriptors, 1,990 of 4,000 are left: 8,010 too few`."""
    row = requirement
    subject = f": {row.subject}" if row.subject else ""
    needs = f"{title_of(row)}{subject}: needs {_amount(row, row.needed)}"
    if row.unknown:
        return f"{needs}; {row.unknown}"
    if row.limit is None or row.free is None:
        return f"{needs}; there is no limit"
    left = f"{_number(row, row.free)} of {_number(row, row.limit)} are left"
    return f"{needs}, {left}: {f'{_amount(row, row.short)} too few' if row.short else 'enough'}"


def lines_of(requirements: Sequence[Requirement]) -> list[str]:
    """Return a line for each limit that is too low or unknown, those that are too low first, and one for all the
    others: `enough of: memory (39 M of 22 G), epoll watches (10,000 of 5,489,511)`."""
    short = [row for row in requirements if row.short]
    unknown = [row for row in requirements if row.unknown]
    enough = [_use_of(row) for row in requirements if not (row.short or row.unknown)]
    return [*map(line_of, (*short, *unknown)), *([f"enough of: {', '.join(enough)}"] if enough else [])]


def _use_of(row: Requirement) -> str:
    left = "no limit" if row.free is None else f"{_number(row, row.needed)} of {_number(row, row.free)} left"
    return f"{row.subject or title_of(row)} ({left})"


def _amount(requirement: Requirement, value: int) -> str:
    number = _number(requirement, value)
    return number if requirement.unit == "bytes" else f"{number} {requirement.unit}"


def _number(requirement: Requirement, value: int) -> str:
    if requirement.unit == "bytes":
        return fmt.size(value)
    return fmt.limit(value) if value >= EFFECTIVELY_UNLIMITED else f"{value:,}"


def number_of(facts: Facts) -> int | None:
    """Return the number of connections that was asked for; None if it is not one number."""
    found = parse(facts.number)
    return found.low if found and found.low == found.high and not found.rate and found.low > 0 else None


def all_settings(requirements: Sequence[Requirement]) -> tuple[Wanted, ...]:
    """Return the settings of every limit that is too low, as one plan: of two values for a key the higher one."""
    found: dict[str, Wanted] = {}
    for each in (wanted for row in requirements if row.short for wanted in row.settings):
        if each.key not in found or _last(each.value) > _last(found[each.key].value):
            found[each.key] = each
    return tuple(found.values())


def _last(value: str) -> int:
    return int(value.replace(":", " ").split()[-1])
