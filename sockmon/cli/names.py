"""The key that a verb's argument names, and the page about a key that sockmon does not tune."""

from __future__ import annotations

import re

from sockmon.document import Section, json_text
from sockmon.errors import NoSuchName, NotPresent, ReadError
from sockmon.tunables import Tunable, process_of
from sockmon.tunables.untuned import OtherKey, PresentKey, RemovedKey
from sockmon.tuning.planning import naming
from sockmon.tuning.planning.naming import NamedKey

Untuned = OtherKey | RemovedKey | PresentKey
_ONE_WORD = re.compile(r"[\w./:@+-]+")


def find_key(name: str) -> NamedKey:
    """Return the key that `name` means, one of this kernel if sockmon has no page about it; raise NoSuchName.

    `pids.max@1044` is the limit of the cgroup that process 1044 is in; raise ReadError if that cannot be read."""
    try:
        return _with_cgroup(naming.find_key(name))
    except NoSuchName:
        if naming.matching_keys(name):
            raise
        return naming.find_key(name, keys_present(name))


def _with_cgroup(named: NamedKey) -> NamedKey:
    """Return the key with the path of the cgroup instead of a process."""
    from sockmon.kernel.cgroups.limits import cgroup_of_process

    pid = process_of(named.key)
    if not isinstance(named.about, Tunable) or named.about.kind != "cgroup limit" or not pid:
        return named
    return NamedKey(f"{named.about.key}@{cgroup_of_process(named.about.key, pid)}", named.about)


def keys_present(text: str) -> list[str]:
    """Return the keys of this kernel if `text` may be one of them."""
    from sockmon.kernel.sysctl_tree import sysctl_keys

    return sysctl_keys() if _ONE_WORD.fullmatch(text.strip()) else []


def untuned_page(key: str, about: Untuned, netns: str | None) -> str:
    """Return the page about a key without a row, for the terminal."""
    from sockmon.ceilings.sections import format_sysctl
    from sockmon.cli.sysctl_values import read_sysctls
    from sockmon.cli.text_page import render_page, terminal_width_and_colour
    from sockmon.tunables.sections import untuned_sections

    value = read_sysctls([key], netns)[key]
    sections = (
        Section("Now", (format_sysctl(key, value),)),
        Section("At boot", boot_lines(key, about, netns, value)),
        *untuned_sections(about),
    )
    return render_page(key, about.description, sections, *terminal_width_and_colour())


def boot_lines(key: str, about: Untuned, netns: str | None, value: str | ReadError) -> tuple[str, ...]:
    """Return what the files of sysctl.d have about a key whose value is `value` now."""
    from sockmon.tunables.lasting_in_netns import NO_FILE_APPLIES
    from sockmon.tuning.boot.lines_about import lines_about

    if netns and key.startswith("net.") and not isinstance(about, RemovedKey):
        return (NO_FILE_APPLIES,)
    lines = lines_about(key, isinstance(about, RemovedKey))
    return lines.sentences(absent=isinstance(value, NotPresent))


def untuned_json(named: NamedKey, about: Untuned, netns: str | None) -> str:
    """Return the same as one JSON object."""
    from sockmon.cli.sysctl_values import read_sysctls
    from sockmon.tuning.boot.lines_about import lines_about

    value = read_sysctls([named.key], netns)[named.key]
    lines = lines_about(named.key, isinstance(about, RemovedKey))
    return json_text(
        {
            "schema": 1,
            "key": named.key,
            "kind": named.kind,
            "current": None if isinstance(value, ReadError) else value,
            "unreadable": value.message if isinstance(value, ReadError) else "",
            "what": about.description,
            "refused": naming.why_not_tuned(about),
            "instead": about.instead if isinstance(about, RemovedKey) else "",
            "boot_lines": [line.at for line in lines.lines],
            "boot_unread": list(lines.unread),
        }
    )
