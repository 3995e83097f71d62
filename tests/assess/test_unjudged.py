"""A host with neighbours that are not sampled: the verdict says so, and nothing raises an alarm."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from sockmon.assess import Assessor
from sockmon.assess.unjudged import count_outer_tasks, unjudged_text
from sockmon.cli.check import EXIT_CODES, as_text
from sockmon.explain.explanation import build_explanation
from sockmon.explain.observation import Observation
from sockmon.explain.topics import find
from sockmon.model.report import Report
from sockmon.model.snapshot import (
    HIDDEN_ANCESTORS,
    HIDDEN_PROCESSES,
    OTHER_NETNS,
    OUTER_TASKS,
    Cgroups,
    Missing,
    NetnsMember,
    NetnsName,
    OtherNetns,
    Snapshot,
    Tasks,
)
from tests.snapshots import HOST, cgroups, process, snapshot

FOUND = OtherNetns(0.0, 3, 40, (NetnsMember(812, "gateway", 4, 2001), NetnsMember(77, "pause", 1, 0)), 3)
COMMAND = "sockmon check --netns 812"


def report(seen: Snapshot) -> Report:
    return Assessor().add(seen).report


def test_a_host_without_neighbours_is_ok() -> None:
    for other in (None, OtherNetns(0.0, 0, 0, (), 0)):
        text = as_text(report(snapshot(0.0, other_netns=other)), colour=False, width=100)
        assert text.splitlines()[0].endswith("● ok")
        assert text.splitlines()[-1] == "● ok: no limit is near"
        assert "not judged" not in text


def test_neighbours_are_part_of_the_verdict_line_and_raise_no_alarm() -> None:
    found = report(snapshot(0.0, other_netns=FOUND))
    assert (found.verdict, EXIT_CODES[found.verdict]) == ("ok", 0)
    lines = as_text(found, colour=False, width=200).splitlines()
    assert lines[0].endswith("● ok, not judged: 3 other network namespaces")
    assert lines[-1] == "● ok: no limit is near; not judged: 3 other network namespaces"
    (line,) = (line for line in lines if line.startswith("? 3 other"))
    assert "gateway[812] with 2,001 sockets, pause[77] with 0 sockets" in line
    assert COMMAND in line


def test_json_has_them_in_missing() -> None:
    (entry,) = report(snapshot(0.0, other_netns=FOUND)).missing
    assert (entry.reader, entry.unjudged) == (OTHER_NETNS, "3 other network namespaces")
    assert "unjudged" not in msgspec.to_builtins(Missing("a", "b"))


def test_a_user_who_may_not_enter_is_told_to_use_sudo() -> None:
    (entry,) = report(snapshot(0.0, other_netns=FOUND, host=replace(HOST, uid=1000))).missing
    assert f"sudo {COMMAND}" in entry.reason


def test_one_that_could_not_be_counted_and_more_than_are_counted() -> None:
    many = OtherNetns(0.0, 900, 2000, (NetnsMember(812, "gateway", 4, None),), 300)
    (entry,) = report(snapshot(0.0, other_netns=many)).missing
    assert "gateway[812]." in entry.reason
    assert "counted in 300 of them" in entry.reason


def test_one_that_has_a_name_is_called_by_it_and_sampled_by_it() -> None:
    blue = NetnsMember(0, "", 0, None, 4026532, NetnsName("netns", "blue two"), "blue two")
    busy = NetnsMember(812, "gateway", 4, 2001, 4026533, NetnsName("netns", "red"), "red")
    (entry,) = report(snapshot(0.0, other_netns=OtherNetns(0.0, 2, 4, (busy, blue), 2))).missing
    assert "netns red (gateway[812]) with 2,001 sockets, netns blue two (no process)." in entry.reason
    assert entry.reason.endswith("sockmon check --netns red")
    (entry,) = report(snapshot(0.0, other_netns=OtherNetns(0.0, 1, 0, (blue,), 1))).missing
    assert entry.reason.endswith("sockmon check --netns 'blue two'")


def test_a_container_is_called_by_its_name_or_the_reason_is_given() -> None:
    web = NetnsMember(812, "nginx", 4, 2001, 4026532, NetnsName("container", "web", "docker", "0f" * 32), "web")
    pod = NetnsName("pod", "shop/db-0", "cri-o", "1f" * 32)
    unread = NetnsName("container", "2f2f2f2f2f2f", "podman", "2f" * 32, "/var/lib/containers needs root")
    others = (NetnsMember(77, "postgres", 1, 9, 1, pod, "shop/db-0"), NetnsMember(5, "java", 1, 3, 2, unread))
    (entry,) = report(snapshot(0.0, other_netns=OtherNetns(0.0, 3, 6, (web, *others), 3))).missing
    assert "container web (nginx[812]) with 2,001 sockets, pod shop/db-0 (postgres[77])" in entry.reason
    assert "sockmon check --netns web (/var/lib/containers needs root)" in entry.reason


def test_mounts_that_cannot_be_told_from_unread_processes_are_mentioned() -> None:
    found = replace(FOUND, unreadable=3, unmatched=2)
    (entry,) = report(snapshot(0.0, other_netns=found)).missing
    assert "2 mounted namespaces may be among them" in entry.reason


@pytest.mark.parametrize("topic", ["EADDRNOTAVAIL", "ephemeral-ports", "ListenOverflows", "accept-queue"])
def test_explain_names_them_where_a_limit_of_a_namespace_is_a_cause(topic: str) -> None:
    sections = explained(topic)
    assert COMMAND in sections["Not sampled"]


def test_explain_does_not_where_it_is_not() -> None:
    assert "Not sampled" not in explained("EMFILE")


def explained(topic: str) -> dict[str, str]:
    seen = snapshot(0.0, other_netns=FOUND)
    found = build_explanation(find(topic), Observation(report(seen), seen, {}), {})
    return {section.name: " ".join(section.paragraphs) for section in found.sections}


def test_what_other_users_hide_is_not_judged_either() -> None:
    hidden = Missing("processes", "/proc is mounted with hidepid", unjudged=HIDDEN_PROCESSES)
    files = Missing("owners", "descriptors of 2 processes of other users need root", unjudged="descriptors of 2")
    other = Missing("softnet", "is not there")
    assert unjudged_text((hidden, files, other, files)) == f"{HIDDEN_PROCESSES}, descriptors of 2"


def test_an_older_recording_does_not_note_what_is_not_judged() -> None:
    reason = "/proc is mounted with hidepid"
    seen = snapshot(0.0, missing=(Missing("processes", reason),))
    assert seen.processes is not None
    found = report(replace(seen, processes=replace(seen.processes, hidden=reason)))
    text = as_text(found, colour=False)
    assert sum(reason in line for line in text.splitlines() if line.startswith("? not read")) <= 1
    row = next(row for row in found.readings if row.subject == HIDDEN_PROCESSES)
    assert row.missing == seen.missing


def test_tasks_outside_of_a_container_are_counted_and_part_of_the_verdict() -> None:
    inside = Tasks(240, 400, 96_000, initial=False, namespace=77)
    found = report(snapshot(0.0, process(threads=40), tasks=inside))
    (entry,) = found.missing
    assert (entry.reader, bool(entry.unjudged)) == (OUTER_TASKS, True)
    assert "200 tasks" in entry.reason
    assert entry.unjudged in as_text(found, colour=False, width=200).splitlines()[0]
    assert count_outer_tasks(snapshot(0.0, process(threads=240), tasks=inside)) == 0
    assert count_outer_tasks(snapshot(0.0, tasks=replace(inside, initial=True))) == 0
    assert report(snapshot(0.0)).missing == ()


def test_cgroups_above_a_cgroup_namespace_are_part_of_the_verdict_and_named_once() -> None:
    above = Missing("cgroups", "limits above are not visible", HIDDEN_ANCESTORS, "cgroups above")
    found = report(snapshot(0.0, cgroups=Cgroups(0.0, (), (), hidden=True), missing=(above,)))
    lines = as_text(found, colour=False, width=200).splitlines()
    assert lines[0].endswith("not judged: cgroups above")
    assert not any(above.reason in line for line in lines[1:] if line.startswith("? not read"))
    own = report(snapshot(0.0, cgroups=cgroups(hidden=True), missing=(above,)))
    assert sum(above.reason in line for line in as_text(own, colour=False, width=200).splitlines()) == 1
