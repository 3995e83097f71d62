"""The changes that are staged on the tuning panel, and the plan that they make."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from sockmon.errors import SockmonError
from sockmon.model.change import Proposal
from sockmon.tunables import row_of
from sockmon.tuning.here import Here
from sockmon.tuning.plan import plan
from sockmon.tuning.proposal import SHOWN

_WITH_IT = re.compile(r"plan ([a-z0-9_.]+)=(\S+) with it\Z")
"""How a caution ends that asks for a second change; nothing foreign stands behind it."""


class Made(NamedTuple):
    """What staged changes come to: a proposal, or why there is none; neither where nothing is staged."""

    proposal: Proposal | None = None
    error: SockmonError | None = None


class Staged:
    """The value that each key shall get, in the order of staging."""

    def __init__(self) -> None:
        self.wanted: dict[str, str] = {}

    def make(self, here: Here | None) -> Made:
        """The plan for all of it."""
        return make(self.wanted, here)

    def check(self, key: str, value: str, here: Here | None) -> Made:
        """The plan with this one too; the one for it alone where the others stand in the way."""
        among = make({**self.wanted, key: value}, here)
        if among.error is None or not self.wanted:
            return among
        alone = make({key: value}, here)
        return among if alone.error else alone

    def put(self, key: str, value: str, here: Here | None) -> SockmonError | None:
        """Stage `value`, or say why it may not be; one that is there already takes the key out."""
        made = self.check(key, value, here)
        if made.error and here:
            return made.error
        if made.proposal and key in made.proposal.already:
            self.wanted.pop(key, None)
        else:
            self.wanted[key] = value
        return None


def make(wanted: Mapping[str, str], here: Here | None) -> Made:
    """The plan for `wanted`; it can be looked at also where nothing may be changed."""
    if not wanted:
        return Made()
    if here is None:
        return Made(error=SockmonError("the values of this machine are not known yet"))
    try:
        return Made(plan(wanted, replace(here, fixed="")))
    except SockmonError as error:
        return Made(error=error)


def value(text: str | None) -> str:
    """A value as it is shown; an empty list of ports is one too, and a long one is shown in part."""
    if text is None:
        return "?"
    return (text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text):,} characters)") or "(empty)"


def suggested(proposal: Proposal | None) -> dict[str, str]:
    """What the cautions of a plan ask for beside it, by key."""
    found: dict[str, str] = {}
    for preview in proposal.previews if proposal else ():
        for warning in preview.warnings:
            asked = _WITH_IT.search(warning)
            if asked and asked[1] in row_of(preview.setting.key).couplings:
                found[asked[1]] = asked[2]
    return found
