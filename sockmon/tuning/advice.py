"""What a tunable should be, by what the Report says: the value of a remedy, and its reason."""

from __future__ import annotations

from dataclasses import dataclass

from sockmon import format as words
from sockmon.ceilings import TITLES
from sockmon.errors import BadValue
from sockmon.model.report import Reading, Remedy, Report
from sockmon.tunables import Tunable
from sockmon.tunables.value import parse

ALARMS = ("warning", "critical", "hit")


@dataclass(frozen=True)
class Advice:
    """A value that moves a wall which this machine is close to."""

    key: str
    value: str
    reason: str
    ceiling: str
    subject: str


def advice(report: Report, tunable: Tunable, key: str = "") -> Advice | None:
    """The value that the most urgent alarm asks for; None where nothing is near its limit, as on a healthy host.

    `key` where the row has several and one is meant. A value that may not be written is not advised."""
    keys = (key,) if key else tunable.keys
    for reading in report.readings:
        for remedy in reading.remedies if reading.severity in ALARMS else ():
            if remedy.kind == "sysctl" and remedy.key in keys and remedy.value is not None:
                try:
                    value = parse(tunable, remedy.value, remedy.key)
                except BadValue:
                    continue
                return Advice(remedy.key, value, _reason(reading, remedy), reading.ceiling, reading.subject)
    return None


def _reason(reading: Reading, remedy: Remedy) -> str:
    used = ""
    if reading.used is not None and reading.limit is not None:
        used = f" has {words.count(reading.used)} of {words.limit(reading.limit)}"
    return f"{TITLES.get(reading.ceiling, reading.ceiling)}: {reading.subject}{used}: {remedy.text}"
