"""A small guide and a stream of invented samples, for tests of what walks through guides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from sockmon.assess import Assessment, Assessor
from sockmon.guides import findings
from sockmon.guides.facts import HERE, Place
from sockmon.guides.guide import Act, Branch, Decide, Guide, Observe, Verify
from sockmon.guides.progress import Progress
from sockmon.guides.walk import Walk
from sockmon.model.plan import Plan, Setting
from sockmon.model.snapshot import Netns, Process
from sockmon.model.transaction import Actor, State, Transaction
from tests.snapshots import group, netns, ports, snapshot

RANGE = "net.ipv4.ip_local_port_range"
ACTOR = Actor(0, "root", "anna", "pts/3")
GUIDE = Guide(
    name="toy",
    title="Ports are used up",
    symptom="connect(): cannot assign requested address",
    brief="EADDRNOTAVAIL",
    ceilings=("ephemeral-ports",),
    lab="ephemeral-ports",
    steps=(
        Observe(
            "full",
            "Ports to one destination",
            "every port to one destination is in use",
            findings.alarm_of("ephemeral-ports"),
            supports="cause",
            contradicts="others",
        ),
        Observe(
            "others",
            "Other limits",
            "another limit is reached",
            findings.another_alarm("ephemeral-ports"),
            supports="other-limit",
            contradicts="not-here",
        ),
        Decide(
            "cause",
            "What to change",
            "Where is the cause?",
            (
                Branch("do-not-tune", "a leak", findings.only_buys_time),
                Branch("widen", "too few ports", findings.advises(RANGE)),
            ),
            otherwise="do-not-tune",
        ),
        Act("widen", "Widen the range", "check", findings.advised_settings(RANGE), findings.application_advice),
        Verify("check", "Ports are free", "the group is below its limit", findings.left_limit, hold=5, within=20),
    ),
)


Sample = Netns | dict[str, Any]
"""A namespace, or parts of a sample by name; `rows` are its processes."""


def full(used: int = 28232, usable: int = 28232) -> Netns:
    return netns(ports=ports(group(used), low=65536 - usable, high=65535, usable=usable))


@dataclass
class Stream:
    """Assessments, a second apart."""

    assessor: Assessor = field(default_factory=Assessor)
    at: float = 0.0
    processes: tuple[Process, ...] = ()
    changes: dict[str, Any] = field(default_factory=dict)
    """Other parts of the sample than the namespace."""

    def next(self, state: Sample, seconds: float = 1.0) -> Assessment:
        self.at += seconds
        changes = {
            "rows": self.processes,
            **self.changes,
            **(state if isinstance(state, dict) else {"netns": state}),
        }
        part, rows = changes.pop("netns", netns()), changes.pop("rows")
        if part.ports:
            part = replace(part, ports=replace(part.ports, at=self.at))
        fresh = {name: _fresh(value, self.at) for name, value in changes.items()}
        return self.assessor.add(snapshot(self.at, *rows, netns=(part,), **fresh))


def _fresh(value: Any, at: float) -> Any:
    """Return a part of a sample as if it was read at `at`."""
    return replace(value, at=at) if hasattr(value, "at") else value


def begin(
    part: Sample, place: Place = HERE, guide: Guide = GUIDE, progress: Progress | None = None
) -> tuple[Walk, Stream]:
    stream = Stream()
    return Walk(guide, stream.next(part), place, progress=progress), stream


def follow(walk: Walk) -> Iterator[str]:
    """Go where the evidence leads; yield the steps until there is nothing to follow."""
    yield walk.step.id
    while walk.suggested:
        walk.take(walk.suggested.to)
        yield walk.step.id


def branches(guide: Guide) -> set[tuple[str, str]]:
    """Return every exit of every step, as step and next step."""
    return {(step.id, each.to) for step in guide.steps for each in step.exits()}


def taken(*walks: Walk) -> set[tuple[str, str]]:
    """Return the exits that walks took because of the evidence, and those of an act that a person decides."""
    return {
        (passed.step, passed.to)
        for walk in walks
        for passed in walk.progress.path
        if passed.by == "evidence" or isinstance(walk.steps[passed.step], Act)
    }


def ends_of_change(
    guide: Guide, broken: Sample, fixed: Sample, gone: Sample, seconds: float = 0.0
) -> Iterator[Walk]:
    """Yield a walk for each way in which the change can go to which the evidence of `broken` leads: it is not made
    here, refused, helps, does not help, or cannot be verified with `gone`. Sample for `seconds` first."""
    declined, _ = begin(broken, Place("recording", cannot_change="it is a recording"), guide)
    list(follow(declined))
    yield declined
    for after in (None, broken, fixed, gone):
        walk, stream = begin(broken, guide=guide)
        if seconds:
            walk.add(stream.next(broken, seconds))
        list(follow(walk))
        walk.changed(transaction("refused" if after is None else "holding"))
        while walk.suggested or (walk.check and after):
            if walk.suggested:
                walk.take(walk.suggested.to)
            elif after:
                walk.add(stream.next(after, 3))
        yield walk


def transaction(state: State = "holding") -> Transaction:
    setting = Setting(RANGE, "32768 60999", "1024 65535")
    return Transaction("20261128-1", Plan((setting,), 1, "5f0c"), ACTOR, 0.0, 60.0, 60.0, state)


def walk_on(
    guide: Guide, *parts: Netns, rows: tuple[Process, ...] = (), place: Place | None = None
) -> tuple[Walk, Stream]:
    """Walk through `guide` on these samples, ten seconds apart."""
    stream = Stream(processes=rows)
    walk = Walk(guide, stream.next(parts[0]), place or Place())
    for part in parts[1:]:
        walk.add(stream.next(part, 10))
    list(follow(walk))
    return walk, stream
