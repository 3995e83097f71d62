"""What is said about a ceiling, in the order in which it is read: for `explain`, the screen and the docs alike."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sockmon.ceilings.ceiling import Ceiling

CODE = (
    *("echo", "ethtool", "grep", "modprobe", "nsenter", "prlimit", "ss", "sysctl", "systemctl", "tail", "ulimit"),
    *("wc", "nofile", "nproc", "somaxconn"),
)
"""Words that are written small at the head of a sentence too."""
_WORD = re.compile(r"([a-z]+)(?:'s)?(?:[ ,:]|-[a-z])")


class Section(NamedTuple):
    """A heading of at most 13 characters, and its paragraphs."""

    name: str
    paragraphs: tuple[str, ...]


def sentence(text: str) -> str:
    """`text` with a capital at its head, where that is a word and no code, and a full stop at its end."""
    first = _WORD.match(text)
    if first and first[1] not in CODE:
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


def sections(ceiling: Ceiling, values: Mapping[str, str] | None = None) -> Iterator[Section]:
    """How it is counted and shows, how to raise it, costs, myths, and its sysctls with their `values` here."""
    words = ceiling.words
    if words is None:
        return
    yield Section("How counted", (sentence(words.counted),))
    yield Section("How it shows", tuple(map(sentence, words.shows)))
    yield Section("Raise it now", (sentence(words.live),))
    yield Section("For good", (sentence(words.lasting),))
    yield Section("What it costs", (sentence(words.costs),))
    if words.myths:
        yield Section("Against myths", tuple(map(sentence, words.myths)))
    if words.keys:
        yield Section("Sysctls", tuple(setting(key, (values or {}).get(key)) for key in words.keys))
    if words.source:
        yield Section("Source", (words.source,))


def setting(key: str, value: str | None) -> str:
    """`net.core.somaxconn = 4096`, or the key alone where its value is not known; a list may be empty."""
    return key if value is None else f"{key} = {value or '(empty)'}"
