"""The top of the page of a process: who it is, what it does, what it uses, and where it runs, a line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.text import Text

from sockmon import format
from sockmon.assess import Gauge
from sockmon.document import sentence
from sockmon.model.detail import ProcessDetail
from sockmon.model.limit_origin import LimitOrigin
from sockmon.model.process_facts import (
    CPU,
    DIRECTORY,
    EXECUTABLE,
    IO,
    MEMORY,
    NAMESPACES,
    WCHAN,
    MemoryDetail,
    ProcessFacts,
)
from sockmon.model.processes import USER_HZ
from sockmon.model.snapshot import Process, Snapshot
from sockmon.tunables.limit_origin.text import describe, to_last
from sockmon.ui.detail.owners import bold_pair, join_dots
from sockmon.ui.detail.process_usage import cpu_text, files_text, io_lines, memory_text, unread
from sockmon.ui.snapshot_lookup import find_netns
from sockmon.ui.widgets.labelled_list import Labelled

STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "waiting in the kernel, not interruptible",
    "T": "stopped by a signal",
    "t": "stopped by a debugger",
    "Z": "zombie: it has ended, and its parent has not waited for it",
    "I": "idle",
    "X": "ending",
}
IN_LINES = frozenset((CPU, DIRECTORY, EXECUTABLE, IO, MEMORY, NAMESPACES, WCHAN))
"""Readers whose reason stands in the line of the fact."""
_STATE_STYLES = {"D": "sev-warning", "T": "sev-warning", "t": "sev-warning", "Z": "sev-warning"}
_SHOWN_PARENTS = 6


def identity_facts(
    process: Process,
    detail: ProcessDetail | None,
    snapshot: Snapshot,
    gauge: Gauge | None = None,
    before: ProcessFacts | None = None,
    memory: MemoryDetail | None = None,
) -> list[Labelled]:
    """Return the lines, the most important first; `before`: the facts of the answer before, for rates."""
    facts = detail.facts if detail else None
    reasons = {item.reader: item.reason for item in detail.missing} if detail else {}
    lines = [
        Labelled("Process", _who(process, detail, snapshot)),
        *_activity(facts, before, reasons),
        Labelled("Memory", memory_text(process, detail, memory, reasons)),
        Labelled("Files", files_text(process, gauge, snapshot)),
        origin_fact(detail),
    ]
    if facts and facts.state not in ("Z", "X"):
        lines += [
            *io_lines(facts, before, reasons),
            Labelled("Runs in", _place(facts, snapshot, reasons)),
        ]
    lines.append(
        Labelled("Cgroup", Text(detail.cgroup) if detail and detail.cgroup else Text(format.UNKNOWN, "muted"))
    )
    if facts and facts.parents:
        lines.append(Labelled("Parents", _parents(process, facts)))
    lines.append(Labelled("Command", Text(process.command)))
    if facts and facts.state not in ("Z", "X"):
        lines.append(Labelled("Program", _path(facts.executable, reasons.get(EXECUTABLE))))
        lines.append(Labelled("Directory", _path(facts.directory, reasons.get(DIRECTORY))))
    return lines


def _who(process: Process, detail: ProcessDetail | None, snapshot: Snapshot) -> Text:
    started = snapshot.at - process.start / USER_HZ
    users = detail.facts.users if detail and detail.facts else None
    parts = [
        bold_pair("pid", str(process.pid)),
        bold_pair("user", f"{process.user} ({process.uid})"),
        *([bold_pair("acts as", users[1])] if users and users[0] != users[1] else []),
        bold_pair("started", f"{format.age(started)} ago"),
        bold_pair("threads", format.count(process.threads)),
        bold_pair("maps", format.count(detail.maps if detail else None)),
    ]
    if detail and detail.recv_queue is not None:
        parts += [
            bold_pair("Recv-Q", format.size(detail.recv_queue)),
            bold_pair("Send-Q", format.size(detail.send_queue)),
        ]
    return join_dots(parts)


def _activity(
    facts: ProcessFacts | None, before: ProcessFacts | None, reasons: Mapping[str, str]
) -> Iterator[Labelled]:
    """Yield what it does now, and the processor time that it takes."""
    if facts is None:
        return
    parts = [Text(STATES.get(facts.state, facts.state), _STATE_STYLES.get(facts.state, ""))]
    if facts.wchan:
        parts[0].append(f" in {facts.wchan}()")
    elif WCHAN in reasons:
        parts.append(unread(reasons[WCHAN]))
    if sum(facts.threads_by_state.values()) > 1:
        parts.append(Text(f"threads: {_thread_states(facts.threads_by_state)}"))
    if not facts.answers:
        parts.insert(0, Text("does not answer", "sev-critical"))
    yield Labelled("State", join_dots(parts))
    if facts.state not in ("Z", "X"):
        yield Labelled("CPU", cpu_text(facts, before, reasons))


def _thread_states(states: Mapping[str, int]) -> str:
    words = {**STATES, "D": "uninterruptible", "Z": "zombie"}
    return ", ".join(f"{format.count(number)} {words.get(state, state)}" for state, number in states.items())


def origin_fact(detail: ProcessDetail | None) -> Labelled:
    """Return what set the limit of descriptors, and what to change so that it lasts."""
    origin: LimitOrigin | None = None
    if detail:
        origin = next((each for each in detail.origins if each.resource == "nofile"), None)
    if origin is None:
        return Labelled("Limit", Text(format.UNKNOWN, "muted"))
    return Labelled("Limit", Text.assemble(sentence(describe(origin)), (f" {' '.join(to_last(origin))}", "muted")))


def _place(facts: ProcessFacts, snapshot: Snapshot, reasons: Mapping[str, str]) -> Text:
    """Return its container, pod, machine or unit, and which of its namespaces are not those of sockmon."""
    parts = []
    if facts.owner:
        runtime = f" of {facts.owner.runtime}" if facts.owner.runtime else ""
        name = f"{facts.owner.name}{runtime}"
        if facts.owner.container and not facts.owner.container.startswith(facts.owner.name):
            name += f" ({facts.owner.container[:12]})"
        parts.append(bold_pair(facts.owner.kind, name))
        if facts.owner.reason:
            parts.append(Text(facts.owner.reason, "muted"))
    own = [each for each in facts.namespaces if not each.shared]
    net = next((each for each in facts.namespaces if each.kind == "net"), None)
    if net:
        known = find_netns(snapshot, net.inode)
        name = f"{known.name} " if known and known.name != f"net:[{net.inode}]" else ""
        parts.append(bold_pair("net", f"{name}[{net.inode}]{'' if net.shared else ' its own'}"))
    others = [f"{each.kind} [{each.inode}]" for each in own if each.kind != "net"]
    if others:
        parts.append(bold_pair("own", ", ".join(others)))
    elif facts.namespaces and not own:
        parts.append(Text("all namespaces are those of sockmon", "muted"))
    elif facts.namespaces:
        parts.append(Text("other namespaces are those of sockmon", "muted"))
    if NAMESPACES in reasons:
        parts.append(unread(reasons[NAMESPACES]))
    return join_dots(parts)


def _parents(process: Process, facts: ProcessFacts) -> Text:
    """Return `nginx[1044] ← nginx[1043] ← systemd[1]`; a long chain is cut in the middle."""
    chain = [f"{each.name}[{each.pid}]" for each in facts.parents]
    if len(chain) > _SHOWN_PARENTS:
        left_out = len(chain) - _SHOWN_PARENTS + 1
        chain = [*chain[: _SHOWN_PARENTS - 1], f"{left_out} more", chain[-1]]
    text = Text(f"{process.name}[{process.pid}]", "muted")
    for link in chain:
        text.append(" ← ", "faint").append(link)
    if facts.parents[-1].pid != 1:
        text.append(" ← not visible", "muted")
    return text


def _path(path: str | None, reason: str | None) -> Text:
    if path is None:
        return unread(reason or "")
    head, deleted, _ = path.rpartition(" (deleted)")
    return Text.assemble(head, (" (deleted)", "sev-warning")) if deleted else Text(path)
