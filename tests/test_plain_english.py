"""The long texts read as sentences: nothing that a re-wrap broke, no fragment, no word twice, no foreign idiom."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from sockmon.ceilings import CEILINGS
from sockmon.ceilings.sections import unit_and_scope
from sockmon.cli.explain import observe
from sockmon.document import CODE
from sockmon.explain.explanation import Explanation, build_explanation, index
from sockmon.explain.observation import Observation
from sockmon.explain.topics import find, names
from sockmon.tunables import BY_KEY
from tests.netns import ROOT

NUMBERS = ("28232", "32,7xx", "470/s", "90123457")
PROSE = (
    *("Measurement", "Symptoms", "Live change", "Persistence", "Cost", "Misconceptions", "Default", "Allowed"),
    *("Takes effect", "Not affected", "Scope", "Risk", "Memory", "Causes", "First remedy", "Missing", "Removed"),
)
LIVE = ("Now", "This machine", "Nearest", "Limits", "Sysctls")
"""Sections with values and names of this machine."""
HEAD = re.compile(r"[A-Z0-9`/$\[(]|[a-z_]+[0-9_./(=:-]|" + "|".join(rf"{word}\b" for word in CODE))
"""How a sentence may begin: a capital, a number, or code (a path, a function, a key, a command)."""
TWICE = re.compile(r"\b([a-z]{2,}) \1\b")
FOREIGN = re.compile(
    r"\b(nobody|somebody|everybody|whoever|anew|beside|by which|the wall|for good|dear|brought about|told|"
    r"tells|says|said|sees|saw|looks?|where (it|nobody|none|there)|is none|stands|goes on|myths?)\b",
    re.IGNORECASE,
)
"""Idioms that the style of this project avoids, because a reader with another first language may not know them."""
MIN_LINE_CHARS = 24
"""Characters below which a line of a literal in the middle of others was left behind by a re-wrap."""
ACCOUNT = re.compile(r"\b(of|user) nobody\b|\bnobody(?= \()", re.IGNORECASE)
"""The user `nobody`, who is at a limit while a lab runs on this machine."""
SOURCES = sorted((ROOT / "sockmon").rglob("*.py"))


@lru_cache
def now() -> Observation:
    return observe(None, BY_KEY)


def paragraphs(explanation: Explanation) -> Iterator[tuple[str, str]]:
    yield "what", explanation.what
    for section in explanation.sections:
        for text in section.paragraphs:
            yield section.name, text


@pytest.mark.parametrize("name", [*names(), *NUMBERS])
def test_every_text_of_explain_is_made_of_sentences(name: str) -> None:
    for section, found in paragraphs(build_explanation(find(name), now(), {})):
        text = ACCOUNT.sub("of www", found)
        where = f"{section}: {text}"
        assert "? of" not in text, where
        if section in LIVE:
            continue
        assert not TWICE.search(text), where
        assert not FOREIGN.search(text), where
        assert "  " not in text or section == "Well known", where
        assert text == text.strip(), where
        assert not re.search(r" [,.;:!?](\s|$)", text), where
        if section in PROSE:
            assert HEAD.match(text), where
            assert text.endswith((".", "!", "?", ":")), where


def test_the_index_is_plain_english() -> None:
    for _, text in paragraphs(index()):
        assert not FOREIGN.search(text)
        assert not TWICE.search(text)


def test_the_unit_names_what_has_the_limit() -> None:
    units = {ceiling.id: unit_and_scope(ceiling) for ceiling in CEILINGS}
    assert units["accept-queue"] == "connections of each listener"
    assert units["syn-queue"] == "handshakes of each listener"
    assert units["unix-dgram-queue"] == "messages of each receiving socket"
    assert units["process-fds"] == "descriptors of each process"
    assert units["system-fds"] == "files of the whole host"


ROWS = sorted(
    path
    for room in ("ceilings", "guides", "tunables", "explain", "misconceptions.py")
    for path in (ROOT / "sockmon").glob(room)
)
ROW_FILES = [file for path in ROWS for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]


@pytest.mark.parametrize("path", ROW_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_rows_are_plain_english(path: Path) -> None:
    literals = (node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
    assert [text for text in literals if isinstance(text, str) and FOREIGN.search(text)] == []


def groups(path: Path) -> Iterator[list[tokenize.TokenInfo]]:
    """Yield the literals that Python joins, those on lines of their own."""
    skipped = (tokenize.NL, tokenize.COMMENT)
    found: list[tokenize.TokenInfo] = []
    with path.open() as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type == tokenize.STRING and not token.string.startswith(("b", '"""')):
                found.append(token)
            elif token.type not in skipped and found:
                yield found
                found = []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_literal_has_a_short_line_in_the_middle(path: Path) -> None:
    for group in groups(path):
        for before, token, after in zip(group, group[1:], group[2:], strict=False):
            alone = before.end[0] < token.start[0] and token.end[0] < after.start[0]
            assert not alone or len(token.string) >= MIN_LINE_CHARS or "\\n" in token.string, (
                token.start,
                token.string,
            )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_docstring_contains_the_quotes_of_a_literal(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not re.search(r'"\n\s*"', node.value), (node.lineno, node.value[:80])
