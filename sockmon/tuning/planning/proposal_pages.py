"""A Proposal as pages of sections and as JSON, for `tune plan`, `tune apply` and the screen."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sockmon import format as fmt
from sockmon.document import Section, json_text, sentence
from sockmon.model.plan import PlanWarning, Preview, Proposal
from sockmon.tunables import row_of

MAX_SHOWN_CHARACTERS = 200
"""Characters of a value that are shown; the commands have all of it."""
Page = tuple[str, str, tuple[Section, ...]]
"""Title, a sentence, and sections."""


def as_json(proposal: Proposal) -> str:
    """Return the Proposal field for field; a warning is its text, `suggests` has the suggested values by key, and
    `dangers` the warnings about being locked out."""
    content = {"schema": 1, **msgspec.to_builtins(proposal)}
    for preview in content["previews"]:
        warnings = preview["warnings"]
        preview["warnings"] = [each["text"] for each in warnings]
        preview["dangers"] = [each["text"] for each in warnings if each["severe"]]
        preview["suggests"] = dict(each["suggests"] for each in warnings if each["suggests"])
    return json_text(content)


def pages(proposal: Proposal) -> list[Page]:
    """Return a page for each change, in the order of writing, and one for the rollback."""
    found: list[Page] = [_page(preview) for preview in proposal.previews]
    if proposal.already:
        found.append(("Nothing to change", f"{', '.join(proposal.already)}: the value is already set.", ()))
    if proposal.left:
        found.append(("Not undone", " ".join(proposal.left), ()))
    if proposal.rollback:
        found.append(("Rollback", sentence(proposal.rollback), ()))
    return found


def command_lines(proposal: Proposal) -> list[str]:
    """Return the commands that do the same, on lines of their own that can be copied."""
    if not proposal.commands:
        return []
    return [
        "By hand as root, without the automatic rollback:",
        *proposal.commands,
        "",
        "And back, by hand:",
        *proposal.rollback_commands,
    ]


def format_value(text: str | None) -> str:
    """Return a value for a person: `?` if it is not known, `(empty)`, and of a long one the beginning."""
    if text is None:
        return "?"
    if len(text) > MAX_SHOWN_CHARACTERS:
        return f"{text[:MAX_SHOWN_CHARACTERS]}… ({len(text):,} characters)"
    return text or "(empty)"


def _page(preview: Preview) -> Page:
    old, new = format_value(preview.setting.old), format_value(preview.setting.new)
    return preview.setting.name, f"{old} → {new}", tuple(_sections(preview))


def _sections(preview: Preview) -> Iterator[Section]:
    if preview.effect:
        yield Section("Effect", (preview.effect,), "effect")
    yield from warning_sections(preview.warnings)
    if preview.takes_effect:
        yield Section("Takes effect", (sentence(preview.takes_effect),))
    if preview.unaffected:
        yield Section("Not affected", tuple(map(sentence, preview.unaffected)))
    if preview.scope:
        yield Section("Scope", (sentence(preview.scope),))
    yield Section("Risk", (sentence(preview.risk),))
    yield Section("Memory", (_memory(preview),))
    if preview.at_boot:
        yield Section("Origin" if preview.setting.pid else "At boot", preview.at_boot)


def warning_sections(warnings: tuple[PlanWarning, ...]) -> Iterator[Section]:
    """Yield what may lock the user out under `Danger`, and the other warnings."""
    severe = tuple(sentence(each.text) for each in warnings if each.severe)
    others = tuple(sentence(each.text) for each in warnings if not each.severe)
    if severe:
        yield Section("Danger", severe, "danger")
    if others:
        yield Section("Warnings", others, "warnings")


def _memory(preview: Preview) -> str:
    difference = preview.memory
    if difference is None:
        return row_of(preview.setting.key).memory or "Not known."
    if not difference:
        return "No extra memory by itself."
    return f"Up to {fmt.size(abs(difference))} {'less' if difference < 0 else 'more'}."
