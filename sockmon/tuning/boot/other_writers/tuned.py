"""tuned: the [sysctl] units of its profile, and the files of sysctl.d that it applies again over them.

From tuned/plugins/plugin_sysctl.py and plugins/base.py: `>` and `<` only raise or lower, quotes around a value are
removed, dots and slashes of a key are always swapped. With `reapply_sysctl` it then writes every line of
/run/sysctl.d, /etc/sysctl.d and /etc/sysctl.conf, without patterns; not those of /usr/lib/sysctl.d. When it ends,
it writes back what it found.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator

from sockmon.model.writers import Action, Writer
from sockmon.text import sanitize
from sockmon.tuning.boot.kernel_rules import same_number
from sockmon.tuning.boot.kernel_write import Refused, write
from sockmon.tuning.boot.other_writers.row import Machine, numbered
from sockmon.tuning.boot.other_writers.tuned_profile import TunedProfile, Unit, main_options, read_profile
from sockmon.tuning.boot.sysctl_d import path_of

NAME = "tuned"
WHEN = "when it starts or stops"
_ACTIONS: dict[str, Action] = {">": "raises", "<": "lowers"}
_TRUE = ("1", "yes", "true", "on")
_DIRECTORIES = ("run/sysctl.d", "etc/sysctl.d")
_SYSCTL_CONF = "/etc/sysctl.conf"
_SWAP = str.maketrans("./", "/.")


def tuned_writers(key: str, machine: Machine) -> Iterator[Writer]:
    """Yield what tuned does with `key`: nothing, or one writer."""
    profile = read_profile(machine)
    if profile is None or profile.broken:
        return
    units = profile.sysctl_units()
    runs, again = NAME in machine.processes, _applies_again(key, machine)
    own = _of_units(key, profile, units, runs, again)
    line = _last_line(key, machine) if units and again else None
    if line:
        value, place = line
        instead = f"{own.value} ({own.setting})" if own and own.value is not None else ""
        yield Writer(NAME, "sets", value, WHEN, place, runs=runs, files_win=True, instead_of=instead)
    elif own:
        yield own


def _of_units(key: str, profile: TunedProfile, units: list[Unit], runs: bool, files_win: bool) -> Writer | None:
    """Return what the profile alone does with the key; the unit that is applied last counts."""
    found = None
    for unit in units:
        for option, (text, place) in unit.options.items():
            if option.translate(_SWAP) != path_of(key):
                continue
            value = profile.expand(re.sub(r'^"(.*)"$', r"\1", text))
            action, value = _action(value)
            shown = None if value is None else sanitize(value, 4096)
            found = Writer(
                NAME,
                action,
                shown,
                WHEN,
                sanitize(place, 4096),
                certain=not unit.conditional,
                runs=runs,
                files_win=files_win,
            )
    return found


def _action(value: str | None) -> tuple[Action, str | None]:
    if value is not None and value[:1] in _ACTIONS and value[1:].strip().isdecimal():
        return _ACTIONS[value[0]], value[1:].strip()
    return "sets", value


def _applies_again(key: str, machine: Machine) -> bool:
    """Return whether tuned applies lines about `key` again over its profile."""
    options = main_options(machine)
    if options.get("reapply_sysctl", "1").strip().lower() not in _TRUE:
        return False
    excluded = [part.strip() for part in re.split(r"[,;]", options.get("reapply_sysctl_exclude", ""))]
    dotted = path_of(key).translate(_SWAP)
    return not any(fnmatch.fnmatchcase(dotted, pattern) for pattern in excluded if pattern)


def _last_line(key: str, machine: Machine) -> tuple[str, str] | None:
    """Return the last line about `key` that tuned applies over its profile, with `FILE:LINE`; None if none."""
    found = None
    for file in _files(machine):
        for number, line in numbered(machine.read(file) or ""):
            option, equals, value = (part.strip() for part in line.partition("="))
            if equals and line[:1] not in ("#", ";") and option.translate(_SWAP) == path_of(key):
                kept = _as_kept(key, sanitize(value, 4096))
                found = (kept, f"{sanitize(file, 4096)}:{number}") if kept is not None else found
    return found


def _as_kept(key: str, value: str) -> str | None:
    """Return what the kernel makes of `value`, or the value if that is not known; None if it refuses it."""
    outcome = write(same_number(path_of(key))[0], value.encode(), {})
    if isinstance(outcome, Refused):
        return value if outcome.by or outcome.partly else None
    return value if outcome.value is None else outcome.value


def _files(machine: Machine) -> list[str]:
    """Return the files that tuned applies, in its order: by name, and /etc/sysctl.conf last."""
    first: dict[str, str] = {}
    for directory in _DIRECTORIES:
        for file in machine.matching(f"{directory}/*.conf"):
            first.setdefault(file.rpartition("/")[2], file)
    return [*(first[name] for name in sorted(first)), _SYSCTL_CONF]
