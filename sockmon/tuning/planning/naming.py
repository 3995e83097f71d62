"""The names of a sysctl or a limit that the user may type: its key, a unique end of it, a path, an older name, the
id of its ceiling. Every verb and the panel resolve names here, so that they all accept the same ones."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from sockmon.ceilings import CEILINGS
from sockmon.errors import NoSuchName
from sockmon.text import sanitize
from sockmon.tunables import BY_KEY, TUNABLES, Tunable

_LIMIT = re.compile(r"([a-z]+)(?:@([1-9][0-9]{0,9}))?")
_PROC = re.compile(r"^/*(proc/+)?sys/+")
_OLD_CONNTRACK_PREFIX = re.compile(r"^(?:net\.)?(?:ipv4\.)?(?:netfilter\.)?ip_(?=conntrack_)")
"""The start of the keys when connection tracking had IPv4 only: net.ipv4.netfilter.ip_conntrack_count."""
_MIN_SIMILARITY, _MAX_SUGGESTIONS = 0.6, 4


def dotted(name: str) -> str:
    """Return `name` as sysctl(8) prints keys: `/proc/sys/net/ipv4/conf/eth0.5/x` → `net.ipv4.conf.eth0/5.x`.

    The first separator decides, as in sysctl(8): in a path a dot belongs to the name of an interface."""
    path = _PROC.sub("", name.strip(" \t")).strip("/").lower()
    first = re.search(r"[./]", path)
    if first is None or first[0] == ".":
        return path
    return re.sub("[./]+", lambda found: "." if "/" in found[0] else "/", path)


def matching_keys(name: str) -> tuple[str, ...]:
    """Return the known key that `name` is, or else all that end in it; of two names of one number the first."""
    wanted = dotted(name)
    if (limit := _LIMIT.fullmatch(wanted)) and limit[1] in BY_KEY:
        return (wanted,)
    # People mix dots and slashes when they copy a path by hand, and write - for _.
    wanted = _normalize_key(wanted)
    found = [key for key in BY_KEY if _normalize_key(key) == wanted]
    found = found or [key for key in BY_KEY if wanted and _normalize_key(key).endswith(f".{wanted}")]
    conntrack = _OLD_CONNTRACK_PREFIX.sub("net.netfilter.nf_", wanted)
    found = found or [key for key in BY_KEY if _normalize_key(key) == conntrack]
    return tuple(dict.fromkeys(_canonical_key(key) for key in found))


def resolve(name: str) -> tuple[str, Tunable]:
    """Return the key that `name` means and its row; raise NoSuchName with the candidates or the nearest names.

    The key of a limit keeps its process: `nofile@1044`. A key that Linux no longer has is returned as it is."""
    found = matching_keys(name)
    if not found and (of_ceiling := _settings_of(name)):
        found = of_ceiling
        if len(found) > 1:
            raise NoSuchName(f"{_quoted(name)} has more than one setting", f"choose one: {', '.join(found)}")
    if len(found) > 1 and len({BY_KEY[key].replaced_by for key in found} - {""}) != 1:
        raise ambiguous_name(name, found)
    if not found:
        raise NoSuchName(f"unknown setting {_quoted(name)}", _suggestions(name))
    return found[0], BY_KEY[found[0].partition("@")[0]]


def current_name(key: str, row: Tunable) -> tuple[str, Tunable]:
    """Return the key that replaced `key`, and its row; `key` itself if it was not renamed."""
    return (row.replaced_by, BY_KEY[row.replaced_by]) if row.replaced_by else (key, row)


def ambiguous_name(name: str, found: Iterable[str]) -> NoSuchName:
    """Return the error for a name that several keys end in."""
    return NoSuchName(f"more than one setting ends in {_quoted(name)}", f"choose one: {', '.join(found)}")


def ceiling_id(name: str) -> str:
    """Return the id of the ceiling that `name` is the id or the title of; empty if there is none."""
    wanted = normalize(name)
    return next((row.id for row in CEILINGS if wanted in (normalize(row.id), normalize(row.title))), "")


def normalize(text: str) -> str:
    """Return `text` in lower case with single spaces: `Accept-Queue` and `accept queue` are equal."""
    return re.sub(r"[\s_-]+", " ", text.strip()).lower()


def _settings_of(name: str) -> tuple[str, ...]:
    wanted = ceiling_id(name)
    return tuple(row.key for row in TUNABLES if row.settable and wanted in row.ceilings) if wanted else ()


def _canonical_key(key: str) -> str:
    row = BY_KEY[key]
    return row.key if key in row.aliases else key


def _normalize_key(key: str) -> str:
    return key.replace("/", ".").replace("-", "_")


def _suggestions(name: str) -> str:
    settable = [key for row in TUNABLES if row.settable for key in row.keys if key not in row.aliases]
    ends = {key.rpartition(".")[2]: key for key in settable}
    wanted = dotted(name)
    last = re.split(r"[./]", wanted)[-1]
    near = [
        *get_close_matches(wanted, settable, _MAX_SUGGESTIONS, _MIN_SIMILARITY),
        *(ends[end] for end in get_close_matches(last, ends, _MAX_SUGGESTIONS, _MIN_SIMILARITY)),
    ]
    hint = "`sockmon tune list` lists all"
    return f"nearest: {', '.join(list(dict.fromkeys(near))[:_MAX_SUGGESTIONS])}; {hint}" if near else hint


def _quoted(name: str) -> str:
    return f"`{sanitize(name.strip(), 60)}`"
