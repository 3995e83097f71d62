"""`CEILING[:SUBJECT]`: how the user names a limit or some of its subjects, as an argument and in the config."""

from __future__ import annotations

from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import NamedTuple

from sockmon.ceilings import BY_ID
from sockmon.errors import NoSuchName
from sockmon.text import sanitize


class Selector(NamedTuple):
    """A ceiling, or those of its subjects that are equal to a text or match it as a shell pattern."""

    ceiling: str
    subject: str = ""
    """Empty: every subject."""

    def matches(self, ceiling: str, subject: str) -> bool:
        """Return whether it names this subject of this ceiling."""
        if ceiling != self.ceiling:
            return False
        # `[::]:80` and `nginx[812]` are subjects, and as a pattern they would match others.
        return self.subject in ("", subject) or fnmatchcase(subject, self.subject)

    def __str__(self) -> str:
        return f"{self.ceiling}:{self.subject}" if self.subject else self.ceiling


def parse_selector(text: str) -> Selector:
    """Return what `text` names; raise NoSuchName, with the nearest id, if no ceiling has this id."""
    name, _, subject = text.strip().partition(":")
    ceiling = name.strip().lower()
    if ceiling not in BY_ID:
        names = {row.title: row.id for row in BY_ID.values()} | {key: key for key in BY_ID}
        near = [names[found] for found in get_close_matches(ceiling, names, 1)]
        hint = f"nearest: {near[0]}" if near else "`sockmon explain` without an argument lists all limits"
        raise NoSuchName(f"unknown limit `{sanitize(name, 60)}`", hint)
    return Selector(ceiling, sanitize(subject))
