"""A walk: where the evidence leads, what the reader may do instead, and how a verification comes to its state."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from sockmon.guides.ends import BY_ID as ENDS
from sockmon.guides.facts import Place, Wanted
from sockmon.guides.labels import check_seconds
from sockmon.guides.progress import decode, encode
from sockmon.guides.walk import Walk
from tests.guides.walks import GUIDE, RANGE, Stream, begin, follow, full, transaction
from tests.snapshots import group, listener, netns, ports, process, snapshot

RECORDING = Place("recording", cannot_change="it is a recording", sudo=True)


def to_change() -> tuple[Walk, Stream]:
    walk, stream = begin(full())
    assert list(follow(walk)) == ["full", "cause", "widen"]
    return walk, stream


def to_check() -> tuple[Walk, Stream]:
    walk, stream = to_change()
    walk.changed(transaction())
    walk.take("check")
    return walk, stream


def state(walk: Walk) -> str:
    assert walk.check is not None
    return walk.check.state


def test_the_evidence_leads_to_the_change() -> None:
    walk, _ = to_change()
    assert walk.suggested is None
    assert [each.key for each in walk.wanted] == [RANGE]
    assert walk.progress.focus == ("ephemeral-ports", "10.0.0.5 → 10.0.0.9:5432")
    assert [passed.by for passed in walk.progress.path] == ["evidence", "evidence"]


def test_a_change_that_helps_is_verified_when_it_has_held() -> None:
    walk, stream = to_check()
    assert state(walk) == "waiting"
    walk.add(stream.next(full(usable=64512)))
    assert walk.check is not None
    assert (state(walk), walk.check.seconds) == ("waiting", 5.0)
    assert walk.suggested is None
    walk.add(stream.next(full(usable=64512), 5))
    assert state(walk) == "met"
    assert check_seconds(walk.check) == "for 5 s"
    assert list(follow(walk))[-1] == "verified"
    assert walk.outcome == "verified"


def test_a_claim_that_is_broken_begins_again() -> None:
    walk, stream = to_check()
    walk.add(stream.next(full(usable=64512), 3))
    walk.add(stream.next(full(), 3))
    walk.add(stream.next(full(usable=64512), 3))
    assert state(walk) == "waiting"


def test_a_change_that_does_not_help_is_not_met() -> None:
    walk, stream = to_check()
    walk.add(stream.next(full(), 19))
    assert state(walk) == "waiting"
    walk.add(stream.next(full(), 1))
    assert state(walk) == "not-met"
    assert list(follow(walk))[-1] == "did-not-help"


def test_a_change_that_was_rolled_back_is_not_verified() -> None:
    walk, _ = to_change()
    walk.changed(transaction("refused"))
    assert list(follow(walk))[-1] == "run-commands"
    assert walk.outcome == "run-commands"


def test_the_end_names_why_the_kernel_rejected_a_change() -> None:
    walk, _ = to_change()
    walk.changed(msgspec.structs.replace(transaction("reverted"), messages=("nproc@2: the kernel rejected it.",)))
    list(follow(walk))
    assert walk.advice[0] == "Nothing was changed: nproc@2: the kernel rejected it."


def test_what_was_changed_elsewhere_may_not_be_what_the_guide_says() -> None:
    walk, stream = to_change()
    walk.take("check")
    walk.add(stream.next(full(), 20))
    list(follow(walk))
    assert "If it was made as advised, this was not the cause." in walk.advice
    assert "Roll the change back." not in walk.advice


@pytest.mark.parametrize(
    ("initial", "key", "named"), [(True, "nofile@2", False), (False, "nofile@2", True), (False, RANGE, False)]
)
def test_a_command_with_a_pid_says_that_the_host_has_another_one(initial: bool, key: str, named: bool) -> None:
    walk, stream = begin(full())
    taken = stream.next(full())
    assert taken.snapshot.tasks
    tasks = msgspec.structs.replace(taken.snapshot.tasks, initial=initial)
    now = dataclasses.replace(taken, snapshot=msgspec.structs.replace(taken.snapshot, tasks=tasks))
    facts = dataclasses.replace(walk.facts, now=now, proposed=(Wanted(key, "1024"),))
    lines = ENDS["run-commands"].text(facts)
    assert any("PID namespace" in line for line in lines) is named
    assert lines[-1] == "The change, to run as root:"


def test_the_state_of_a_change_is_kept_where_it_was_made() -> None:
    walk, _ = to_check()
    walk.changed(transaction("kept"))
    assert [(change.step, change.state) for change in walk.progress.changes] == [("widen", "kept")]


def test_on_a_recording_it_ends_with_the_command() -> None:
    walk, _ = begin(full(), RECORDING)
    assert list(follow(walk))[-1] == "run-commands"
    assert walk.commands[-1] == f"sudo sockmon tune apply '{RANGE}=1024 65535'"


def test_a_recording_verifies_nothing() -> None:
    walk, _ = begin(full(), RECORDING)
    list(follow(walk))
    walk.back()
    walk.take("check")
    assert state(walk) == "unknown"


def test_on_a_healthy_host_the_symptom_is_not_there() -> None:
    walk, stream = begin(netns())
    # One sample does not show movement, so nothing is decided yet.
    assert walk.finding is not None
    assert walk.finding.wait > 0
    assert walk.suggested is None
    walk.add(stream.next(netns(), 10))
    assert list(follow(walk))[-1] == "not-here"


def test_another_limit_is_named() -> None:
    walk, stream = begin(netns(ports=ports(group(100)), listeners=(listener(),)))
    walk.add(stream.assessor.add(snapshot(20.0, process(fds=1024), netns=(netns(),))))
    assert list(follow(walk)) == ["full", "others", "other-limit"]
    assert any("nginx[1044]" in line for line in walk.advice)


def test_what_cannot_be_read_is_not_decided() -> None:
    walk, _ = begin(netns(ports=None), Place(privileged=False, sudo=True))
    assert list(follow(walk)) == ["full", "cannot-be-known"]
    assert any("sudo sockmon guide toy" in line for line in walk.commands)


def test_the_reader_may_go_another_way_and_back() -> None:
    walk, _ = begin(full())
    walk.take("others")
    assert walk.progress.path[0].by == "reader"
    assert walk.back()
    assert walk.step.id == "full"
    assert not walk.back()
    with pytest.raises(ValueError, match="does not lead to"):
        walk.take("widen")


def test_progress_is_kept_and_restored() -> None:
    walk, stream = to_check()
    kept = decode(GUIDE.name, encode(walk.progress))
    assert kept == walk.progress
    again = Walk(GUIDE, stream.next(full(usable=64512)), progress=kept)
    assert again.step.id == "check"
    assert again.progress.before is not None
    again.add(stream.next(full(usable=64512), 5))
    assert state(again) == "met"


def test_progress_of_another_version_ends_where_it_still_fits() -> None:
    walk, stream = to_check()
    text = encode(walk.progress).replace(b'"widen"', b'"gone"')
    again = Walk(GUIDE, stream.next(full()), progress=decode(GUIDE.name, text))
    assert again.step.id == "cause"
    assert decode(GUIDE.name, b"{") is None


def test_progress_of_a_damaged_file_is_refused_and_its_text_is_sanitized() -> None:
    walk, _ = to_check()
    text = encode(walk.progress)
    assert decode(GUIDE.name, text.replace(b'"started":', b'"started":1e300,"x":')) is None
    assert decode(GUIDE.name, b"[" * 100_000) is None
    hostile = decode(GUIDE.name, text.replace(b'"host":"', b'"host":"\\u001b[2J'))
    assert hostile is not None
    assert "\x1b" not in hostile.host


def test_a_focus_on_an_unknown_limit_is_dropped() -> None:
    walk, stream = to_check()
    kept = msgspec.structs.replace(walk.progress, focus=("gone", "x"))
    assert Walk(GUIDE, stream.next(full()), progress=kept).facts.focus is None


def test_progress_of_another_host_is_known_as_such() -> None:
    walk, _ = to_check()
    assert not walk.progress.continues_on(snapshot(netns=(netns(inode=77),)))
    assert walk.progress.continues_on(snapshot())
    assert not walk.progress.continues_on(
        snapshot(host=snapshot().host.__class__("b", "6", "x", 1, 4096, "root", 0))
    )


def test_a_change_that_failed_is_proposed_again_as_a_command() -> None:
    walk, _ = begin(full())
    list(follow(walk))
    walk.changed(transaction("reverted"))
    list(follow(walk))
    assert walk.outcome == "run-commands"
    assert [each.key for each in walk.facts.proposed] == [RANGE]
