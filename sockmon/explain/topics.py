"""Which topic a text names: a ceiling, a sysctl, a symptom or a number; or the names that are nearest."""

from __future__ import annotations

import errno
import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches

from sockmon.ceilings import BY_ID, CEILINGS, Ceiling
from sockmon.errors import NoSuchName
from sockmon.explain.plateaus import Number, parse
from sockmon.explain.symptoms import SYMPTOMS, Symptom
from sockmon.text import sanitize
from sockmon.tunables import TUNABLES
from sockmon.tuning.planning import naming
from sockmon.tuning.planning.naming import NamedKey, is_whole_key, nearest_keys, normalize

Topic = Ceiling | NamedKey | Symptom | Number

MIN_PHRASE_LETTERS = 8
"""Letters from which on a phrase is searched for inside a longer text, such as a line of a log."""
MAX_TOPIC_CHARS = 1000
_NUMBERED = re.compile(
    r"\berrno[ =:]+(\d{1,3})\b|\((\d{1,3}): |\berror: (\d{1,3})\b|can't connect .*\((\d{1,3})\)", re.IGNORECASE
)
_NO_SUCH_KEY = re.compile(
    r"(?:cannot stat |couldn't write '[^']*' to ')/?(?:proc/sys/)?([\w./:@+-]+?)'?(?:, ignoring)?: No such file",
    re.IGNORECASE,
)
"""What procps and systemd-sysctl report about a line whose key the kernel does not have."""


def find(text: str, present: Collection[str] = ()) -> Topic:
    """Return the topic that `text` names; raise NoSuchName, with the nearest names, if it names none or
    several. `present` has the sysctls of this kernel."""
    text = text.strip()[:MAX_TOPIC_CHARS]
    named = (
        parse(text) or _ceiling(text) or _key(text) or _missing_key(text) or _symptom(text) or _key(text, present)
    )
    if named is None and not is_whole_key(text):
        named = _symptom_in_log_line(text)
    if named is None:
        raise NoSuchName(f"no match for {_quoted(text)}", _suggest(text, present))
    return named


def names() -> list[str]:
    """Return the names of everything that can be explained."""
    return [*(row.id for row in CEILINGS), *(row.key for row in TUNABLES), *(row.name for row in SYMPTOMS)]


def _ceiling(text: str) -> Ceiling | None:
    return BY_ID.get(naming.ceiling_id(text))


def _key(text: str, present: Collection[str] = ()) -> NamedKey | None:
    """Return a whole key, in dots or slashes, or an end of a key that only one row has."""
    found = naming.matching_keys(text, present)
    if len({id(each.about) for each in found}) > 1:
        raise naming.ambiguous_name(text, found)
    return found[0] if found else None


def _missing_key(text: str) -> NamedKey | None:
    """Return the key that a message of sysctl or systemd-sysctl reports as absent, if it is known."""
    match = _NO_SUCH_KEY.search(text)
    found = naming.matching_keys(match[1]) if match else ()
    return found[0] if len(found) == 1 else None


def _symptom(text: str) -> Symptom | None:
    # nstat writes TcpExtListenOverflows.
    wanted = normalize(re.sub(r"^(tcpext|tcp|udp|ip)[.: ]*(?=[A-Z])", "", text.strip(), flags=re.IGNORECASE))
    for row in SYMPTOMS:
        if {normalize(text), wanted} & {normalize(name) for name in (row.name, *row.other_names)}:
            return row
    return None


def _symptom_in_log_line(text: str) -> Symptom | None:
    """Return the symptom in a longer text, by its longest phrase."""
    normalized = normalize(text)
    words = set(re.findall(r"\w+", text.lower()))
    found = [(len(phrase), row) for row in SYMPTOMS for phrase in _phrases(row) if phrase in normalized]
    found += [(len(row.name), row) for row in SYMPTOMS if row.kind == "errno" and row.name.lower() in words]
    return max(found, key=lambda item: item[0])[1] if found else _numbered_error(text)


def _numbered_error(text: str) -> Symptom | None:
    """Return the error whose number is in a log line: `errno=11`, `[Errno 98]`, `(24: ...)`, `(111)`."""
    match = _NUMBERED.search(text)
    name = errno.errorcode.get(int(next(filter(None, match.groups())))) if match else None
    return next((row for row in SYMPTOMS if row.name == name), None)


def _phrases(row: Symptom) -> Iterable[str]:
    return (phrase for phrase in map(normalize, (row.name, *row.other_names)) if len(phrase) >= MIN_PHRASE_LETTERS)


def _quoted(text: str) -> str:
    return f"`{sanitize(text, 60)}`"


def _suggest(text: str, present: Collection[str]) -> str:
    hint = "`sockmon explain` without an argument lists all names"
    if is_whole_key(text):
        return f"nearest: {', '.join(near)}; {hint}" if (near := nearest_keys(text, present)) else hint
    wanted = normalize(text)
    written = {normalize(name): name for name in [*(row.title for row in CEILINGS), *names()]}
    written |= {normalize(row.key.rpartition(".")[2]): row.key for row in TUNABLES}
    # A typing error in one word of a name is found by that word.
    written |= {word: name for phrase, name in list(written.items()) for word in phrase.split() if len(word) > 3}
    inside = [name for word, name in written.items() if len(wanted) > 2 and wanted in word]
    close = [written[word] for word in get_close_matches(wanted, written, 4, 0.6)]
    of_that_word = [row.id for row in CEILINGS if wanted in normalize(f"{row.id} {row.title}").split()]
    keys = nearest_keys(text, present)[:2] if "_" in text else []
    near = list(dict.fromkeys([*of_that_word, *close, *keys, *inside]))[:5]
    return f"nearest: {', '.join(near)}; {hint}" if near else hint
