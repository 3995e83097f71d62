"""Finds drift: values that were kept, but are no longer in effect or would not survive a reboot."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from sockmon.document import json_text
from sockmon.errors import TuningError
from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.model.boot import Drift
from sockmon.model.current_settings import CurrentSettings
from sockmon.model.plan import Setting
from sockmon.model.transaction import Transaction, kept_not_undone
from sockmon.model.writers import sentence_of
from sockmon.own_command import with_sudo
from sockmon.tunables import BY_KEY, row_of
from sockmon.tunables.value import equal
from sockmon.tuning.boot.at_boot import NotSet, not_set_at_boot
from sockmon.tuning.boot.dropin import FILE
from sockmon.tuning.boot.other_writers import process_names, who_wrote
from sockmon.tuning.boot.sysctl_d import path_of, resolve_path
from sockmon.tuning.boot.this_kernel import this_kernel
from sockmon.tuning.boot.winning_line import BootFiles, read_boot_files
from sockmon.tuning.helper.sysctl_reader import read_settings
from sockmon.tuning.transaction.confinement import state_root
from sockmon.tuning.transaction.history import newest
from sockmon.tuning.transaction.state_dirs import VAR_LIB, StateDirs

KeptSetting = tuple[Transaction, Setting]
"""A setting that was kept, and the transaction that kept it."""


def find_drift(root: str = "/") -> tuple[Drift, ...]:
    """Return every setting that was kept, not undone, and is not in effect any more; sorted by key.

    Limits of processes that have ended do not count, nor values that were not persisted and ended with a reboot.
    Raise TuningError if the history cannot be read; create nothing below `root`."""
    kept = [one for one in _kept_settings(_read_history(root)) if _applies_here(*one)]
    if not kept:
        return ()
    current, files = read_settings([setting.name for _, setting in kept]), read_boot_files(state_root(root))
    found = [
        _with_writers(drift, state_root(root))
        for one in kept
        if (drift := _drift_of(one, current, files)) is not None
    ]
    return tuple(sorted(found, key=lambda drift: (drift.key, drift.pid, drift.cgroup)))


def _kept_settings(newest_first: Iterable[Transaction]) -> list[KeptSetting]:
    """Return for each key the setting that was kept last, and neither undone nor forgotten."""
    past = list(newest_first)
    forgotten: dict[str, str] = {}
    for one in past:
        for key in one.forgotten:
            forgotten.setdefault(key, one.id)
    found: dict[tuple[str, int], KeptSetting] = {}
    for one in kept_not_undone(past):
        for setting in one.plan.settings:
            # Ids sort by time.
            if not setting.is_sysctl or one.id > forgotten.get(setting.key, ""):
                found.setdefault((setting.name, setting.start), (one, setting))
    return list(found.values())


def as_json(found: Iterable[Drift]) -> str:
    """Return a JSON object with a list `drift`."""
    return json_text({"schema": 1, "drift": list(found)})


def _read_history(root: str) -> Sequence[Transaction]:
    """Return the history, newest first; empty if its directory does not exist."""
    try:
        os.stat(Path(state_root(root), VAR_LIB, "history"))
    except FileNotFoundError:
        return ()
    except OSError as error:
        hint = f"needs root: start it with {with_sudo()}"
        raise TuningError(f"the history cannot be read: {error.strerror}", hint) from error
    with closing(StateDirs(root, make=False)) as dirs:
        return newest(dirs)


def _applies_here(one: Transaction, setting: Setting) -> bool:
    """Return whether the value should be in effect in this boot and this network namespace."""
    any_netns = not setting.key.startswith("net.")
    if one.plan.boot_id == boot_id():
        return any_netns or one.plan.netns == netns_inode()
    return one.persisted and setting.is_sysctl and (any_netns or netns_inode() == _boot_netns())


def _boot_netns() -> int:
    """Return the inode of the network namespace of process 1, which is the one that a boot sets up; 0 if
    unreadable."""
    with suppress(OSError):
        return netns_inode("/proc/1/ns/net")
    return 0


def _drift_of(kept: KeptSetting, current: CurrentSettings, files: BootFiles) -> Drift | None:
    one, setting = kept
    key = setting.name
    if not setting.is_sysctl and current.start_times.get(key) != setting.start:
        return None
    now = current.values.get(key)
    boot_problems = _boot_problems(setting, files) if one.persisted and setting.is_sysctl else ()
    if now is None:
        problem = f"but cannot be read any more: {current.refused.get(key, 'it does not exist')}"
    elif not equal(row_of(key), now, setting.new):
        problem = f"but is now {now or 'empty'}"
    elif boot_problems:
        problem = f"and is in effect, but {_after_a_reboot(boot_problems)}"
    else:
        return None
    verb = "kept as" if setting in one.kept_settings else "not kept as"
    message = f"{key}: {verb} {setting.new or 'empty'} by {_format_origin(one)}, {problem}"
    return Drift(
        setting.key,
        setting.new,
        now,
        one.id,
        setting.pid,
        "; ".join([message, *(each.message for each in boot_problems)]),
        setting.cgroup,
    )


def _with_writers(drift: Drift, root: str | Path) -> Drift:
    """Return the drift with the programs that run here and write the value that it is now."""
    if drift.now is None or drift.pid or drift.cgroup or drift.key not in BY_KEY:
        return drift
    writers = who_wrote(drift.key, drift.kept, drift.now, root, process_names())
    return msgspec.structs.replace(drift, message="; ".join([drift.message, *map(sentence_of, writers)]))


def _after_a_reboot(problems: Iterable[NotSet]) -> str:
    unknown = all(each.unknown for each in problems)
    return "it is not known whether it will be after a reboot" if unknown else "will not be after a reboot"


def _boot_problems(setting: Setting, files: BootFiles) -> tuple[NotSet, ...]:
    """Return the reasons why a value that is in our file would not be set at boot."""
    lines = [line for every in files.lines.values() for line in every if line.file == FILE]
    problems = not_set_at_boot([setting], files, this_kernel())
    if problems and not any(resolve_path(line.path) == path_of(setting.key) for line in lines):
        return (NotSet(setting.key, f"{FILE} has no line for it any more"), *problems)
    return problems


def _format_origin(one: Transaction) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.begun))
    return f"{one.actor.login or one.actor.user} on {when} ({one.id})"
