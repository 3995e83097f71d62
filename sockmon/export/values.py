"""How each metric is read: from a Snapshot, or from what was assessed of it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator

from sockmon import __version__
from sockmon.ceilings import BY_ID
from sockmon.export.metric import Facts, Sample
from sockmon.export.subjects import CeilingUse
from sockmon.model.report import Reading


def build(facts: Facts) -> Iterator[Sample]:
    kernel = facts.assessment.snapshot.host.kernel
    yield Sample((), {"version": __version__, "python": platform.python_version(), "kernel": kernel})


def in_base_unit(facts: Facts, reading: Reading, amount: float | None) -> float | None:
    """Return an amount of a ceiling in its base unit: pages become bytes."""
    if amount is None or BY_ID[reading.ceiling].unit != "pages":
        return amount
    return amount * facts.assessment.snapshot.host.page_size


def of_ceilings(read: Callable[[Facts, CeilingUse], float | str | None]) -> Callable[[Facts], Iterator[Sample]]:
    def samples(facts: Facts) -> Iterator[Sample]:
        for use in facts.uses:
            if (value := read(facts, use)) is not None:
                yield Sample((use.id,), value)

    return samples


def of_fullest(read: Callable[[Facts, Reading], float | None]) -> Callable[[Facts], Iterator[Sample]]:
    return of_ceilings(lambda facts, use: None if use.fullest is None else read(facts, use.fullest))


def of_host(read: Callable[[Facts, CeilingUse], float | None]) -> Callable[[Facts], Iterator[Sample]]:
    """Return a number of the fullest limit of the host; absent if no ratio is known."""

    def samples(facts: Facts) -> Iterator[Sample]:
        use = facts.fullest
        if use is not None and (value := read(facts, use)) is not None:
            yield Sample((use.id,), value)

    return samples


def of_host_fullest(read: Callable[[Facts, Reading], float | None]) -> Callable[[Facts], Iterator[Sample]]:
    return of_host(lambda facts, use: None if use.fullest is None else read(facts, use.fullest))


def unknown_ceilings(facts: Facts) -> Iterator[Sample]:
    yield Sample((), float(sum(use.severity == "unknown" for use in facts.uses)))


def of_subjects(read: Callable[[Facts, Reading], float | str | None]) -> Callable[[Facts], Iterator[Sample]]:
    def samples(facts: Facts) -> Iterator[Sample]:
        for use, subject in facts.subjects:
            if (value := read(facts, subject.reading)) is not None:
                yield Sample((use.id, subject.name, subject.netns), value)

    return samples


def used(facts: Facts, reading: Reading) -> float | None:
    return in_base_unit(facts, reading, reading.used)


def limit(facts: Facts, reading: Reading) -> float | None:
    return in_base_unit(facts, reading, reading.limit)


def ratio(facts: Facts, reading: Reading) -> float | None:
    return reading.ratio


def counter(*names: str) -> Callable[[Facts], Iterator[Sample]]:
    """Return the sum of counters in each namespace; absent if the kernel has none of them."""

    def samples(facts: Facts) -> Iterator[Sample]:
        for name, netns in facts.namespaces:
            found = [netns.counters[each] for each in names if each in netns.counters]
            if found:
                yield Sample((name,), float(sum(found)))

    return samples


def conntrack_counter(name: str) -> Callable[[Facts], Iterator[Sample]]:
    def samples(facts: Facts) -> Iterator[Sample]:
        for label_, netns in facts.namespaces:
            if netns.conntrack is not None and name in netns.conntrack.stats:
                yield Sample((label_,), float(netns.conntrack.stats[name]))

    return samples


def conntrack_entries(facts: Facts) -> Iterator[Sample]:
    for name, netns in facts.namespaces:
        if netns.conntrack is not None:
            yield Sample((name,), float(netns.conntrack.count))


def states(facts: Facts) -> Iterator[Sample]:
    for name, netns in facts.namespaces:
        for state, count in (netns.states.tcp if netns.states else {}).items():
            yield Sample((name, state), float(count.total))


def softnet(field_: str) -> Callable[[Facts], Iterator[Sample]]:
    def samples(facts: Facts) -> Iterator[Sample]:
        found = facts.assessment.snapshot.softnet
        if found is not None:
            yield Sample((), float(getattr(found, field_)))

    return samples


def ages(facts: Facts) -> Iterator[Sample]:
    """Yield the age of each part that is read less often than the others."""
    snapshot = facts.assessment.snapshot
    netns, processes = snapshot.netns[0], snapshot.processes
    parts = {
        "processes": processes,
        "states": netns.states,
        "ports": netns.ports,
        "udp ports": netns.udp,
        "memory maps": snapshot.maps,
        "cgroups": snapshot.cgroups,
    }
    times = {part: found.at for part, found in parts.items() if found is not None}
    if processes is not None and processes.owners_at is not None:
        times["owners"] = processes.owners_at
    if netns.conntrack is not None and netns.conntrack.table_at is not None:
        times["conntrack table"] = netns.conntrack.table_at
    for part, at in times.items():
        yield Sample((part,), round(max(snapshot.at - at, 0.0) + facts.age, 3))


def missing(facts: Facts) -> Iterator[Sample]:
    counts: dict[str, int] = {}
    for entry in (*facts.assessment.report.missing, *facts.refused):
        # A sysctl key is a reader too: its first part says enough, and keeps the labels few.
        reader = entry.reader.partition(".")[0]
        counts[reader] = counts.get(reader, 0) + 1
    yield from (Sample((reader,), float(count)) for reader, count in sorted(counts.items()))


def namespaces(facts: Facts) -> Iterator[Sample]:
    snapshot = facts.assessment.snapshot
    yield Sample(("watched",), float(len(snapshot.netns)))
    if snapshot.other_netns is not None:
        yield Sample(("not_watched",), float(snapshot.other_netns.total))


def unread_processes(facts: Facts) -> Iterator[Sample]:
    processes = facts.assessment.snapshot.processes
    if processes is not None:
        yield Sample((), float(processes.unseen))
