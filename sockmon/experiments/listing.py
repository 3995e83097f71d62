"""The list of experiments and the result of one: as a page and as JSON."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby

from sockmon.document import Section, json_text
from sockmon.experiments import BY_KEY, EXPERIMENTS, NOT_ISOLATABLE, NotIsolatable
from sockmon.experiments.runner import why_unavailable
from sockmon.model.experiment import ExperimentInfo, ExperimentReport, Result, Step

Page = tuple[str, str, list[Section]]
"""Title, description and sections."""


def experiment_infos() -> list[ExperimentInfo]:
    """Return all experiments in their order."""
    return [ExperimentInfo(each.key, each.title, each.seconds, why_unavailable(each)) for each in EXPERIMENTS]


def index_json() -> str:
    """Return a JSON array of ExperimentInfo."""
    return json_text(experiment_infos())


def index_page() -> Page:
    """Return the page that lists the experiments, the quickest first, and the settings that have none."""
    infos = sorted(experiment_infos(), key=lambda info: info.seconds)
    sections = [
        Section(f"{seconds} s", tuple(map(_info_line, group)))
        for seconds, group in groupby(infos, key=lambda info: info.seconds)
    ]
    others = tuple(f"{key}: {_alternative(each)}" for key, each in NOT_ISOLATABLE.items())
    what = "What can be measured now on this kernel, in private namespaces, and how long each measurement takes."
    return "sockmon prove KEY", what, [*sections, Section("Host-wide", others)]


def _info_line(info: ExperimentInfo) -> str:
    return f"{info.key}: {info.title}" + (f" (not available here: {info.unavailable})" if info.unavailable else "")


def _alternative(each: NotIsolatable) -> str:
    return " or ".join(f"sockmon {verb}" for verb in each.verbs) or each.reason


def result_json(key: str, result: Result) -> str:
    """Return an ExperimentReport as JSON."""
    return json_text(ExperimentReport(key, os.uname().release, result.confirmed, result.verdict, result.steps))


def result_page(key: str, result: Result) -> Page:
    """Return the page of one result: each setting with what was measured, then the verdict."""
    sections = [section for step in result.steps for section in _step_sections(step)]
    title = f"{key} · {BY_KEY[key].title}" if key in BY_KEY else key
    what = f"Measured now on Linux {os.uname().release}, in private namespaces. Nothing on this host was changed."
    return title, what, [*sections, Section("Verdict", (f"{result.verdict}.",))]


def _step_sections(step: Step) -> Iterator[Section]:
    yield Section("Set", (step.setting,))
    yield Section("Measured", (step.measured,))
    if step.confirmed:
        yield Section("As documented", (step.documented,))
    else:
        yield Section("MISMATCH", (f"documented: {step.documented}",))
