"""Drift: what was kept and is another now, or would be another after a restart."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from sockmon.errors import NotTuned
from sockmon.model.change import Drift, Setting, Transaction, standing
from sockmon.tunables import row_of
from sockmon.tunables.value import same
from sockmon.tuning.boot import Boot, boot
from sockmon.tuning.here import Here
from sockmon.tuning.history import newest
from sockmon.tuning.inside import home
from sockmon.tuning.look import look
from sockmon.tuning.persist import FILE, overruled
from sockmon.tuning.places import LIBRARY, Places
from sockmon.tuning.recover import boot_id, netns
from sockmon.tuning.sysctl_d import path_of, real

Claim = tuple[Transaction, Setting]
"""A setting that was kept, and by which transaction."""


def verify(root: str = "/") -> tuple[Drift, ...]:
    """Everything that was kept and not undone since, and is not as it was kept; by key.

    A process that has ended has no limit that could drift, nor has a value that a restart took and that was not
    written to /etc/sysctl.d. NotTuned where the history may not be read; nothing is made below `root`."""
    claims = [claim for claim in _claims(_past(root)) if _counts(*claim)]
    if not claims:
        return ()
    here, files = look([setting.name for _, setting in claims]), boot(home(root))
    found = [drift for claim in claims if (drift := _drift(claim, here, files)) is not None]
    return tuple(sorted(found, key=lambda drift: (drift.key, drift.pid)))


def _claims(past: Iterable[Transaction]) -> list[Claim]:
    """What of a history, newest first, still stands: of each key the last that was kept and not undone."""
    claims: dict[tuple[str, int, int], Claim] = {}
    for one in standing(past):
        for setting in one.plan.settings:
            claims.setdefault((setting.key, setting.pid, setting.start), (one, setting))
    return list(claims.values())


def as_json(found: Iterable[Drift]) -> str:
    """One object: `drift`, one for each."""
    content = {"schema": 1, "drift": list(found)}
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()


def _past(root: str) -> Sequence[Transaction]:
    """The history, newest first; without a directory of ours there is none."""
    try:
        os.stat(Path(home(root), LIBRARY, "history"))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise NotTuned(f"the history cannot be read: {error.strerror}", "it takes root") from error
    places = Places(root, make=False)
    try:
        return newest(places)
    finally:
        places.close()


def _counts(one: Transaction, setting: Setting) -> bool:
    """Whether it should be so now, here: in this boot and namespace, or at each boot."""
    inside = not setting.key.startswith("net.")
    if one.plan.boot_id == boot_id():
        return inside or one.plan.netns == netns()
    return one.persisted and not setting.pid and (inside or netns() == _first_netns())


def _first_netns() -> int:
    """Inode of the namespace of the first process, which is what a boot sets up; 0 where it may not be seen."""
    with suppress(OSError):
        return os.stat("/proc/1/ns/net").st_ino
    return 0


def _drift(claim: Claim, here: Here, files: Boot) -> Drift | None:
    one, setting = claim
    key = setting.name
    if setting.pid and here.starts.get(key) != setting.start:
        return None
    now = here.values.get(key)
    against = _at_boot(setting, files) if one.persisted and not setting.pid else []
    if now is None:
        words = f"cannot be read any more: {here.refused.get(key, 'it is not there')}"
    elif not same(row_of(key), now, setting.new):
        words = f"is {now or 'empty'} now"
    elif against:
        words = "is so now, but would not be after a restart"
    else:
        return None
    said = "; ".join([f"{key} was kept as {setting.new or 'empty'} by {_by(one)}, and {words}", *against])
    return Drift(setting.key, setting.new, now, one.id, setting.pid, said)


def _at_boot(setting: Setting, files: Boot) -> list[str]:
    """Why a value that was written to our file would not be there after a restart."""
    lines = [line for every in files.lines.values() for line in every if line.file == FILE]
    against = list(overruled([setting], files))
    if against and not any(real(line.path) == path_of(setting.key) for line in lines):
        return [f"{FILE} has no line for it any more", *against]
    return against


def _by(one: Transaction) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.begun))
    return f"{one.who.login or one.who.user} on {when} ({one.id})"
