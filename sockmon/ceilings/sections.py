"""The sections about a ceiling in reading order, the same for `explain`, the screen and the docs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sockmon.ceilings.ceiling import Ceiling
from sockmon.document import Section, sentence
from sockmon.errors import ReadError
from sockmon.model.report import Scope

SCOPE_TEXT: dict[Scope, str] = {
    "process": "each process",
    "user": "each user",
    "cgroup": "each cgroup",
    "netns": "each network namespace",
    "host": "the whole host",
}


def sections(ceiling: Ceiling, values: Mapping[str, str | ReadError] | None = None) -> Iterator[Section]:
    """Yield measurement, symptoms, how to raise it, cost, misconceptions, and its sysctls with their `values`."""
    manual = ceiling.manual
    yield Section("Measurement", (sentence(manual.measurement),))
    yield Section("Symptoms", tuple(map(sentence, manual.symptoms)))
    yield Section("Live change", (sentence(manual.raise_now),))
    yield Section("Persistence", (sentence(manual.persist),))
    yield Section("Cost", (sentence(manual.cost),))
    if manual.misconceptions:
        yield Section("Misconceptions", tuple(map(sentence, manual.misconceptions)))
    if manual.sysctls:
        yield Section("Sysctls", tuple(format_sysctl(key, (values or {}).get(key)) for key in manual.sysctls))
    if manual.source:
        yield Section("Source", (manual.source,), "source")


def unit_and_scope(ceiling: Ceiling) -> str:
    """Return what is counted and for what: `connections of each listener`."""
    return f"{ceiling.unit} of {f'each {ceiling.per}' if ceiling.per else SCOPE_TEXT[ceiling.scope]}"


def format_sysctl(key: str, value: str | ReadError | None) -> str:
    """Return `net.core.somaxconn = 4096`, the key and why it cannot be read, or the key alone if nothing is
    known."""
    if isinstance(value, ReadError):
        return f"{key}: {value.message}"
    return key if value is None else f"{key} = {value or '(empty)'}"
