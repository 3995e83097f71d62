"""How far a walk is, as data that can be kept in a file and restored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from sockmon.guides.facts import Wanted
from sockmon.guides.guide import Check, Finding
from sockmon.model.outcome import Identity
from sockmon.model.plan import Setting
from sockmon.model.report import Reading
from sockmon.model.snapshot import Snapshot
from sockmon.model.transaction import State
from sockmon.text import sanitize

By = Literal["evidence", "reader"]
Wall = Annotated[float, msgspec.Meta(ge=0, lt=1e11)]
"""Wall-clock seconds since the epoch, that a date can be made of."""
MAX_TEXT_CHARACTERS = 4000


class Passed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step that was passed, with what was known at that moment."""

    step: str
    to: str
    at: Wall
    by: By = "evidence"
    """Whether the reader took another exit than the evidence suggested."""
    finding: Finding | None = None
    check: Check | None = None
    wanted: tuple[Wanted, ...] = ()
    """The settings that it proposed to change."""
    advice: tuple[str, ...] = ()
    """What it advised to change in the application."""


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """A change that was made at a step of the walk."""

    step: str
    id: str
    """The id of the transaction."""
    settings: tuple[Setting, ...]
    state: State
    persisted: bool = False
    not_kept: tuple[str, ...] = ()
    """Names of the settings that another process had changed before the change was kept."""


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """A walk as it is now."""

    guide: str
    host: str
    boot_id: str
    started: Wall
    step: str
    """The id of the step that is shown."""
    number: str = ""
    path: tuple[Passed, ...] = ()
    changes: tuple[Change, ...] = ()
    focus: tuple[str, str] | None = None
    identity: Identity | None = None
    """What the subject in focus is recognized by after a restart of its program."""
    before: Reading | None = None
    refusal: str = ""
    """Why the last change could not be made; empty if none was refused."""
    netns: int = 0
    """The inode of the network namespace."""

    def continues_on(self, snapshot: Snapshot) -> bool:
        """Return whether it was walked on the host and in the namespace of `snapshot`, since its last start."""
        here = (snapshot.host.name, snapshot.host.boot_id, snapshot.netns[0].inode)
        return (self.host, self.boot_id, self.netns) == here


def encode(progress: Progress) -> bytes:
    """Return the JSON that `decode` reads."""
    return msgspec.json.encode(progress)


def decode(guide: str, text: bytes) -> Progress | None:
    """Return the progress of `guide` in `text`, its text sanitized; None if it is damaged, or of another version
    or guide."""
    try:
        found = msgspec.convert(_sanitized(msgspec.json.decode(text)), Progress)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if found.guide == guide else None


def _sanitized(value: Any) -> Any:
    if isinstance(value, str):
        return sanitize(value, MAX_TEXT_CHARACTERS)
    if isinstance(value, list):
        return [_sanitized(each) for each in value]
    return {name: _sanitized(each) for name, each in value.items()} if isinstance(value, dict) else value
