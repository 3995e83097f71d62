"""`$XDG_CONFIG_HOME/sockmon/config.toml`: theme, interval, cpu_percent, keys, levels, read_only, actions.

Tests: tests/ui/test_settings.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from sockmon import toml, user_dirs
from sockmon.ceilings.level_rules import LevelRule
from sockmon.ceilings.level_table import level_rules
from sockmon.errors import BadSettings
from sockmon.text import sanitize

SECTIONS = ("keys", "levels", "actions")
NO_ACTIONS = "the config file does not allow it ([actions] allow = false)"
FAULTY_ACTIONS = "the config file has a fault in [actions], so nothing is allowed"
MIN_INTERVAL, MAX_INTERVAL = 0.2, 60.0
MIN_CPU_PERCENT, MAX_CPU_PERCENT = 0.5, 50.0
MAX_FAULT_CHARACTERS = 400


class Settings(msgspec.Struct, frozen=True):
    """What the config file can set."""

    theme: str | None = None
    """Stem of a file in `themes/`; None for `sockmon`, or `console` on a terminal of sixteen colours."""
    interval: float = 1.0
    """Seconds between Snapshots, 0.2 to 60."""
    read_only: bool = False
    """Disable all changes."""
    keys: dict[str, str] = {}
    """Action id → keys, as `"pane.ports" = "3"`; the ids are in the help screen."""
    levels: tuple[LevelRule, ...] = ()
    """Levels of ceilings and subjects, in per cent in the file: `[levels.accept-queue] warning = 60`."""
    why_no_actions: str = ""
    """Why nothing may be closed, deleted or signalled: `[actions] allow = false` in the file, or a fault in that
    section; empty if it may."""
    faults: tuple[str, ...] = ()
    """What is wrong with the file, one message a key; these keys keep their defaults."""
    level_faults: tuple[str, ...] = ()
    """Those of `faults` that are about levels: they change what is an alarm."""
    cpu_percent: float = 5.0
    """Per cent of one processor that sampling may use on a host with very many sockets, 0.5 to 50."""


def config_dir() -> Path:
    """Return the user's directory, with `config.toml` and `themes/`."""
    return user_dirs.config() / "sockmon"


def load(path: Path | None = None) -> Settings:
    """Return the settings of a file, or the defaults if there is none.

    An unknown key or a wrong value is reported in `faults`. Raise BadSettings if the file cannot be read or is not
    TOML."""
    path = path or config_dir() / "config.toml"
    try:
        table = toml.read(path)
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise BadSettings(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise BadSettings(f"{path}: {error}", f"known: {', '.join(map(_shown, _CHECKS))}") from error
    found, faults = _checked(table)
    if "actions" in table:
        actions = found.pop("actions", None)
        found["why_no_actions"] = "" if actions and actions["allow"] else NO_ACTIONS if actions else FAULTY_ACTIONS
    found["levels"], level_faults = level_rules(table.get("levels", {}))
    refused = _located(path, level_faults)
    return Settings(**found, faults=(*_located(path, faults), *refused), level_faults=refused)


def _located(path: Path, faults: Iterable[str]) -> tuple[str, ...]:
    """Return the faults with the file, safe for a terminal: a name in quotes may have any character."""
    return tuple(sanitize(f"{path}: {fault}", MAX_FAULT_CHARACTERS) for fault in faults)


def _checked(table: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the entries that can be used, and what is wrong with each of the others."""
    found: dict[str, Any] = {}
    faults: list[str] = []
    for name, value in table.items():
        if name not in _CHECKS:
            faults.append(_unknown(name, value))
        elif fault := _CHECKS[name](value):
            faults.append(f"{name}: {fault}")
        else:
            found[name] = value
    if "keys" in found:
        flat = dict(_flattened("", found["keys"]))
        faults += [f"keys: {name}: {fault}" for name, keys in flat.items() if (fault := _check_text(keys))]
        found["keys"] = {name: keys for name, keys in flat.items() if isinstance(keys, str)}
    return found, faults


def _flattened(prefix: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield `pane.ports` and its value; without quotes TOML reads such a key as nested tables."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flattened(f"{prefix}{name}.", value)
        else:
            yield prefix + name, value


def _unknown(name: str, value: Any) -> str:
    what = f"unknown section [{name}]" if isinstance(value, dict) else f"unknown key {name}"
    near = get_close_matches(name.lower().replace("-", "_"), _CHECKS, 1)
    return f"{what}; {'nearest' if near else 'known'}: {', '.join(map(_shown, near or _CHECKS))}"


def _shown(name: str) -> str:
    return f"[{name}]" if name in SECTIONS else name


def _check_text(value: Any) -> str:
    return "" if isinstance(value, str) else f"expected text in quotes, got {_kind(value)}"


def _check_bool(value: Any) -> str:
    return "" if isinstance(value, bool) else f"expected true or false, got {_kind(value)}"


def _check_interval(value: Any) -> str:
    return _check_number(value, "seconds", MIN_INTERVAL, MAX_INTERVAL)


def _check_cpu_percent(value: Any) -> str:
    return _check_number(value, "per cent", MIN_CPU_PERCENT, MAX_CPU_PERCENT)


def _check_number(value: Any, unit: str, low: float, high: float) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"expected a number of {unit}, got {_kind(value)}"
    if math.isnan(value) or not low <= value <= high:
        return f"expected {low} to {high:.0f} {unit}, got {value}"
    return ""


def _check_section(value: Any) -> str:
    return "" if isinstance(value, dict) else f"expected the section [keys], got {_kind(value)}"


def _check_actions(value: Any) -> str:
    if not isinstance(value, dict):
        return f"expected the section [actions], got {_kind(value)}"
    if list(value) != ["allow"]:
        return "expected one key, allow"
    return _check_bool(value["allow"])


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, bool):
        return str(value).lower()
    return "a list" if isinstance(value, list) else repr(value)


_CHECKS: dict[str, Callable[[Any], str]] = {
    "theme": _check_text,
    "interval": _check_interval,
    "cpu_percent": _check_cpu_percent,
    "read_only": _check_bool,
    "keys": _check_section,
    "levels": lambda _: "",
    "actions": _check_actions,
}
"""Key → check, which returns what is wrong with a value, or an empty text."""
