"""A Proposal in words and as JSON: `tune plan`."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sockmon import format as words
from sockmon.ceilings.sections import Section, sentence
from sockmon.model.change import Preview, Proposal

SHOWN = 200
"""Characters of a value that are shown; the command below has all of it."""
Page = tuple[str, str, tuple[Section, ...]]
"""Title, a sentence, and sections."""


def as_json(proposal: Proposal) -> str:
    """The Proposal, field for field."""
    content = {"schema": 1, **msgspec.structs.asdict(proposal)}
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()


def pages(proposal: Proposal) -> list[Page]:
    """Each change on its own, in the order of writing, and how the old values come back."""
    found: list[Page] = [_page(preview) for preview in proposal.previews]
    if proposal.already:
        found.append(("Nothing to do", f"{', '.join(proposal.already)}: that is the value already.", ()))
    if proposal.revert:
        found.append(("Going back", sentence(proposal.revert), ()))
    return found


def by_hand(proposal: Proposal) -> list[str]:
    """Commands on lines of their own, which can be copied."""
    if not proposal.commands:
        return []
    return ["By hand, as root:", *proposal.commands, "", "And back:", *proposal.back]


def _page(preview: Preview) -> Page:
    old, new = (_shown(text) for text in (preview.setting.old, preview.setting.new))
    return preview.setting.name, f"{old} -> {new}", tuple(_sections(preview))


def _sections(preview: Preview) -> Iterator[Section]:
    yield Section("Effect", (preview.effect,))
    if preview.warnings:
        yield Section("Think of", tuple(map(sentence, preview.warnings)))
    yield Section("Takes effect", (sentence(preview.when),))
    yield Section("Stays", tuple(map(sentence, preview.keeps)))
    yield Section("Whose", (sentence(preview.scope),))
    yield Section("Risk", (sentence(preview.risk),))
    yield Section("Memory", (_cost(preview.cost),))
    if preview.boot:
        yield Section("At boot", preview.boot)


def _cost(cost: int | None) -> str:
    if not cost:
        return "Not known in numbers." if cost is None else "None by itself."
    return f"{words.size(abs(cost))} {'less' if cost < 0 else 'more'} when it is used to the full."


def _shown(text: str) -> str:
    return (text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text):,} characters)") or "(empty)"
