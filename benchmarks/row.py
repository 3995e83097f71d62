"""What a benchmark finds, as data: rows of numbers, each with its spread and the goal that it has to meet."""

from __future__ import annotations

import statistics

import msgspec


class Goal(msgspec.Struct, frozen=True):
    """What a number has to be."""

    number: float
    at_least: bool = False
    """True: this number or more; False: this number or less."""

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.number:,g}"

    def met_by(self, number: float) -> bool:
        """Return whether `number` meets it."""
        return number >= self.number if self.at_least else number <= self.number


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was measured; its number is the median of `values`."""

    id: str
    """Names it in its state of its benchmark: `socket_dump/1m/states-ss` is a whole name."""
    title: str
    unit: str
    """`ms`, `s`, `%` of a processor, `MB`, `B/s`, `×` for a ratio; empty for a count."""
    values: tuple[float, ...] = ()
    """One of each round or window; none: it was not measured, and `note` says why."""
    goal: Goal | None = None
    losing_above: float | None = None
    """Of a comparison: sockmon is the worse one if the number is above this; None: it is no comparison."""
    losing_below: float | None = None
    """The same the other way round."""
    exceeds: bool = False
    """True if a rival was stopped: the real number is larger."""
    note: str = ""

    @property
    def number(self) -> float | None:
        """Return the median; None if nothing was measured."""
        return statistics.median(self.values) if self.values else None

    @property
    def met(self) -> bool | None:
        """Return whether the goal is met; None if there is none, or nothing was measured."""
        number = self.number
        return None if self.goal is None or number is None else self.goal.met_by(number)

    @property
    def loses(self) -> bool:
        """Return whether this comparison says that sockmon is worse."""
        number = self.number
        if number is None:
            return False
        above = self.losing_above is not None and number > self.losing_above
        return above or (self.losing_below is not None and number < self.losing_below)


def times_faster(id: str, title: str, ours: Row, theirs: Row, goal: float | None = None) -> Row:
    """Return how many times as much a rival needs, round by round."""
    pairs = _pairs(theirs, ours)
    wanted = None if goal is None else Goal(goal, at_least=True)
    return Row(id, title, "×", pairs, wanted, losing_below=1.0, exceeds=theirs.exceeds, note=_why(ours, theirs))


def part_of(id: str, title: str, ours: Row, theirs: Row, goal: float | None = None) -> Row:
    """Return which part of a rival's number ours is, round by round."""
    wanted = None if goal is None else Goal(goal)
    return Row(id, title, "×", _pairs(ours, theirs), wanted, losing_above=1.0, note=_why(ours, theirs))


def _pairs(above: Row, below: Row) -> tuple[float, ...]:
    """Return the quotients of the same rounds; the only round of one side counts for all of the other."""
    tops, bottoms = above.values, below.values
    if not tops or not bottoms:
        return ()
    rounds = max(len(tops), len(bottoms))
    if min(len(tops), len(bottoms)) not in (1, rounds):
        tops, bottoms = (statistics.median(tops),), (statistics.median(bottoms),)
        rounds = 1
    tops = tops if len(tops) == rounds else tops * rounds
    bottoms = bottoms if len(bottoms) == rounds else bottoms * rounds
    return tuple(top / bottom for top, bottom in zip(tops, bottoms, strict=True) if bottom)


def _why(*rows: Row) -> str:
    return "; ".join(row.note for row in rows if row.note)
