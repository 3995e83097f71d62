"""What a metric is: a row that turns what is known of this host into samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

from sockmon.assess import Assessment
from sockmon.export.subjects import DEFAULT_TOP, Admits, CeilingUse, Subject, ceiling_uses, netns_label
from sockmon.model.severity import URGENCY, Severity
from sockmon.model.snapshot import Missing, Netns

Kind = Literal["gauge", "counter", "stateset", "info"]
SEVERITIES: tuple[Severity, ...] = tuple(sorted(URGENCY, key=URGENCY.__getitem__, reverse=True))


@dataclass(frozen=True)
class Facts:
    """What the metrics of one scrape are read from."""

    assessment: Assessment
    age: float
    """Seconds since the newest sample."""
    top: int = DEFAULT_TOP
    admits: Admits = lambda name: True
    """Whether one more name may be a label."""
    refused: Sequence[Missing] = ()
    """Levels of the config that do not count, since they make no sense."""

    of_sample: dict[Literal["uses"], list[CeilingUse]] = field(default_factory=dict)
    """What every scrape of one sample shares: with 10,000 processes at their limits it takes 25 ms."""

    @property
    def uses(self) -> list[CeilingUse]:
        """Return the use of every ceiling."""
        if "uses" not in self.of_sample:
            self.of_sample["uses"] = ceiling_uses(self.assessment, self.top, self.admits)
        return self.of_sample["uses"]

    @cached_property
    def fullest(self) -> CeilingUse | None:
        """Return the fullest limit of the host, of several the first one; None if no ratio is known."""
        known = [use for use in self.uses if use.ratio is not None]
        return max(known, key=lambda use: use.ratio or 0.0, default=None)

    @cached_property
    def subjects(self) -> list[tuple[CeilingUse, Subject]]:
        """Return every subject that has series of its own, with its ceiling."""
        return [(use, subject) for use in self.uses for subject in use.listed]

    @cached_property
    def namespaces(self) -> list[tuple[str, Netns]]:
        """Return the namespaces that have series of their own, by label: the first one, which sockmon was started
        in or was told, and those with the most sockets.

        Their number is compared by its power of two, so that the choice does not change with each connection. Of
        several with one name it is the oldest: counters that change their namespace would seem to jump."""
        first, *others = self.assessment.snapshot.netns
        named: dict[str, list[Netns]] = {}
        for each in others:
            if each.sockstat is not None:
                named.setdefault(netns_label(each, first), []).append(each)
        chosen = netns_label(first, first)
        named.pop(chosen, None)
        ranked = sorted(named.items(), key=lambda item: (-max(map(_magnitude, item[1])), item[0]))
        listed = [(name, min(found, key=_age)) for name, found in ranked[: self.top]]
        # There is no other for namespaces: it would be another one each time, and its counters would jump.
        return [(chosen, first), *((name, found) for name, found in listed if self.admits((name,)))]


def _magnitude(netns: Netns) -> int:
    return netns.sockstat.used.bit_length() if netns.sockstat else 0


def _age(netns: Netns) -> int:
    """Return a number that is less for an older namespace: the kernel's cookies increase."""
    return netns.cookie or netns.inode


class Sample(NamedTuple):
    """One value: labels in the order of `Metric.labels`. `value` is a number; of a stateset the state that holds;
    of an info its labels."""

    labels: tuple[str, ...]
    value: float | str | Mapping[str, str]


@dataclass(frozen=True)
class Metric:
    """One metric family."""

    name: str
    """Without `_total` and `_info`, which the exposition adds."""
    kind: Kind
    labels: tuple[str, ...]
    help: str
    read: Callable[[Facts], Iterable[Sample]]
