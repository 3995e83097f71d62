"""Each guide on the screen at 80x24, on the real kernel of its lab: from the symptom through the real tuning path,
with the typed word and the hold, to "verified"; or to "do not tune", or to the commands, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from sockmon.guides import BY_NAME, GUIDES
from tests.guides.screen_walks import PATIENCE, begin, press_until, screen_of_lab, walk

NO_WAYS: Mapping[str, str] = MappingProxyType({})
VERIFIED = "✔ Verified: it helped"
DO_NOT_TUNE = "● Do not tune: fix the application"
NOT_FROM_HERE = "▸ Not changed from here"
NO_CHANGE = "without the change"


class Row(NamedTuple):
    """A walk by hand: what is typed, and how it ends."""

    guide: str
    result: str
    words: tuple[str, ...] = ()
    """What is on the screen of the end."""
    decision: str = "K"
    """The key that ends the hold, if a change is pending."""
    ways: Mapping[str, str] = NO_WAYS
    """The choice that a person takes instead of what is suggested, by the title of the step."""
    number: str = ""


ROWS = (
    Row("stuck-at-n", VERIFIED, ("256:20000 → 1024:20000",), number="256"),
    Row("cannot-assign-address", VERIFIED, ("40000 40199 → 1024 65535",)),
    Row("connections-time-out", "✔ Verified", ("net.core.somaxconn",)),
    Row("close-wait", DO_NOT_TUNE, ("forgetful",), ways={"Close what the peers have closed": NO_CHANGE}),
    Row("too-many-files", VERIFIED, ("nofile@",)),
    Row("cannot-fork", VERIFIED, ("kernel.pid_max",), "U"),
    Row("unix-socket-eagain", DO_NOT_TUNE, ("logd",), ways={"Let the reader read": NO_CHANGE}),
    Row("neighbour-table-full", NOT_FROM_HERE, ("this is a recording", "gc_thresh3=4096")),
    Row("time-wait", VERIFIED, ("40000 40199 → 1024 65535",), "U"),
    Row("conntrack-full", NOT_FROM_HERE, ("read-only in this network namespace", "tune apply")),
    Row("lost-packets", DO_NOT_TUNE, ("collector",), ways={"Let the application read faster": NO_CHANGE}),
    Row("slow-connects", VERIFIED, ("40000 49999 → 1024 65535",)),
    Row("before-a-launch", "✔ The limits are high enough", ("nofile@",), number="10000"),
)
DECIDED = {"K": ("● kept", "✔ KEPT"), "U": ("rolled back",)}
"""What shows that the hold has ended: at the step, or in the bar if the step is longer than the screen."""


@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.guide)
def test_a_person_walks_to_the_end(row: Row, tmp_path: Path) -> None:
    guide = BY_NAME[row.guide]
    with screen_of_lab(guide.lab, str(tmp_path)) as terminal:
        begin(terminal, guide, row.number)
        walk(terminal, row.ways)
        screen = terminal.until(row.result, PATIENCE)
        assert not [words for words in row.words if words not in screen], screen
        if "PENDING" in screen:
            press_until(terminal, row.decision, lambda now: any(words in now for words in DECIDED[row.decision]))


def test_every_guide_is_walked() -> None:
    assert [row.guide for row in ROWS] == [guide.name for guide in GUIDES]
