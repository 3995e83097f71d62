"""Every guide: its steps lead to each other and to an end, and it names what exists."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sockmon.ceilings import BY_ID
from sockmon.errors import NoSuchGuide
from sockmon.guides import GUIDES, Guide, before_a_launch, find_guide, guides_to
from sockmon.guides.ends import BY_ID as ENDS
from sockmon.guides.guide import MAX_BRIEF, Act, End, Step, Verify
from sockmon.labs import BY_NAME
from tests.netns import ROOT

EVERY = pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
MAX_TITLE, MAX_LABEL, MAX_GOAL = 40, 39, 34
"""Cells on a screen of 80 columns: in the list of steps, of a choice, and of the step that it leads to."""


def reachable(guide: Guide) -> Iterator[Step]:
    """Yield every step that a walk can come to, the first one first."""
    steps = {**ENDS, **{step.id: step for step in guide.steps}}
    found, open_ = [guide.steps[0].id], [guide.steps[0].id]
    while open_:
        step = steps[open_.pop()]
        yield step
        new = [each.to for each in step.exits() if each.to not in found]
        found += new
        open_ += new


@EVERY
def test_the_brief_symptom_fits_a_narrow_list(guide: Guide) -> None:
    assert len(guide.brief) <= MAX_BRIEF


@EVERY
def test_every_step_is_reached_and_leads_to_an_end(guide: Guide) -> None:
    found = list(reachable(guide))
    assert {step.id for step in guide.steps} <= {step.id for step in found}
    assert len({step.id for step in guide.steps}) == len(guide.steps)
    ends = {step.id for step in found if isinstance(step, End)}
    assert {"verified", "do-not-tune"} & ends
    # What is asked before a launch is not about a symptom, so no other limit is its cause.
    other = {"other-limit"} if guide is not before_a_launch.GUIDE else set()
    assert {"not-here", "cannot-be-known", *other} <= ends
    for step in found:
        assert isinstance(step, End) or step.exits()


@EVERY
def test_no_step_leads_back_to_an_earlier_one(guide: Guide) -> None:
    steps = {**ENDS, **{step.id: step for step in guide.steps}}

    def follow(path: tuple[str, ...]) -> None:
        for each in steps[path[-1]].exits():
            assert each.to not in path, " → ".join((*path, each.to))
            follow((*path, each.to))

    follow((guide.steps[0].id,))


@EVERY
def test_after_an_act_comes_a_verification(guide: Guide) -> None:
    steps = {**ENDS, **{step.id: step for step in guide.steps}}
    for step in guide.steps:
        if isinstance(step, Act):
            assert isinstance(steps[step.done], Verify)


@EVERY
def test_it_names_what_exists(guide: Guide) -> None:
    assert guide.lab in BY_NAME
    # Before a launch the host is healthy.
    assert BY_NAME[guide.lab].ceiling in (*guide.ceilings, *([None] if guide.lab_number else []))
    assert set(guide.ceilings) <= set(BY_ID)
    assert find_guide(guide.name) is guide
    for step in guide.steps:
        for example in step.examples if isinstance(step, (Act, End)) else ():
            assert not example.file or (ROOT / "docs/examples" / example.file).is_file()


@EVERY
def test_titles_fit_a_list_of_steps(guide: Guide) -> None:
    for step in guide.steps:
        assert len(step.title) <= MAX_TITLE
        for each in step.exits():
            assert len(each.label) <= MAX_LABEL
            assert len({**ENDS, **{other.id: other for other in guide.steps}}[each.to].title) <= MAX_GOAL


def test_a_guide_has_a_name_of_its_own() -> None:
    assert len({guide.name for guide in GUIDES}) == len(GUIDES)
    with pytest.raises(NoSuchGuide) as refused:
        find_guide("stuck-at")
    assert "stuck-at-n" in refused.value.hint


def test_the_guides_of_a_ceiling() -> None:
    assert guides_to("ephemeral-ports")[0].name == "cannot-assign-address"
