"""Which command was probably meant by a wrong command line; nothing is guessed that would not be accepted."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence

import click

from sockmon.errors import SockmonError

SETTING_VERBS = ("set", "change", "write")
"""Words that people use for `plan`."""


def intended(argv: Sequence[str], root: click.Group) -> str:
    """Return the command, `sockmon lab run accept-queue`; empty if there is none."""
    if not argv or argv[0].startswith("-"):
        return ""
    verb, *rest = argv
    group = root.commands.get(verb)
    if group is None:
        words = _without_verb(argv, root)
    elif verb == "check":
        words = _check(rest)
    elif verb == "lab" and rest and _is_lab(rest[0]):
        words = ["lab", "run", *rest]
    elif verb == "tune":
        words = _tune(rest, root)
    else:
        words = []
    return shlex.join(["sockmon", *words]) if words and words != list(argv) else ""


def _without_verb(argv: Sequence[str], root: click.Group) -> list[str]:
    groups = {name: command for name, command in root.commands.items() if isinstance(command, click.Group)}
    owner = next((name for name, group in groups.items() if argv[0] in group.commands), "")
    if argv[0].startswith("ssh://") or os.path.isfile(argv[0]):
        return ["--from", argv[0]]
    if owner and len(argv) > 1:
        return [owner, *argv]
    if "=" in argv[0]:
        return _plan(argv)
    return ["explain", *argv] if _can_be_explained(" ".join(argv)) else []


def _check(rest: Sequence[str]) -> list[str]:
    names = [word for word in rest if not word.startswith("-")]
    if names and os.path.isfile(names[0]):
        return ["check", "--from", names[0]]
    chosen = [_ceiling(name) for name in names]
    return ["check", "--only", ",".join(chosen)] if chosen and all(chosen) else []


def _tune(rest: Sequence[str], root: click.Group) -> list[str]:
    tune = root.commands["tune"]
    known: Mapping[str, click.Command] = tune.commands if isinstance(tune, click.Group) else {}
    verb, *words = rest or [""]
    if verb in ("plan", "apply"):
        return [found[0], verb, *found[2:]] if (found := _plan(words)) else []
    if verb in known:
        return []
    if verb in SETTING_VERBS:
        return _plan(words)
    return _plan(rest) or (["tune", "show", verb] if verb and not words and _is_setting(verb) else [])


def _plan(words: Sequence[str]) -> list[str]:
    """Return the plan of `KEY=VALUE ...` or `KEY VALUE`; a value of several numbers may be several words."""
    key, *value = words or [""]
    if words and all("=" in word and _is_setting(word.partition("=")[0]) for word in words):
        return ["tune", "plan", *words]
    if value and "=" not in key and all(word.isdecimal() for word in value) and _is_setting(key):
        return ["tune", "plan", f"{key}={' '.join(value)}"]
    return []


def _is_lab(name: str) -> bool:
    from sockmon.labs import BY_NAME

    return name in BY_NAME


def _ceiling(name: str) -> str:
    from sockmon.tuning.planning.naming import ceiling_id

    return ceiling_id(name)


def _is_setting(name: str) -> bool:
    from sockmon.tuning.planning.naming import find_setting

    try:
        return bool(find_setting(name))
    except SockmonError:
        return False


def _can_be_explained(text: str) -> bool:
    from sockmon.explain.topics import find

    try:
        return bool(find(text))
    except SockmonError:
        return False
