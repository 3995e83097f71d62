"""The names of a sysctl or a limit that the user may type: its key, a unique end of it, a path, an older name, the
id of its ceiling. Every verb and the panel resolve names here, so that they all accept the same ones."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Literal

from sockmon.ceilings import CEILINGS
from sockmon.errors import NoSuchName, NotTuned
from sockmon.text import sanitize
from sockmon.tunables import BY_KEY, REMOVED, TUNABLES, Tunable
from sockmon.tunables.others import OTHERS
from sockmon.tunables.untuned import OtherKey, PresentKey, RemovedKey

_LIMIT = re.compile(r"([a-z]+)(?:@([1-9][0-9]{0,9}))?")
_PID = re.compile(r"[1-9][0-9]{0,9}")
_PROC = re.compile(r"^/*(proc/+)?sys/+", re.IGNORECASE)
_WHOLE_KEY = re.compile(r"(?:abi|crypto|debug|dev|fs|kernel|net|sunrpc|user|vm)(?:[./][\w:/@+-]+)+", re.IGNORECASE)
_INTERFACE = re.compile(r"(net\.ipv[46]\.(?:conf|neigh))\.([^.]{1,32})\.([a-z0-9_]+)", re.IGNORECASE)
_DOTTED_INTERFACE = re.compile(
    r"(net\.(?:ipv[46]\.(?:conf|neigh)|mpls\.conf))\.(.{1,32})\.([a-z0-9_]+)", re.IGNORECASE
)
_MIN_SIMILARITY, _MIN_END_SIMILARITY, _MAX_SUGGESTIONS = 0.6, 0.8, 4

KeyInfo = Tunable | OtherKey | RemovedKey | PresentKey
"""What is known about a key."""

_MANY = tuple(row for row in OTHERS if "*" in row.key)


@dataclass(frozen=True)
class NamedKey:
    """A key and what is known about it."""

    key: str
    """As sysctl(8) prints it; that of a limit keeps what has it: `nofile@1044`, `pids.max@/web.slice`."""
    about: KeyInfo

    @property
    def kind(self) -> Literal["tuned", "other", "removed", "unknown"]:
        """Return what is known about it, in a word."""
        if isinstance(self.about, Tunable):
            return "tuned"
        if isinstance(self.about, RemovedKey):
            return "removed"
        return "other" if isinstance(self.about, OtherKey) else "unknown"


def dotted(name: str) -> str:
    """Return `name` as sysctl(8) prints keys: `/proc/sys/net/ipv4/conf/eth0.5/x` → `net.ipv4.conf.eth0/5.x`.

    The first separator decides, as in sysctl(8): in a path a dot belongs to the name of an interface."""
    return _dotted_as_typed(name).lower()


def is_whole_key(name: str) -> bool:
    """Return whether `name` can only be meant as a sysctl: a path below /proc/sys, or a key from its start."""
    return bool(_PROC.match(name.strip())) or _WHOLE_KEY.fullmatch(name.strip().rstrip("/")) is not None


def matching_keys(name: str, present: Collection[str] = ()) -> tuple[NamedKey, ...]:
    """Return the known key that `name` is, or else all that end in it; of two names of one number the first.

    `present` has the keys of this kernel: they are looked through if no known key has that name."""
    if cgroup := _cgroup_limit(name):
        return (cgroup,)
    typed = _dotted_as_typed(name)
    if (limit := _LIMIT.fullmatch(typed.lower())) and limit[1] in BY_KEY:
        return (NamedKey(typed.lower(), BY_KEY[limit[1]]),)
    wanted = _normalize_key(typed)
    if not wanted:
        return ()
    if whole := _known_keys().get(wanted) or _of_many(typed, present):
        return (whole,)
    end = f".{wanted}"
    found = [named for key, named in _known_keys().items() if key.endswith(end)]
    found = found or [NamedKey(_readable(row.key), row) for row in _MANY if row.key.endswith(end)]
    if not found:
        same = [key for key in present if key == typed]
        same = same or [key for key in present if _normalize_key(key) == wanted]
        same = same or [key for key in present if _normalize_key(key).endswith(end)]
        found = [NamedKey(key, PresentKey(key=key)) for key in same]
    return tuple({each.key: each for each in found}.values())


def _cgroup_limit(name: str) -> NamedKey | None:
    """Return the key of `pids.max@/web.slice` or `pids.max@1044`; a path keeps its capital letters and dots."""
    head, _, owner = name.strip(" \t").partition("@")
    row = BY_KEY.get(head.lower())
    if row is None or row.kind != "cgroup limit" or not (owner.startswith("/") or _PID.fullmatch(owner)):
        return None
    return NamedKey(f"{row.key}@{owner.rstrip('/') or '/'}", row)


def find_key(name: str, present: Collection[str] = ()) -> NamedKey:
    """Return the key that `name` means; raise NoSuchName with the candidates or the nearest names.

    A key that Linux no longer has is returned as it is."""
    found = matching_keys(name, present)
    if not found and (of_ceiling := _settings_of(name)):
        found = of_ceiling
        if len(found) > 1:
            names = ", ".join(each.key for each in found)
            raise NoSuchName(f"{_quoted(name)} has more than one setting", f"choose one: {names}")
    if found and all(each.about is found[0].about for each in found) and isinstance(found[0].about, RemovedKey):
        return found[0]
    if len(found) > 1:
        raise ambiguous_name(name, found)
    if not found:
        raise NoSuchName(f"unknown setting {_quoted(name)}", _suggestions(name, present))
    return found[0]


def find_setting(name: str) -> tuple[str, Tunable]:
    """Return the key that `name` means today, a sysctl or `nofile@1044`, and its row.

    Raise NoSuchName, or NotTuned for a key that has no row."""
    return setting_of(find_key(name))


def setting_of(named: NamedKey) -> tuple[str, Tunable]:
    """Return the key as it is called today, and its row; raise NotTuned if it has none."""
    key, about = named.key, named.about
    if isinstance(about, RemovedKey) and about.replaced_by in BY_KEY:
        return about.replaced_by, BY_KEY[about.replaced_by]
    if isinstance(about, RemovedKey):
        raise NotTuned(f"{key} cannot be set: {why_not_tuned(about)}", about.instead)
    if not isinstance(about, Tunable):
        raise NotTuned(f"{key} is not tuned here: {why_not_tuned(about)}", about.description)
    return key, about


def why_not_tuned(about: OtherKey | RemovedKey | PresentKey) -> str:
    """Return the reason, as the end of a sentence."""
    if isinstance(about, RemovedKey):
        return about.removed
    if isinstance(about, OtherKey):
        return about.limits[:1].lower() + about.limits[1:].rstrip(".")
    return "sockmon does not know what it does"


def ambiguous_name(name: str, found: Iterable[NamedKey]) -> NoSuchName:
    """Return the error for a name that several keys end in."""
    names = ", ".join(each.key for each in found)
    return NoSuchName(f"more than one setting ends in {_quoted(name)}", f"choose one: {names}")


def ceiling_id(name: str) -> str:
    """Return the id of the ceiling that `name` is the id or the title of; empty if there is none."""
    wanted = normalize(name)
    return next((row.id for row in CEILINGS if wanted in (normalize(row.id), normalize(row.title))), "")


def normalize(text: str) -> str:
    """Return `text` in lower case with single spaces: `Accept-Queue` and `accept queue` are equal."""
    return re.sub(r"[\s_-]+", " ", text.strip()).lower()


def _dotted_as_typed(name: str) -> str:
    path = _PROC.sub("", name.strip(" \t")).strip("/")
    first = re.search(r"[./]", path)
    if first is None or first[0] == ".":
        return path
    return re.sub("[./]+", lambda found: "." if "/" in found[0] else "/", path)


@cache
def _known_keys() -> Mapping[str, NamedKey]:
    """Return every key with a text of its own, by its normalized name; an alias leads to the key itself."""
    named = [NamedKey(row.key if key in row.aliases else key, row) for key, row in BY_KEY.items()]
    named += [NamedKey(key, gone) for gone in REMOVED for key in gone.keys]
    named += [NamedKey(other.key, other) for other in OTHERS if other not in _MANY]
    names = [*BY_KEY, *(each.key for each in named[len(BY_KEY) :])]
    return {_normalize_key(name): each for name, each in zip(names, named, strict=True)}


def _of_many(typed: str, present: Collection[str]) -> NamedKey | None:
    """Return a key of which there are many, such as one of each interface; its name keeps its capital letters."""
    for row in _MANY:
        start, end = row.key.split("*")
        middle = typed[len(start) : len(typed) - len(end)]
        if _is_name(middle) and f"{start}{middle}{end}".lower() == typed.lower():
            return NamedKey(f"{start}{middle}{end}", row)
    if (match := _INTERFACE.fullmatch(typed)) and _is_name(match[2]):
        start, end = match[1].lower(), match[3].lower()
        if any(f"{start}.{name}.{end}" in present for name in ("all", "default")):
            key = f"{start}.{match[2]}.{end}"
            return NamedKey(key, PresentKey(key=key))
    return None


def _is_name(text: str) -> bool:
    """Return whether `text` may be the name of an interface: `//` would lead out of its folder."""
    return bool(text.strip("/")) and "." not in text


def _readable(key: str) -> str:
    """Return a key that can be read instead of one that stands for many: `net.ipv4.conf.all.rp_filter`."""
    if ".neigh." in key or ".conf." in key:
        return key.replace("*", "default" if ".neigh." in key else "all")
    return key.replace("*", "0")


def _settings_of(name: str) -> tuple[NamedKey, ...]:
    wanted = ceiling_id(name)
    rows = (row for row in TUNABLES if row.settable and wanted in row.ceilings) if wanted else ()
    return tuple(NamedKey(row.key, row) for row in rows)


def _normalize_key(key: str) -> str:
    # People mix dots and slashes when they copy a path by hand, and write - for _.
    return key.lower().replace("/", ".").replace("-", "_")


def _suggestions(name: str, present: Collection[str]) -> str:
    match = _DOTTED_INTERFACE.fullmatch(_dotted_as_typed(name))
    if match and "." in match[2]:
        key = f"{match[1]}.{match[2].replace('.', '/')}.{match[3]}"
        return f"in the name of an interface a dot is written as a slash: {sanitize(key, 80)}"
    hint = "`sockmon tune list` lists all"
    near = nearest_keys(name, present)
    return f"nearest: {', '.join(near)}; {hint}" if near else hint


def nearest_keys(name: str, present: Collection[str] = ()) -> list[str]:
    """Return the keys that are spelt most like `name`, those that can be set first."""
    settable = [key for row in TUNABLES if row.settable for key in row.keys if key not in row.aliases]
    every = [*settable, *(_readable(row.key) for row in OTHERS), *present]
    ends = {key.rpartition(".")[2]: key for key in reversed(every)}
    wanted = dotted(name)
    last = re.split(r"[./]", wanted)[-1]
    near = [
        *(ends[end] for end in get_close_matches(last, ends, _MAX_SUGGESTIONS, _MIN_END_SIMILARITY)),
        *get_close_matches(wanted, settable, _MAX_SUGGESTIONS, _MIN_SIMILARITY),
        *(ends[end] for end in get_close_matches(last, ends, _MAX_SUGGESTIONS, _MIN_SIMILARITY)),
    ]
    return list(dict.fromkeys(near))[:_MAX_SUGGESTIONS]


def _quoted(name: str) -> str:
    return f"`{sanitize(name.strip(), 60)}`"
