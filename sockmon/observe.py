"""One Assessment: of this machine now, or of a whole recording. For `check`, `explain` and `tune`.

May import `agent`, `sources` and `assess`. Tests are in `tests/test_check.py` and `tests/test_recordings.py`.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from sockmon import settings
from sockmon.agent.queue_samples import pause_and_sample, sample_first
from sockmon.agent.sampler import open_sampler
from sockmon.assess import Assessment
from sockmon.assess.selection import Selection
from sockmon.assess.several import HostAssessor, without_quiet
from sockmon.ceilings import CEILINGS
from sockmon.ceilings.level_rules import LevelRules
from sockmon.errors import BadRecording, BadSettings
from sockmon.format import plural
from sockmon.model.report import Report
from sockmon.model.severity import ALARMS
from sockmon.model.snapshot import Missing, Snapshot
from sockmon.sources.recording_damage import Damage
from sockmon.sources.replay import Replay
from sockmon.text import sanitize

log = logging.getLogger(__name__)

EVERYTHING = Selection()
INTERVAL = 1.0
QUEUE_RESAMPLE_SECONDS = 0.3
"""Time until the second sample if a queue was full."""
COUNTER_RESAMPLE_SECONDS = 1.0
"""Time until the second sample if a counter that proves a hit is not 0."""
MOVEMENT_SECONDS = 8
"""Time that is enough for a rate, and to see whether a counter increases."""
MOVEMENT = "movement"
"""The reader in `missing` for limits whose alarm needs more than one sample."""
RECORDING = "recording"
"""The reader in `missing` for samples of a recording that could not be used."""
SETTINGS = "config.toml"
"""The reader in `missing` for levels in the config file that could not be used."""


def current_report(
    netns: Sequence[str] = (), watch: float = 0.0, selection: Selection = EVERYTHING, here: bool = False
) -> Report:
    """Return what is selected of the Report of the network namespaces `netns`, by default all of this host, and
    with `here` our own, after `watch` seconds; without `watch`, `missing` names the limits that need more
    samples."""
    found = observe_once(netns, watch, others=not netns and not here)
    report = selection.apply(without_quiet(found.report, found.snapshot))
    return report if watch else without_movement(report, found.snapshot.wall - found.started)


def without_movement(report: Report, seconds: float) -> Report:
    """Return `report` with an entry in `missing` for the limits that were ok during `seconds`, but whose alarm can
    depend on a rate or a counter alone. The verdict does not change."""
    ok = {reading.ceiling for reading in report.readings if reading.severity == "ok"}
    alarms = {reading.ceiling for reading in report.readings if reading.severity in ALARMS}
    names = [row.title for row in CEILINGS if row.needs_movement and row.id in ok - alarms]
    if not names:
        return report
    sampled = f"sampled for {seconds:.0f} s" if seconds >= 0.5 else "sampled once"
    reason = (
        f"{sampled}; an alarm of these limits can depend on a rate or a counter, which needs --watch"
        f" {MOVEMENT_SECONDS}: {', '.join(names)}"
    )
    short = (
        f"{sampled}; {plural(len(names), 'limit')} can also alarm by a rate or a counter:"
        f" --watch {MOVEMENT_SECONDS} shows that"
    )
    return _with_missing(report, [Missing(MOVEMENT, reason, short=short)])


def observe_once(netns: str | Sequence[str] | None = None, watch: float = 0.0, others: bool = False) -> Assessment:
    """Return the Assessment after `watch` seconds; with 0 after one sample, or two if a queue or a counter needs
    it. Rates and time left need `watch`. `others`: all other network namespaces of the host are judged too."""
    with open_sampler(netns, max(min(INTERVAL, watch / 4), 0.25), complete=True, others=others) as kernel:
        levels, refused = configured_levels()
        assessor = HostAssessor(max(watch + INTERVAL, 1.0), levels)
        sample_first(kernel.listeners)
        early, first = kernel.compose(), kernel.sample(complete=True)
        if first.at - early.at >= COUNTER_RESAMPLE_SECONDS:
            # With very many sockets the first sample takes so long that its begin and its end show what increases.
            assessor.add(early)
        assessment = assessor.add(first)
        unproved = assessor.has_unproved_counters(COUNTER_RESAMPLE_SECONDS)
        if not watch and (unproved or assessor.has_overfull_queue()):
            # A queue that is full for a moment is not an alarm, and a counter proves a hit only if it increases.
            pause_and_sample(kernel.listeners, COUNTER_RESAMPLE_SECONDS if unproved else QUEUE_RESAMPLE_SECONDS)
            kernel.resample_queues()
            assessment = assessor.add(kernel.compose())
        end = time.monotonic() + watch
        while (left := end - time.monotonic()) > 0:
            pause_and_sample(kernel.listeners, min(kernel.interval, left))
            kernel.refresh()
            assessment = assessor.add(kernel.sample(complete=kernel.scarce or left <= kernel.interval))
        return with_missing(assessment, refused)


def report_of_samples(snapshots: Iterable[Snapshot]) -> Report:
    """Return the Report at the end of the samples that `agent.pushed` takes of another host, with the levels that
    are set here, as `current_report` does without `watch`; raise BadRecording if there is none, or none can be
    assessed."""
    levels, refused = configured_levels()
    assessor = HostAssessor(levels=levels)
    started, last = 0.0, None
    for snapshot in snapshots:
        started = started or snapshot.wall
        last = _assessed(assessor, snapshot, "its sample")
    if last is None:
        raise BadRecording("no sample of it came")
    report = without_quiet(with_missing(last, refused).report, last.snapshot)
    return without_movement(report, last.snapshot.wall - started)


def configured_levels() -> tuple[LevelRules, list[Missing]]:
    """Return the levels that the user has set, and what is refused of them: there the defaults apply."""
    try:
        found = settings.load()
    except BadSettings as error:
        return LevelRules(), [Missing(SETTINGS, error.message)]
    return LevelRules(found.levels), [Missing(SETTINGS, fault) for fault in found.level_faults]


def _with_missing(report: Report, more: Iterable[Missing]) -> Report:
    return replace(report, missing=(*report.missing, *more))


def with_missing(assessment: Assessment, more: Iterable[Missing]) -> Assessment:
    """Return `assessment` with more entries in the `missing` of its report."""
    return dataclasses.replace(assessment, report=_with_missing(assessment.report, more))


def report_of_recording(path: str) -> Report:
    """Return the Report at the end of the recording `path`: see `assess_recording`."""
    found = assess_recording(path)
    return without_quiet(found.report, found.snapshot)


def assess_recording(path: str) -> Assessment:
    """Return the Assessment at the end of the recording `path`, after all of it that can be read; the rest is in
    `missing`, with the reader RECORDING. Raises BadRecording if no Snapshot of it can be assessed."""
    levels, refused = configured_levels()
    assessor, damage = HostAssessor(levels=levels), Damage()
    last: Assessment | None = None
    hosts: dict[str, None] = {}
    faults: list[BadRecording] = []
    for line in Replay(path, pace=False).lines():
        if isinstance(line, Damage):
            damage = line
        elif isinstance(line, Snapshot):
            try:
                last = _assessed(assessor, line, path)
                hosts[line.host.name] = None
            except BadRecording as error:
                if not faults:
                    log.warning("%s: a sample cannot be assessed", path, exc_info=True)
                faults.append(error)
    if last is None:
        raise faults[0]
    reasons = [damage.text()] if damage.text() else []
    if faults:
        reasons.append(f"{len(faults):,} of its samples left out: {faults[0].message}")
    if len(hosts) > 1:
        names = sanitize(", ".join(hosts))
        reasons.append(
            f"it holds samples of {len(hosts)} hosts ({names}); the report is that of {last.report.host}"
        )
    last = dataclasses.replace(last, report=replace(last.report, recording=sanitize(path)))
    return with_missing(last, [*refused, *(Missing(RECORDING, text) for text in reasons)])


def _assessed(assessor: HostAssessor, snapshot: Snapshot, path: str) -> Assessment:
    """Return the Assessment after `snapshot`; raise BadRecording if its values contradict each other (a forged
    recording)."""
    try:
        return assessor.add(snapshot)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise BadRecording(
            f"{sanitize(path)} cannot be assessed: {type(error).__name__}: {error}",
            "its numbers contradict each other: it was forged, or this is a fault of sockmon",
        ) from error
