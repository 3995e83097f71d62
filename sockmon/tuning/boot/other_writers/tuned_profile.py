"""What the active profile of tuned sets: its units, as tuned merges those of included and of several profiles.

From tuned/profiles/loader.py, locator.py, merger.py, unit.py, variables.py and utils/config_parser.py.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sockmon.tuning.boot.other_writers.row import Machine

MAIN_FILE = "/etc/tuned/tuned-main.conf"
_ACTIVE = ("/etc/tuned/active_profile", "/etc/tuned/post_loaded_profile")
_DIRECTORIES = ("/etc/tuned/profiles", "/etc/tuned", "/usr/lib/tuned/profiles", "/usr/lib/tuned")
"""The first that has the profile counts. Older versions have the profiles in /etc/tuned and /usr/lib/tuned."""
_NAME = re.compile(r"[a-zA-Z0-9_.-]+")
_TRUE = ("True", "true", "1")
_MAX_FILES = 64
_UNIT_OPTIONS = ("priority", "type", "enabled", "replace", "prepend", "drop", "devices", "devices_udev_regex")
_UNIT_CONDITIONS = ("cpuinfo_regex", "uname_regex")


@dataclass
class Unit:
    """A section of the merged profile."""

    type: str
    enabled: bool
    priority: int | None
    conditional: bool
    """Whether it depends on the processor or on the kernel."""
    options: dict[str, tuple[str, str]]
    """Value and `FILE:LINE` of each."""


@dataclass
class TunedProfile:
    """The active profiles, merged."""

    names: list[str]
    units: dict[str, Unit] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    broken: str = ""
    """A profile that tuned cannot load: then it applies none."""

    def sysctl_units(self) -> list[Unit]:
        """Return the units that set sysctls, in the order in which tuned applies them."""
        units = [unit for unit in self.units.values() if unit.type == "sysctl" and unit.enabled]
        return sorted(units, key=lambda unit: unit.priority or 0)

    def expand(self, value: str) -> str | None:
        """Return `value` with its variables; None if it has functions, or variables that are not known."""
        for name, text in self.variables.items():
            value = value.replace(f"${{{name}}}", text)
        return None if "${" in value else value


def read_profile(machine: Machine) -> TunedProfile | None:
    """Return the active profiles, merged; None if none is active."""
    names = [name for file in _ACTIVE for name in (machine.read(file) or "").split() if _NAME.fullmatch(name)]
    if not names:
        return None
    profile = TunedProfile(names)
    _load(machine, profile, names, [])
    return profile


def main_options(machine: Machine) -> Mapping[str, str]:
    """Return the options of tuned-main.conf."""
    parsed = _parse(f"[main]\n{machine.read(MAIN_FILE) or ''}")
    return dict(parsed.items("main", raw=True)) if parsed else {}


def _parse(text: str) -> configparser.ConfigParser | None:
    parser = configparser.ConfigParser(
        delimiters=("=",), inline_comment_prefixes=("#",), strict=False, interpolation=None
    )
    # The names of sysctls keep their case.
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    return parser


def _load(machine: Machine, profile: TunedProfile, names: list[str], done: list[str]) -> None:
    """Merge the profiles `names` into `profile`, each after what it includes; a file counts once."""
    for name in names:
        file = _find(machine, name.removeprefix("-"), done)
        if not file:
            if file is None and not name.startswith("-"):
                profile.broken = profile.broken or name
            continue
        done.append(file)
        text = (machine.read(file) or "").replace("${i:PROFILE_DIR}", file.rpartition("/")[0])
        parser = _parse(text)
        if parser is None or len(done) > _MAX_FILES:
            profile.broken = profile.broken or name
            continue
        main = dict(parser.items("main", raw=True)) if parser.has_section("main") else {}
        if included := profile.expand(main.get("include", "")):
            _load(machine, profile, re.split(r"\s*[,;]\s*", included.strip()), done)
        _merge(machine, profile, parser, _places(text, file))


def _find(machine: Machine, name: str, done: list[str]) -> str | None:
    """Return the file of a profile; empty if it counted already, None if there is none."""
    directories = main_options(machine).get("profile_dirs", "")
    chosen = [part.strip() for part in reversed(re.split(r"[,;]", directories)) if part.strip()] or _DIRECTORIES
    found: str | None = None
    for directory in chosen:
        # As tuned does: a name with slashes does not leave the directory.
        file = f"{directory.rstrip('/')}/{name.rpartition('/')[2]}/tuned.conf"
        if file in done:
            found = ""
        elif machine.exists(file):
            return file
    return found


def _places(text: str, file: str) -> dict[tuple[str, str], str]:
    """Return `FILE:LINE` of the last line with each option, by section."""
    section, found = "", {}
    for number, line in enumerate(text.split("\n"), 1):
        if match := re.match(r"\[(.+)\]", line):
            section = match[1]
        elif "=" in line and line.strip()[:1] not in ("#", ";"):
            found[section, line.partition("=")[0].strip()] = f"{file}:{number}"
    return found


def _merge(
    machine: Machine, profile: TunedProfile, parser: configparser.ConfigParser, places: dict[tuple[str, str], str]
) -> None:
    for section in parser.sections():
        items = dict(parser.items(section, raw=True))
        if items.get("type", section) == "variables":
            _add_variables(machine, profile, items)
        elif section != "main":
            own = (*_UNIT_OPTIONS, *_UNIT_CONDITIONS, "script_pre", "script_post")
            options = {
                key: (value, places.get((section, key), ""))
                for key, value in items.items()
                if key not in own and value is not None
            }
            _merge_unit(profile, section, items, options)


def _merge_unit(
    profile: TunedProfile, section: str, items: Mapping[str, str], options: dict[str, tuple[str, str]]
) -> None:
    priority = items.get("priority", "")
    unit = Unit(
        items.get("type", section),
        items.get("enabled", "1") in _TRUE,
        int(priority) if re.fullmatch(r"[+-]?[0-9]+", priority) else None,
        any(name in items for name in _UNIT_CONDITIONS),
        options,
    )
    before = profile.units.get(section)
    if before and items.get("replace", "") not in _TRUE:
        dropped = re.split(r"\s*[,;]\s*", items.get("drop", ""))
        kept = {key: value for key, value in before.options.items() if key not in dropped}
        unit.options = {**kept, **options}
        unit.conditional = unit.conditional or before.conditional
        unit.priority = before.priority if unit.priority is None else unit.priority
    profile.units[section] = unit


def _add_variables(machine: Machine, profile: TunedProfile, items: Mapping[str, str]) -> None:
    for name, value in _with_included(machine, items):
        expanded = profile.expand(value)
        if expanded is None:
            profile.variables.pop(name, None)
        elif re.fullmatch(r"\w+", name):
            profile.variables[name] = expanded


def _with_included(machine: Machine, items: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in items.items():
        if name == "include":
            parsed = _parse(f"[variables]\n{machine.read(value) or ''}")
            yield from parsed.items("variables", raw=True) if parsed else ()
        elif value is not None:
            yield name, value
