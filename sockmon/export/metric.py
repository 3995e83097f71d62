"""What a metric is: a row that turns what is known of this host into samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from sockmon.assess import Assessment
from sockmon.export.subjects import DEFAULT_TOP, CeilingUse, Subject, ceiling_uses, label
from sockmon.model.severity import URGENCY, Severity
from sockmon.model.snapshot import Netns

Kind = Literal["gauge", "counter", "stateset", "info"]
SEVERITIES: tuple[Severity, ...] = tuple(sorted(URGENCY, key=URGENCY.__getitem__, reverse=True))


@dataclass(frozen=True)
class Facts:
    """What the metrics of one scrape are read from."""

    assessment: Assessment
    age: float
    """Seconds since the newest sample."""
    top: int = DEFAULT_TOP

    @cached_property
    def uses(self) -> list[CeilingUse]:
        """Return the use of every ceiling."""
        return ceiling_uses(self.assessment, self.top)

    @cached_property
    def subjects(self) -> list[tuple[CeilingUse, Subject]]:
        """Return every subject that has series of its own, with its ceiling."""
        return [(use, subject) for use in self.uses for subject in use.listed]

    @cached_property
    def namespaces(self) -> list[tuple[str, Netns]]:
        """Return the namespaces that have series of their own, by label: the first one, which sockmon was started
        in or was told, and those with the most sockets."""
        first, *others = self.assessment.snapshot.netns
        others = [each for each in others if each.sockstat is not None]
        others.sort(key=lambda each: (-(each.sockstat.used if each.sockstat else 0), each.name))
        chosen: dict[str, Netns] = {}
        for each in (first, *others[: self.top]):
            chosen.setdefault(label(each.name), each)
        return list(chosen.items())


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
