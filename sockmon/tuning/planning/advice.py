"""Which value a tunable should get: the remedies of the Report that can be set here, and the reason for each."""

from __future__ import annotations

from dataclasses import dataclass

from sockmon import format as fmt
from sockmon.ceilings import TITLES
from sockmon.errors import InvalidValue
from sockmon.model.report import Reading, Remedy, Report
from sockmon.model.severity import ALARMS
from sockmon.tunables import BY_KEY, Tunable, row_of
from sockmon.tunables.value import parse

SETTABLE_KINDS = ("sysctl", "rlimit", "cgroup")
"""Kinds of remedies that are a setting."""
BUYS_TIME = "not advised: it only buys time"
"""Shown next to a remedy that is never planned automatically."""


@dataclass(frozen=True)
class SettableRemedy:
    """A remedy that can be planned on this machine."""

    key: str
    """`net.core.somaxconn`, `nofile@1044`, or `pids.max@/web.slice`."""
    value: str
    """The value in the form that a plan has: `4096` of a limit is `4096:4096`."""
    remedy: Remedy


@dataclass(frozen=True)
class Advice:
    """A value that raises a limit which this machine is close to."""

    key: str
    value: str
    reason: str
    ceiling: str
    subject: str


def remedy_text(remedy: Remedy) -> str:
    """Return what to set and what it does: `net.core.somaxconn = 8192: …`."""
    setting = f"{remedy.key} = {remedy.value}: " if remedy.kind == "sysctl" and remedy.key else ""
    return setting + remedy.text + ("" if remedy.advised else f" ({BUYS_TIME})")


def settable_remedies(reading: Reading) -> list[SettableRemedy]:
    """Return the remedies of `reading` that can be set, best first, without those that have an invalid value."""
    return [found for remedy in reading.remedies if (found := _settable(remedy)) is not None]


def advised_remedies(reading: Reading) -> list[SettableRemedy]:
    """Return the settable remedies that may be planned automatically; none if the reading is not an alarm."""
    if reading.severity not in ALARMS:
        return []
    return [each for each in settable_remedies(reading) if each.remedy.advised]


def alternatives(report: Report | None) -> dict[str, str]:
    """Return what to do instead, by key that would only buy time: an alarm could raise it, and none advises to."""
    alarms = [reading for reading in (report.readings if report else ()) if reading.severity in ALARMS]
    advised = {each.key for reading in alarms for each in advised_remedies(reading)}
    found: dict[str, str] = {}
    for reading in alarms:
        for each in settable_remedies(reading):
            if each.key not in advised:
                found.setdefault(each.key, _alternative(reading))
    return found


def advice_for(report: Report, tunable: Tunable, key: str = "") -> Advice | None:
    """Return the value that the most urgent alarm advises for `key`, or for any key of `tunable`, if one does."""
    keys = (key,) if key else tunable.keys
    for reading in report.readings:
        for each in advised_remedies(reading):
            if each.key in keys:
                return Advice(each.key, each.value, _reason(reading, each), reading.ceiling, reading.subject)
    return None


def _settable(remedy: Remedy) -> SettableRemedy | None:
    if remedy.kind not in SETTABLE_KINDS or remedy.key not in BY_KEY or remedy.value is None:
        return None
    key, row = remedy.key, row_of(remedy.key)
    if remedy.kind == "rlimit":
        if remedy.pid is None:
            return None
        key = f"{remedy.key}@{remedy.pid}"
    if remedy.kind == "cgroup":
        if remedy.cgroup is None:
            return None
        key = f"{remedy.key}@{remedy.cgroup}"
    try:
        value = parse(row, remedy.value, key)
    except InvalidValue:
        return None
    return SettableRemedy(key, value, remedy) if row.settable else None


def _alternative(reading: Reading) -> str:
    """`open files: forgetful[7]: forgetful does not close …`."""
    first = next((each.text for each in reading.remedies if each.advised), "its cause is elsewhere")
    return f"{TITLES.get(reading.ceiling, reading.ceiling)}: {reading.subject}: {first}"


def _reason(reading: Reading, found: SettableRemedy) -> str:
    used = ""
    if reading.used is not None and reading.limit is not None:
        used = f" has {fmt.count(reading.used)} of {fmt.limit(reading.limit)}"
    return f"{TITLES.get(reading.ceiling, reading.ceiling)}: {reading.subject}{used}: {found.remedy.text}"
