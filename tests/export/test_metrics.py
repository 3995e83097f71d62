"""Metrics of made-up Snapshots: names, values, and a bound on the number of series."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from typing import cast

import pytest
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from sockmon.agent.sampler import Sampler
from sockmon.assess.several import HostAssessor
from sockmon.ceilings import CEILINGS
from sockmon.ceilings.level_rules import LevelRules
from sockmon.export import values
from sockmon.export.exporter import Exporter
from sockmon.export.exposition import registry_of, render
from sockmon.export.label_budget import LabelBudget
from sockmon.export.metric import Facts
from sockmon.export.metrics import METRICS
from sockmon.export.subjects import OTHER
from sockmon.model.snapshot import Missing, OtherNetns, Snapshot, Sockstat
from tests.snapshots import group, netns, ports, process, snapshot

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PROMTOOL = shutil.which("promtool")


def facts(found: Snapshot, top: int = 5, age: float = 0.5) -> Facts:
    return Facts(HostAssessor().add(found), age, top)


def page(found: Snapshot, top: int = 5, accept: str = OPENMETRICS) -> str:
    known = facts(found, top)
    return render(registry_of(lambda: known), accept)[0].decode()


def samples(found: Snapshot, top: int = 5) -> list[Sample]:
    families = text_string_to_metric_families(page(found, top))  # type: ignore[no-untyped-call]
    return [each for family in families for each in family.samples if each.name.startswith("sockmon_")]


def value(rows: list[Sample], name: str, **labels: str) -> float | None:
    found = [row.value for row in rows if row.name == name and labels.items() <= row.labels.items()]
    assert len(found) <= 1, f"{name} {labels} is not one series"
    return found[0] if found else None


def test_a_hit_has_its_numbers_and_names_the_process_without_its_pid() -> None:
    rows = samples(snapshot(0.0, process(pid=1044, fds=1024), process(pid=7, name="idle")))
    assert value(rows, "sockmon_ceiling_ratio", ceiling="process-fds") == 1.0
    assert value(rows, "sockmon_ceiling_used", ceiling="process-fds") == 1024
    hit = {"ceiling": "process-fds", "subject": "nginx", "netns": ""}
    assert value(rows, "sockmon_subject_limit", **hit) == 1024
    assert value(rows, "sockmon_subject_severity", sockmon_subject_severity="hit", **hit) == 1
    assert value(rows, "sockmon_subject_severity", sockmon_subject_severity="ok", **hit) == 0
    assert value(rows, "sockmon_ceiling_subjects", ceiling="process-fds") == 2
    assert value(rows, "sockmon_ceiling_unlisted_subjects", ceiling="process-fds") == 1
    assert value(rows, "sockmon_verdict", sockmon_verdict="hit") == 1


def test_the_fullest_limit_of_the_host_has_the_numbers_of_its_ceiling() -> None:
    rows = samples(snapshot(0.0, process(fds=700)))
    ratios = {row.labels["ceiling"]: row.value for row in rows if row.name == "sockmon_ceiling_ratio"}
    (row,) = [row for row in rows if row.name == "sockmon_fullest_ratio"]
    assert row.value == max(ratios.values()) == ratios[row.labels["ceiling"]]
    for number in ("used", "limit"):
        assert value(rows, f"sockmon_fullest_{number}") == value(rows, f"sockmon_ceiling_{number}", **row.labels)


def test_the_fullest_of_several_that_are_equal_stays_the_same() -> None:
    known = facts(snapshot(0.0))
    assert known.fullest
    assert known.fullest.id == next(use.id for use in known.uses if use.ratio == known.fullest.ratio)


def test_processes_of_one_name_are_the_worst_of_them() -> None:
    rows = samples(snapshot(0.0, *(process(pid=pid, fds=600 + pid) for pid in range(2, 9))))
    assert value(rows, "sockmon_subject_used", ceiling="process-fds") == 608
    assert value(rows, "sockmon_ceiling_unlisted_subjects", ceiling="process-fds") == 6


def test_a_port_group_has_its_namespace() -> None:
    web = replace(netns(ports=ports(group(28_232))), name="web", kind="container", inode=77)
    rows = samples(snapshot(0.0, netns=(netns(), web)))
    (found,) = [row for row in rows if row.name == "sockmon_subject_used" and row.labels["netns"] == "web"]
    assert found.labels["ceiling"] == "ephemeral-ports"
    assert "10.0.0.9:5432" in found.labels["subject"]
    assert value(rows, "sockmon_network_namespaces", watched="watched") == 2


def test_pages_are_bytes() -> None:
    found = snapshot(0.0)
    assert found.memory is not None
    used = value(samples(found), "sockmon_ceiling_used", ceiling="tcp-memory")
    assert used == found.memory.tcp_pages * found.host.page_size


def test_what_is_unknown_has_no_number() -> None:
    found = replace(snapshot(0.0), files=None, missing=(Missing("files", "refused"), Missing("net.a.b", "no")))
    rows = samples(found)
    assert value(rows, "sockmon_ceiling_used", ceiling="system-fds") is None
    assert value(rows, "sockmon_ceiling_ratio", ceiling="system-fds") is None
    state = {"ceiling": "system-fds", "sockmon_ceiling_severity": "unknown"}
    assert value(rows, "sockmon_ceiling_severity", **state) == 1
    assert value(rows, "sockmon_unknown_ceilings") == sum(
        row.value for row in rows if row.labels.get("sockmon_ceiling_severity") == "unknown"
    )
    assert value(rows, "sockmon_missing", reader="files") == 1
    assert value(rows, "sockmon_missing", reader="net") == 1


class SamplerOfOne:
    """Returns one made-up Snapshot again and again."""

    def sample(self, complete: bool) -> Snapshot:
        return snapshot(0.0)


def test_scrapes_of_one_sample_rank_its_subjects_once() -> None:
    exporter = Exporter(cast(Sampler, SamplerOfOne()), LevelRules())
    exporter.sample()
    first, second = exporter.facts(), exporter.facts()
    assert first is not None
    assert second is not None
    assert first.uses is second.uses
    assert second.age >= first.age
    exporter.sample()
    third = exporter.facts()
    assert third is not None
    assert third.uses is not first.uses


def test_levels_that_do_not_count_are_said() -> None:
    refused = [Missing("config.toml", "levels: unknown limit `nonsense`")]
    known = Facts(HostAssessor().add(snapshot(0.0)), 0.5, refused=refused)
    assert [each for each in values.missing(known) if each.labels == ("config",)] == [(("config",), 1.0)]


def test_ten_thousand_processes_make_no_more_series_than_ten() -> None:
    def series(count: int) -> int:
        rows = [process(pid=2 + pid, name=f"worker-{pid}", fds=1024) for pid in range(count)]
        return len(samples(snapshot(0.0, *rows)))

    assert series(10_000) == series(10)


def test_two_hundred_namespaces_make_no_more_series_than_ten() -> None:
    def series(count: int) -> int:
        full = [
            replace(netns(ports=ports(group(28_232))), name=f"pod-{number}", inode=number)
            for number in range(1, count)
        ]
        return len(samples(snapshot(0.0, netns=(netns(), *full))))

    assert series(200) == series(10)


def test_hostile_names_stay_inside_their_label() -> None:
    hostile = 'a"} 1\\n# TYPE x counter\\' + "Ω" * 500
    rows = samples(snapshot(0.0, process(fds=1024, name=hostile)))
    (found,) = [row for row in rows if row.name == "sockmon_subject_used"]
    assert found.labels["subject"].startswith('a"} 1')
    assert len(found.labels["subject"]) <= 120


def test_a_namespace_that_only_a_process_names_has_no_pid() -> None:
    made = [
        replace(netns(ports=ports(group(28_232))), name=f"web[{pid}]", inode=pid, cookie=pid) for pid in (9, 7, 8)
    ]
    rows = samples(snapshot(0.0, netns=(netns(), *made)))
    assert {row.labels["netns"] for row in rows if "netns" in row.labels} == {"host", "web"}
    named = netns(name="db[3]", kind="container", inode=5)
    unnamed = [netns(name="[12]", inode=6), netns(name="net:[77]", inode=77)]
    rows = samples(snapshot(0.0, netns=(netns(), named, *unnamed)))
    assert {row.labels["netns"] for row in rows if "netns" in row.labels} == {"host", "db[3]", "?", "net:[77]"}


def test_the_own_namespace_without_a_name_keeps_its_label_after_a_start_in_a_new_container() -> None:
    def labels(inode: int) -> set[str]:
        own = netns(ports=ports(group(28_232)), name=f"net:[{inode}]", inode=inode)
        rows = samples(snapshot(0.0, netns=(own, netns(name="web", kind="container", inode=7))))
        return {row.labels["netns"] for row in rows if "netns" in row.labels}

    assert labels(4026531841) == labels(4026531999) == {"own", "web"}


def sockstat(used: int) -> Sockstat:
    found = netns().sockstat
    assert found is not None
    return replace(found, used=used)


def test_counters_of_namespaces_with_one_name_are_those_of_the_oldest() -> None:
    def overflows(old_sockets: int) -> float | None:
        old = netns(name="web", kind="container", cookie=5, sockstat=sockstat(old_sockets))
        new = netns(name="web", kind="container", cookie=9, counters={"TcpExt.ListenOverflows": 1})
        rows = samples(snapshot(0.0, netns=(netns(name="host"), new, old)))
        return value(rows, "sockmon_listen_overflows_total", netns="web")

    assert (overflows(1), overflows(1_000)) == (5, 5)


def test_connections_that_come_and_go_do_not_change_which_namespaces_have_series() -> None:
    labels = set()
    for tick in range(20):
        pods = [
            netns(name=f"pod-{number}", kind="pod", inode=number, sockstat=sockstat(used))
            for number in range(200)
            for used in (40 + (number * 7 + tick * 13) % 20,)
        ]
        labels |= {name for name, _ in facts(snapshot(float(tick), netns=(netns(), *pods))).namespaces}
    assert len(labels) == 6


def test_namespaces_that_were_not_looked_for_are_not_none() -> None:
    state = {"watched": "not_watched"}
    rows = samples(snapshot(0.0))
    assert value(rows, "sockmon_network_namespaces", watched="watched") == 1
    assert value(rows, "sockmon_network_namespaces", **state) is None
    rows = samples(snapshot(0.0, other_netns=OtherNetns(0.0, 3, 9, (), 3)))
    assert value(rows, "sockmon_network_namespaces", **state) == 3


def test_names_that_are_new_each_second_make_no_more_series_than_the_budget_of_an_hour() -> None:
    now = 0.0
    budget = LabelBudget(10, lambda: now)
    labels = set()
    for now in range(200):
        rows = [process(pid=2 + pid, name=f"{pid}-{now}", fds=1024) for pid in range(5)]
        known = Facts(HostAssessor().add(snapshot(float(now), *rows)), 0.5, 5, budget.admits)
        (found,) = [use for use in known.uses if use.id == "process-fds"]
        assert len(found.listed) == (5 if now < 2 else 1)
        assert found.unlisted == 5 - len(found.listed)
        labels |= {each.name for each in found.listed}
    assert len(labels) == 11
    assert OTHER in labels


def test_a_name_that_stays_is_not_driven_out_by_new_ones() -> None:
    now = 0.0
    budget = LabelBudget(3, lambda: now)
    answers = []
    for now in range(0, 4 * 3600, 60):
        assert budget.admits(("nginx",))
        answers.append(budget.admits((f"new-{now}",)))
    # Two fit beside the one that stays, and after an hour two others.
    assert answers.count(True) == 8


def test_no_series_is_written_twice() -> None:
    same = [replace(netns(), name="web", inode=number) for number in range(1, 9)]
    rows = samples(snapshot(0.0, process(pid=1, fds=1024), process(pid=2, fds=1024), netns=tuple(same)))
    counts = Counter((row.name, *sorted(row.labels.items())) for row in rows)
    assert [each for each, count in counts.items() if count > 1] == []


def test_nothing_identifies_a_process_by_its_pid() -> None:
    rows = samples(snapshot(0.0, *(process(pid=4_000_000 + pid, fds=1024) for pid in range(5))))
    assert not [row for row in rows if any("40000" in text for text in row.labels.values())]


def test_a_process_without_a_name_has_no_pid_either() -> None:
    rows = samples(snapshot(0.0, process(pid=275, name="", fds=1024)))
    assert {row.labels["subject"] for row in rows if "subject" in row.labels} == {"?"}


def test_names_follow_the_conventions() -> None:
    for metric in METRICS:
        assert re.fullmatch(r"sockmon_[a-z][a-z_]+[a-z]", metric.name)
        assert not metric.name.endswith(("_total", "_info", "_count", "_sum", "_bucket"))
        assert metric.help.endswith(".")
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_the_names_are_those_that_dashboards_of_others_use() -> None:
    """A name that is missing here, or new, is a change that CHANGELOG.md has to announce."""
    assert sorted(metric.name for metric in METRICS) == sorted(NAMES.split())


NAMES = """
sockmon_build sockmon_verdict sockmon_ceiling_severity sockmon_ceiling_ratio sockmon_ceiling_used
sockmon_ceiling_limit sockmon_ceiling_left_seconds sockmon_ceiling_subjects sockmon_ceiling_unlisted_subjects
sockmon_fullest_ratio sockmon_fullest_used sockmon_fullest_limit sockmon_fullest_left_seconds
sockmon_unknown_ceilings
sockmon_subject_severity sockmon_subject_ratio sockmon_subject_used sockmon_subject_limit
sockmon_subject_left_seconds sockmon_subject_growth_per_second sockmon_tcp_sockets sockmon_listen_overflows
sockmon_listen_drops sockmon_syn_queue_drops sockmon_syn_cookies_sent sockmon_tcp_retransmitted_segments
sockmon_tcp_memory_aborts sockmon_time_wait_overflows sockmon_udp_receive_buffer_errors
sockmon_conntrack_entries sockmon_conntrack_drops sockmon_conntrack_insert_failures sockmon_conntrack_early_drops
sockmon_softnet_drops sockmon_network_namespaces sockmon_unread_processes sockmon_missing
sockmon_part_age_seconds sockmon_sample_timestamp_seconds sockmon_sample_interval_seconds
sockmon_processor_ratio
"""


def test_every_ceiling_is_exported() -> None:
    rows = samples(snapshot(0.0))
    exported = {row.labels["ceiling"] for row in rows if row.name == "sockmon_ceiling_severity"}
    assert exported == {ceiling.id for ceiling in CEILINGS}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.25", OPENMETRICS),
        ("application/openmetrics-text; version=abc", "text/plain; version=0.0.4"),
        ("text/plain;version=a.b", "text/plain; version=0.0.4"),
        ("text/plain;=;,;escaping", "text/plain; version=0.0.4"),
        ("*" * 60_000, "text/plain; version=0.0.4"),
    ],
)
def test_every_accept_header_gets_a_page(accept: str, content_type: str) -> None:
    """The third one is that of Prometheus 2.42."""
    found, got = render(registry_of(lambda: facts(snapshot(0.0))), accept)
    assert got.startswith(content_type)
    assert found.endswith(b"# EOF\n") == (content_type == OPENMETRICS)


def test_before_the_first_sample_there_are_only_the_metrics_of_the_exporter() -> None:
    text = render(registry_of(lambda: None))[0].decode()
    assert "process_cpu_seconds_total" in text
    assert "sockmon_" not in text


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool")
def test_promtool_has_no_complaint() -> None:
    assert PROMTOOL is not None
    text = page(snapshot(0.0, process(fds=1024)), accept="")
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
