"""What a reboot does to a change: which file wins, whether a persisted one would last, what else sets the key.

Screen, guide and command line persist in their own ways, so the notes do not name a command."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sockmon.document import sentence
from sockmon.model.boot import BootForecast, BootOverride, BootRequirement, set_both
from sockmon.model.writers import Writer
from sockmon.tunables import cgroup_of, process_of, row_of
from sockmon.tunables.lasting_in_netns import lasting
from sockmon.tunables.limit_origin.cgroup_text import cgroup_lines
from sockmon.tunables.limit_origin.limit_value import resource_of
from sockmon.tunables.limit_origin.text import limit_note
from sockmon.tunables.value import equal
from sockmon.tuning.planning.context import PORT_RANGE, PlanContext
from sockmon.tuning.planning.step import Step


def note_for_step(step: Step, planned: Mapping[str, str], context: PlanContext) -> tuple[str, ...]:
    """Return what a reboot does to the change, a sentence each; empty if the files were not read.

    `planned` has the new values of the whole plan, which are persisted together."""
    forecast = context.forecasts.get(step.key)
    if cgroup := cgroup_of(step.key):
        return cgroup_lines(step.row.key, cgroup, step.new)
    if step.row.kind == "limit":
        return limit_note(resource_of(step.key), forecast.origin if forecast else None, step.new)
    if context.netns_spec and step.row.scope == "netns":
        return lasting(context.target, step.key, step.new)
    return tuple(map(sentence, _sysctl_note(step, forecast, planned))) if forecast else ()


def note_for_key(key: str, value: str, context: PlanContext) -> tuple[str, ...]:
    """Return what a reboot does to `key` as things are now; for a limit, how `value` would persist."""
    forecast, limit = context.forecasts.get(key), process_of(key)
    if cgroup := cgroup_of(key):
        return cgroup_lines(row_of(key).key, cgroup, "" if value == "SOFT:HARD" else value)
    if context.netns_spec and row_of(key).scope == "netns":
        return lasting(context.target, key, value)
    if limit and forecast:
        return limit_note(resource_of(key), forecast.origin, value)
    if forecast is None:
        return ()
    late = (_late(forecast.module),) if forecast.value is not None and forecast.module else ()
    return tuple(map(sentence, (*forecast.sentences, *forecast.hints, *late, *forecast.managers)))


def _sysctl_note(step: Step, forecast: BootForecast, planned: Mapping[str, str]) -> Iterator[str]:
    yield from forecast.sentences
    yield from forecast.hints
    against, ways_out = _obstacles(step, forecast, planned)
    doubts = [f"{file}: it may hold a line that wins" for file in forecast.unread]
    until = _lasts_until(step, forecast)
    if against or doubts:
        would = "would" if against else "may"
        yield f"persisted, it {would} still last only {until}: {'; '.join([*against, *doubts])}"
    elif forecast.value is not None and equal(step.row, forecast.value, step.new):
        yield "a file sets this value already: it need not be persisted"
    else:
        wins = "which wins among the files" if _stronger_than_files(step, forecast) else "which wins"
        yield f"kept, it lasts {until}; persisted, it is also written to /etc/sysctl.d/90-sockmon.conf, {wins}"
    if ways_out:
        yield f"to persist it, {', and '.join(ways_out)}"
    if not (against or doubts) and forecast.module:
        yield f"{_late(forecast.module)}: it also needs the udev rule that is printed when it is persisted"
    yield from forecast.managers
    yield from _neither_lasts(step, forecast)


def _late(module: str) -> str:
    return f"it exists only after {module} is loaded, which may be after the files are read"


def _obstacles(step: Step, forecast: BootForecast, planned: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return why a line of ours would not set it at boot, and what to change for that."""
    against: list[str] = []
    ways_out: list[str] = []
    for each, programs in _overriding_lines(step, forecast.overrides):
        does = "keeps it from being set" if each.value is None else f"sets {each.value or '(empty)'} later"
        against.append(f"{each.at} {does} under {' and '.join(programs)}")
        if each.file and each.value is None:
            ways_out.append(f"remove line {each.line} of {each.file}")
        elif each.file:
            ways_out.append(f"change line {each.line} of {each.file} to `{each.key} = {step.new}`")
    for requirement in forecast.requires:
        if why := _unmet(step, requirement, planned):
            against.append(why)
            first = step.new.split()[0]
            ways_out.append(set_both(requirement.key, first if step.key == PORT_RANGE else f"{first} 65535"))
    return against, list(dict.fromkeys(ways_out))


def _unmet(step: Step, requirement: BootRequirement, planned: Mapping[str, str]) -> str:
    """Return why the kernel would refuse the value at boot because of another key; empty if it would accept it."""
    other = planned.get(requirement.key, requirement.value)
    if other is None:
        return f"it depends on {requirement.key}, whose value at boot is not known"
    ports, start = (step.new, other) if step.key == PORT_RANGE else (other, step.new)
    if int(ports.split()[0]) >= int(start.split()[0]):
        return ""
    at_boot = f"{requirement.key} is {other} when the file is read at boot"
    return f"{at_boot}, and the kernel refuses a range of local ports that begins below the unprivileged ports"


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
    for writer in _stronger_than_files(step, forecast):
        change = f": change {writer.setting}" if writer.setting else ""
        yield f"no file of sysctl.d holds against {writer.name}{change}"


def _stronger_than_files(step: Step, forecast: BootForecast) -> list[Writer]:
    return [writer for writer in _against(step, forecast) if not writer.files_win]


def _against(step: Step, forecast: BootForecast) -> list[Writer]:
    return [writer for writer in forecast.writers if writer.runs and not writer.leaves(step.new)]


def _set_by_a_file(step: Step, forecast: BootForecast) -> bool:
    """Return whether a file sets the key to another value: each package that applies sysctl.d brings it back."""
    return forecast.differs if forecast.value is None else not equal(step.row, forecast.value, step.new)


def _overriding_lines(step: Step, overrides: Iterable[BootOverride]) -> Iterator[tuple[BootOverride, list[str]]]:
    """Yield each line that would set another value, with the programs under which it would."""
    found: dict[tuple[str, str | None], tuple[BootOverride, list[str]]] = {}
    for each in overrides:
        if each.value is None or not equal(step.row, each.value, step.new):
            found.setdefault((each.at, each.value), (each, []))[1].append(each.program)
    yield from found.values()
