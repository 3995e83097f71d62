"""What this machine counts of a symptom: its counters, and the sockets in a TCP state. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sockmon.explain.evidence import processes_here
from sockmon.explain.observation import Observation
from sockmon.explain.symptoms import Cause, Symptom


def states_of(row: Symptom, now: Observation) -> Iterator[str]:
    """Yield how many sockets are in a TCP state, and for CLOSE_WAIT where they are."""
    states = now.snapshot.netns[0].states if now.snapshot else None
    if row.kind != "state" or states is None:
        return
    count = states.tcp.get(row.name)
    if count:
        yield f"{row.name}: {count.total:,} now"
    listeners = now.snapshot.netns[0].listeners if now.snapshot else None
    if row.name == "CLOSE_WAIT" and listeners is not None:
        waiting = sum(each.queue for each in listeners if each.protocol == "tcp")
        yield f"connections in accept queues, in any state: {waiting:,}"
        held = [each.close_wait for each in processes_here(now.snapshot) if each.close_wait is not None]
        if held:
            yield f"CLOSE_WAIT with a descriptor of a visible process: {sum(held):,}"


def counters_of(row: Symptom, causes: Sequence[Cause], now: Observation) -> Iterator[str]:
    """Yield the values of a counter, or of the counters that prove a symptom, unless no cause is a limit."""
    names = {name.lower() for name in (row.name, *row.other_names) if row.kind == "counter"}
    if any(cause.ceiling for cause in causes):
        names |= {name.lower() for name in row.related}
    for name, value in _all_counters(now).items():
        if {name.lower(), name.rpartition(".")[2].lower()} & names:
            yield f"{name}: {value:,} since boot"


def _all_counters(now: Observation) -> dict[str, int]:
    tracking = now.snapshot.netns[0].conntrack if now.snapshot else None
    stats = tracking.stats if tracking else {}
    return {**now.counters, **{f"conntrack.{name}": value for name, value in stats.items()}}
