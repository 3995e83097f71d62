"""What it does to remove a line from our file in /etc/sysctl.d: the value that stays now, and the one at boot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sockmon.document import Section, sentence
from sockmon.model.boot import BootForecast
from sockmon.tunables import BY_KEY
from sockmon.tuning.planning.context import PlanContext
from sockmon.tuning.planning.proposal_pages import Page, format_value


def forget_pages(
    lines: Mapping[str, str], context: PlanContext, after: Mapping[str, BootForecast], file: str
) -> list[Page]:
    """Return a page for each key of `lines`, which has the line of `file` that is removed; `after` has the
    forecasts without it."""
    return [
        (key, f"{line} is removed from {file}", tuple(_sections(key, context, after.get(key))))
        for key, line in lines.items()
    ]


def _sections(key: str, context: PlanContext, forecast: BootForecast | None) -> Iterator[Section]:
    yield Section("Now", (_now(key, context),))
    yield Section("At boot", tuple(map(sentence, _at_boot(key, forecast))))


def _now(key: str, context: PlanContext) -> str:
    value = context.values.get(key)
    if value is None:
        return sentence(f"the value cannot be read: {context.refused.get(key, 'sockmon does not know this key')}")
    return f"{format_value(value)}: it stays until a restart, or until another process changes it."


def _at_boot(key: str, forecast: BootForecast | None) -> Iterator[str]:
    if forecast is None:
        yield "it is not known what the other files set"
        return
    yield from forecast.sentences
    if forecast.value is None and len(forecast.sentences) == 1 and key in BY_KEY:
        yield f"the kernel's default is {BY_KEY[key].default}"
    yield from (f"{file}: it may hold a line that sets it" for file in forecast.unread)
    yield from forecast.managers
