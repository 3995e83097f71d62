"""What a reboot does to a change: which file wins, whether a persisted one would last, what else sets the key.

Screen, guide and command line persist in their own ways, so the notes do not name a command."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sockmon.document import sentence
from sockmon.limit_origin.limit_value import resource_of
from sockmon.limit_origin.text import limit_note
from sockmon.model.boot import BootForecast, BootOverride
from sockmon.model.writers import Writer
from sockmon.tunables import process_of, row_of
from sockmon.tunables.value import equal
from sockmon.tuning.planning.context import PlanContext
from sockmon.tuning.planning.step import Step

_NO_FILE_APPLIES = (
    "No sysctl.d file applies to this network namespace: set the value in whatever creates the namespace."
)


def note_for_step(step: Step, context: PlanContext) -> tuple[str, ...]:
    """Return what a reboot does to the change, a sentence each; empty if the files were not read."""
    forecast = context.forecasts.get(step.key)
    if step.row.kind == "limit":
        return limit_note(resource_of(step.key), forecast.origin if forecast else None, step.new)
    if context.netns_spec and step.row.scope == "netns":
        return (_NO_FILE_APPLIES,)
    return tuple(map(sentence, _sysctl_note(step, forecast))) if forecast else ()


def note_for_key(key: str, value: str, context: PlanContext) -> tuple[str, ...]:
    """Return what a reboot does to `key` as things are now; for a limit, how `value` would persist."""
    forecast, limit = context.forecasts.get(key), process_of(key)
    if context.netns_spec and row_of(key).scope == "netns":
        return (_NO_FILE_APPLIES,)
    if limit and forecast:
        return limit_note(resource_of(key), forecast.origin, value)
    return tuple(map(sentence, (*forecast.sentences, *forecast.managers))) if forecast else ()


def _sysctl_note(step: Step, forecast: BootForecast) -> Iterator[str]:
    yield from forecast.sentences
    unread = [f"{file}: it may hold a line that wins" for file in forecast.unread]
    against = [*_overriding_lines(step, forecast.overrides), *unread]
    until = _lasts_until(step, forecast)
    if against:
        yield f"persisted, it would still last only {until}: {'; '.join(against)}"
    elif forecast.value is not None and equal(step.row, forecast.value, step.new):
        yield "a file sets this value already: it need not be persisted"
    else:
        yield (
            f"kept, it lasts {until}; persisted, it is also written to /etc/sysctl.d/90-sockmon.conf, which wins"
        )
    if not against and step.key.startswith("net.netfilter.nf_conntrack"):
        yield (
            "it exists only after nf_conntrack is loaded, which may be after the files are read: it also needs the"
            " udev rule that is printed when it is persisted"
        )
    yield from forecast.managers
    yield from _neither_lasts(step, forecast)


def _lasts_until(step: Step, forecast: BootForecast) -> str:
    """Return how long the value lasts if no file of ours sets it."""
    ends = [
        f"{writer.name} {'writes' if writer.certain else 'may write'} it again ({writer.when})"
        for writer in _against(step, forecast)
    ]
    if _set_by_a_file(step, forecast):
        ends.append("sysctl.d is applied again (a package may do that)")
    return f"until {' or '.join(ends)}" if ends else "until the next reboot"


def _neither_lasts(step: Step, forecast: BootForecast) -> Iterator[str]:
    """Yield which programs write another value whatever the files have, and what to change instead."""
    for writer in (each for each in _against(step, forecast) if not each.files_win):
        change = f": change {writer.setting}" if writer.setting else ""
        yield f"no file of sysctl.d holds against {writer.name}{change}"


def _against(step: Step, forecast: BootForecast) -> list[Writer]:
    return [writer for writer in forecast.writers if writer.runs and not writer.leaves(step.new)]


def _set_by_a_file(step: Step, forecast: BootForecast) -> bool:
    """Return whether a file sets the key to another value: each package that applies sysctl.d brings it back."""
    # Without a value, two sentences mean that the two programs differ.
    value = forecast.value
    return len(forecast.sentences) > 1 if value is None else not equal(step.row, value, step.new)


def _overriding_lines(step: Step, overrides: Iterable[BootOverride]) -> Iterator[str]:
    by_line: dict[tuple[str, str | None], list[str]] = {}
    for each in overrides:
        if each.value is None or each.value.split() != step.new.split():
            by_line.setdefault((each.at, each.value), []).append(each.program)
    for (at, value), programs in by_line.items():
        does = "keeps it from being set" if value is None else f"sets {value or '(empty)'} later"
        yield f"{at} {does} under {' and '.join(programs)}"
