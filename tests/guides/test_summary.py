"""The summary of a walk: Markdown for an incident note."""

from __future__ import annotations

import dataclasses

from msgspec.structs import replace

from sockmon.guides.summary import summary
from sockmon.model.transaction import ForeignValue
from tests.guides.walks import ACTOR, RANGE, begin, follow, full, transaction


def sections(text: str) -> dict[str, str]:
    head, *parts = text.split("\n## ")
    return {"": head} | {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in parts}


def test_a_verified_walk() -> None:
    walk, stream = begin(full())
    list(follow(walk))
    walk.changed(transaction())
    walk.take("check")
    walk.add(stream.next(full(usable=64512)))
    walk.add(stream.next(full(usable=64512), 5))
    list(follow(walk))
    walk.changed(transaction("kept"))
    found = sections(summary(walk, ACTOR))
    assert list(found) == ["", "Seen", "Ruled out", "Changed", "Verified", "Left to do"]
    assert "by anna as root" in found[""]
    assert "2027-01-15 08:00:01 UTC" in found[""]
    assert "28,232 of 28,232" in found["Seen"]
    assert f"`{RANGE}` 32768 60999 → 1024 65535: kept" in found["Changed"]
    assert "28,232 of 28,232 before, 28,232 of 64,512 now" in found["Verified"]
    assert "not written to /etc/sysctl.d" in found["Left to do"]


def test_a_walk_that_is_not_finished() -> None:
    walk, _ = begin(full())
    found = sections(summary(walk, ACTOR))
    assert found["Seen"] == found["Changed"] == "- nothing"
    assert "not finished" in found[""]


def test_foreign_text_ends_no_line_of_markdown() -> None:
    walk, stream = begin(full())
    now = stream.next(full())
    host = replace(now.snapshot.host, name="<b>`web`")
    walk.add(dataclasses.replace(now, snapshot=replace(now.snapshot, host=host)))
    assert "\\<b\\>\\`web\\`" in summary(walk, ACTOR)


def test_a_value_that_was_gone_before_it_was_kept_is_left_to_do() -> None:
    walk, _ = begin(full())
    list(follow(walk))
    walk.changed(transaction())
    walk.changed(replace(transaction("kept"), not_kept=(ForeignValue(RANGE, "1 2"),)))
    assert f"`{RANGE}` of `{transaction().id}` is not in effect" in sections(summary(walk, ACTOR))["Left to do"]
