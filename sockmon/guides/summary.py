"""The summary of a walk for an incident note, as Markdown: what was seen, ruled out, changed and verified, when,
by whom, and what is left."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone

from sockmon import format as fmt
from sockmon.ceilings import TITLES
from sockmon.document import sentence
from sockmon.guides.progress import Change, Passed
from sockmon.guides.walk import FAILED_STATES, Walk
from sockmon.model.transaction import STATE_LABELS, Actor

_MARKUP = re.compile(r"([\\`*<>\[\]|])")
"""Characters that could end the text of a line in Markdown: names of processes are foreign text."""


def summary(walk: Walk, actor: Actor) -> str:
    """Return the summary of a walk, as far as it is; `actor` has walked it."""
    facts, progress = walk.facts, walk.progress
    host = facts.snapshot.host
    lines = [
        f"# {walk.guide.title}: {_escape(host.name)}",
        "",
        f"- Symptom: {walk.guide.symptom}{f' ({_escape(progress.number)})' if progress.number else ''}",
        f"- Result: {walk.step.title if walk.outcome else 'not finished'}",
        f"- From {_time(progress.started)} to {_time(facts.snapshot.wall)}, by {_escape(_person(actor))}",
        f"- Host {_escape(host.name)}, kernel {_escape(host.kernel)}, namespace {_escape(facts.netns.name)}",
    ]
    for heading, found in _sections(walk):
        listed = list(found)
        lines += ["", f"## {heading}", "", *(listed or ["- nothing"])]
    return "\n".join(lines) + "\n"


def _sections(walk: Walk) -> Iterator[tuple[str, Iterable[str]]]:
    path = walk.progress.path
    yield "Seen", _with_verdict(walk, path, "supports")
    yield "Ruled out", _with_verdict(walk, path, "contradicts")
    if unknown := list(_with_verdict(walk, path, "undecided")):
        yield "Not known", unknown
    yield "Changed", map(_change, walk.progress.changes)
    yield "Verified", _checks(walk, path)
    yield "Left to do", _left(walk)


def _with_verdict(walk: Walk, path: Iterable[Passed], verdict: str) -> Iterator[str]:
    for passed in path:
        if passed.check is None and passed.finding and passed.finding.verdict == verdict:
            reader = "" if passed.by == "evidence" else " The reader went on another way."
            yield f"- {walk.title_of(passed.step)}: {_escape(sentence(passed.finding.text))}{reader}"
            yield from (f"  - {_escape(line)}" for line in passed.finding.numbers)


def _change(change: Change) -> str:
    settings = ", ".join(
        f"`{each.name}` {each.old or 'empty'} → {each.new or 'empty'}" for each in change.settings
    )
    persisted = ", written to /etc/sysctl.d" if change.persisted else ""
    return f"- {settings}: {STATE_LABELS[change.state]}{persisted} (`{change.id}`)"


def _checks(walk: Walk, path: Iterable[Passed]) -> Iterator[str]:
    words = {"met": "met", "not-met": "not met", "unknown": "cannot be known", "waiting": "not finished"}
    for passed in path:
        if passed.check:
            check = passed.check
            state = f"{words[check.state]} after {fmt.duration(check.seconds)}"
            yield f"- {walk.title_of(passed.step)}: {state}. {_escape(sentence(check.finding.text))}"


def _left(walk: Walk) -> Iterator[str]:
    if walk.outcome is None:
        yield f"- The walk ends before: {walk.step.title}"
    advised = (sentence(text) for passed in walk.progress.path for text in passed.advice)
    ending = (*walk.advice, *walk.commands) if walk.outcome not in (None, "verified") else ()
    for text in dict.fromkeys((*ending, *advised)):
        yield f"- {_escape(text)}"
    for change in walk.progress.changes:
        of_process = not any(setting.is_sysctl for setting in change.settings)
        for name in change.not_kept:
            yield f"- `{name}` of `{change.id}` is not in effect: another process changed it before it was kept"
        if change.state == "holding":
            yield f"- Keep the change `{change.id}`, or it is rolled back: `sockmon tune keep`"
        elif change.state == "kept" and of_process:
            owner = "cgroup" if any(setting.cgroup for setting in change.settings) else "process"
            yield f"- `{change.id}` ends with the {owner}: set the limit in what starts it"
        elif change.state == "kept" and not change.persisted:
            yield f"- `{change.id}` is lost at the next restart: it was not written to /etc/sysctl.d"
        elif change.state in FAILED_STATES:
            yield f"- `{change.id}` has no effect now: {STATE_LABELS[change.state]}"
    for row in walk.facts.alarms():
        alarm = f"{TITLES[row.ceiling]}: {row.subject} ({row.severity})"
        yield f"- An alarm now or in the last minute: {_escape(alarm)}"


def _escape(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text)


def _person(actor: Actor) -> str:
    login = actor.login if actor.login and actor.login != actor.user else ""
    return f"{login} as {actor.user}" if login else actor.user


def _time(wall: float) -> str:
    return datetime.fromtimestamp(wall, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
