"""The commands that the documentation prints: each one, with the page that prints it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from docs.make import contexts
from tests.netns import ROOT

PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
SHELL = ("sh", "")
"""Languages of a fenced block in which commands stand; help and pictures have none."""
VERBS = {context.command.name for context in contexts() if context.parent}


def commands() -> dict[str, list[str]]:
    """Return every command that a page prints, without its comment, and the pages that print it."""
    found: dict[str, list[str]] = {}
    for page in PAGES:
        for command in _of_page(ROOT / page):
            pages = found.setdefault(command, [])
            if page not in pages:
                pages.append(page)
    return found


def _of_page(page: Path) -> Iterator[str]:
    text = page.read_text()
    for language, block in FENCE.findall(text):
        if language in SHELL:
            yield from (command for line in block.splitlines() if is_command(command := _bare(line)))
    yield from (span for span in SPAN.findall(FENCE.sub("", text)) if is_command(span))


def _bare(line: str) -> str:
    """Return a line of a shell without its comment."""
    return re.sub(r"\s+#\s.*", "", line.strip())


def is_command(text: str) -> bool:
    """Tell whether `text` is a command: a program of ours, of the repository, or one that leads to these."""
    try:
        words = shlex.split(text)
    except ValueError:
        return False
    if not words:
        return False
    if words[0] == "sockmon":
        return len(words) == 1 or words[1] in VERBS or words[1].startswith("-")
    if words[0] == "export":
        return len(words) == 2 and "=" in words[1]
    if words[0] in ("make", "sudo", "python", "python3"):
        return len(words) > 1
    return words[0].startswith((".venv/bin/", ".ci/")) or (len(words) == 1 and words[0] == "screenshots/render.py")
