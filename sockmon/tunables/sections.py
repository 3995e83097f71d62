"""The sections about a tunable in reading order, the same for `explain`, `tune show` and the docs."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.document import Section, sentence
from sockmon.tunables.cost import takes_memory
from sockmon.tunables.tunable import Tunable
from sockmon.tunables.untuned import NETNS, NETNS_AS_HOST, NOT_NETNS, OtherKey, PresentKey, RemovedKey
from sockmon.tunables.value import describe_allowed


def sections(row: Tunable) -> Iterator[Section]:
    """Yield what to know before a tunable is set; of one that cannot be set, what it is."""
    if row.since:
        yield Section("Since", (f"Linux {row.since}.",))
    yield Section("Default", (sentence(row.default),))
    if row.settable:
        yield Section("Allowed", (sentence(describe_allowed(row)),))
        yield Section("Takes effect", (sentence(row.takes_effect),))
        yield Section("Not affected", (sentence(row.unaffected),))
        yield Section("Scope", (sentence(row.scope_text),))
        yield Section("Risk", (sentence(row.risk),))
        yield Section("Memory", (_memory(row),))
    if row.misconceptions:
        yield Section("Misconceptions", tuple(map(sentence, row.misconceptions)))


def untuned_sections(about: OtherKey | RemovedKey | PresentKey) -> Iterator[Section]:
    """Yield what to know about a key that sockmon does not tune."""
    if isinstance(about, RemovedKey):
        yield Section("Removed", (sentence(about.removed),))
        yield Section("Instead", (sentence(about.instead),), "advice")
        if about.misconceptions:
            yield Section("Misconceptions", tuple(map(sentence, about.misconceptions)))
        yield Section("Source", (about.source,), "source")
        return
    if isinstance(about, OtherKey):
        yield Section("Limits", (sentence(about.limits),))
    yield Section("Not tuned", ("sockmon does not change it.",))
    scope = about.scope_text or ("" if about.key.startswith("net.") else NOT_NETNS)
    scope = scope or "it is not known whether each network namespace has its own value"
    measured = ("Measured on Linux 6.18; on older kernels it may be one value for the host.",)
    own = isinstance(about, OtherKey) and about.scope_text in (NETNS, NETNS_AS_HOST)
    yield Section("Scope", (sentence(scope), *(measured if own else ())))


def _memory(row: Tunable) -> str:
    if row.memory:
        return row.memory
    if row.cost is None:
        return "Unknown." if takes_memory(row) else "None by itself."
    if row.unit.startswith("pages"):
        return "The pages of the last number, mostly of 4,096 bytes, when it is used to the full."
    return f"{row.cost([1], 4096):,} bytes for each of the {row.unit}, when it is used to the full."
