"""The words for what has become of the reasons of a change, and which alarms are its reasons."""

from __future__ import annotations

from msgspec.structs import replace

from sockmon.model.outcome import NewProcess, Outcome
from sockmon.model.plan import MAX_REASONS, Plan, Setting
from sockmon.tuning.planning.outcome_text import outcome_text
from sockmon.tuning.planning.reasons import with_reasons
from tests.guides.walks import Stream, full
from tests.snapshots import group, netns, ports

RANGE, SOMAXCONN = "net.ipv4.ip_local_port_range", "net.core.somaxconn"
QUEUE = Outcome("left", "accept-queue", "0.0.0.0:8081 app[7]", "hit", 8.0, "ok", 0, 64, 64)
OVERFLOWS = (("TcpExt.ListenOverflows", 5.0),)


def plan(key: str, new: str = "1") -> Plan:
    return Plan((Setting(key, "0", new),), netns().inode, "b")


def test_what_follows_if_it_did_not_help() -> None:
    """Roll it back, unless it has no effect yet, or too little."""
    unchanged = replace(QUEUE, kind="unchanged", severity="hit", seconds=60.0, rates=OVERFLOWS)
    wrong = outcome_text(unchanged, plan("net.ipv4.tcp_tw_reuse"))
    assert wrong == "unchanged after 60 s, ListenOverflows 5.0/s: this was not the cause, roll back"
    late = outcome_text(unchanged, plan(SOMAXCONN))
    assert "roll back" not in late
    assert "somaxconn" in late
    small = outcome_text(replace(unchanged, limit=128), plan("net.ipv4.tcp_tw_reuse"))
    assert "roll back" not in small
    assert "128" in small


def test_what_has_ended_is_stated_with_its_proof() -> None:
    left = replace(QUEUE, rates=(("TcpExt.ListenOverflows", 0.0),))
    assert outcome_text(left, plan(SOMAXCONN)) == "left HIT after 8 s, ListenOverflows 0/s"


def test_a_restarted_program_is_named_with_its_new_limit() -> None:
    restarted = replace(QUEUE, limit=2048, new_process=NewProcess(12, 600, "app"))
    text = outcome_text(restarted, plan(SOMAXCONN))
    assert text == "left HIT after 8 s, new process app[12] with limit 64 → 2,048"
    assert outcome_text(restarted, plan(SOMAXCONN), short=True) == "left HIT after 8 s, new process app[12]"
    same = replace(restarted, kind="unchanged", severity="hit", limit=64)
    text = outcome_text(same, plan(SOMAXCONN))
    assert "the same limit 64" in text
    assert "needs a restart" not in text
    assert "roll back" not in text
    of_the_old = Plan((Setting("nofile", "64:64", "128:128", 7, 1),), 1, "b")
    assert "ended with the old process" in outcome_text(same, of_the_old)


def test_a_restart_that_proves_nothing_has_its_reason() -> None:
    early = replace(QUEUE, kind="unknown", cause="restarted", used=5, new_process=NewProcess(12, 600, "app"))
    text = outcome_text(early, plan(RANGE))
    assert "app[12]" in text
    assert "5 of 64" in text
    doubt = replace(QUEUE, kind="unknown", cause="several", candidates=3)
    assert "3" in outcome_text(doubt, plan(RANGE))
    for each in (early, doubt):
        assert len(outcome_text(each, plan(RANGE), short=True)) < 60


def test_every_outcome_has_different_words() -> None:
    kinds = ("left", "eased", "unchanged", "worse", "waiting", "unknown")
    texts = [outcome_text(replace(QUEUE, kind=kind, severity="critical"), plan(RANGE)) for kind in kinds]
    texts += [
        outcome_text(replace(QUEUE, kind="unknown", cause=cause), plan(RANGE)) for cause in ("ended", "unread")
    ]
    texts.append(outcome_text(replace(QUEUE, kind="waiting", quiet=3.0, rates=OVERFLOWS), plan(RANGE)))
    assert len(set(texts)) == len(texts)


def test_the_reasons_are_the_alarms_whose_remedy_it_is() -> None:
    now = Stream().next(full())
    report, shot = now.report, now.snapshot
    (alarm,) = (row for row in report.readings if row.severity == "hit")
    made = with_reasons(plan(RANGE, "1024 65535"), report, shot)
    assert [(each.ceiling, each.subject) for each in made.reasons] == [(alarm.ceiling, alarm.subject)]
    assert with_reasons(plan(SOMAXCONN), report, shot).reasons == ()
    opened = with_reasons(plan(SOMAXCONN), report, shot, alarm.key)
    assert opened.reasons == made.reasons
    assert with_reasons(replace(plan(RANGE), undoes="1"), report, shot).reasons == ()
    assert with_reasons(plan(RANGE), None, None).reasons == ()


def test_of_many_alarms_the_most_urgent_are_the_reasons() -> None:
    groups = [group(28232, destination=f"10.0.0.{number}") for number in range(20)]
    now = Stream().next(netns(ports=ports(*groups)))
    assert len(with_reasons(plan(RANGE), now.report, now.snapshot).reasons) == MAX_REASONS
