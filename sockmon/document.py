"""A document: sections with a heading and paragraphs, which every front end prints in its own way. Pure."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import msgspec

CODE = (
    *("echo", "epoll", "ethtool", "grep", "inotify", "modprobe", "nsenter", "prlimit", "ss", "sysctl"),
    *("systemctl", "systemd", "tail", "ulimit", "wc", "nofile", "nproc", "sockmon", "somaxconn"),
)
"""Commands and settings that keep their lower-case letter at the start of a sentence."""
_FIRST_WORD = re.compile(r"(?!\S*\[\d+\])([a-z]+)(?:'s)?(?:[ ,:]|-[a-z])")

SectionKind = Literal["text", "state", "effect", "danger", "warnings", "advice", "commands", "source"]


class Section(NamedTuple):
    """A heading of at most 14 characters, and its paragraphs."""

    name: str
    paragraphs: tuple[str, ...]
    kind: SectionKind = "text"
    """What a screen goes by to style a section, to place it, or to leave it out."""


def sentence(text: str) -> str:
    """Return `text` as a sentence: with a full stop, and a capital letter unless its first word is code or names a
    process, such as `web-server[2]`."""
    first = _FIRST_WORD.match(text)
    if first and first[1] not in CODE:
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


def json_text(content: object) -> str:
    """Return `content` as indented JSON, as every `--json` prints it."""
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()
