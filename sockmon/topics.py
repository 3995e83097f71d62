"""What a word means to `explain`: a ceiling, a sysctl, a symptom or a number, or what is nearest."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from sockmon import tunables
from sockmon.ceilings import CEILINGS, Ceiling
from sockmon.errors import SockmonError
from sockmon.fingerprints import Number, parse
from sockmon.model.clean import clean
from sockmon.symptoms import SYMPTOMS, Symptom
from sockmon.tunables import TUNABLES, Tunable

Topic = Ceiling | Tunable | Symptom | Number

PHRASE = 8
"""Letters from which on a phrase is looked for inside a longer text, such as a line of a log."""
LONGEST = 400


def find(text: str) -> Topic:
    """The topic that `text` names; SockmonError with the nearest names where there is none, or more than one."""
    text = text.strip()[:LONGEST]
    named = parse(text) or _ceiling(text) or _tunable(text) or _symptom(text) or _inside(text)
    if named is None:
        raise SockmonError(f"nothing is called {_quoted(text)}", _suggest(text))
    return named


def names() -> list[str]:
    """Everything that has a name, as it is best written."""
    return [*(row.id for row in CEILINGS), *(row.key for row in TUNABLES), *(row.name for row in SYMPTOMS)]


def plain(text: str) -> str:
    """`Accept-Queue` and `accept queue` alike."""
    return re.sub(r"[\s_-]+", " ", text.strip()).lower()


def _ceiling(text: str) -> Ceiling | None:
    wanted = plain(text)
    return next((row for row in CEILINGS if wanted in (plain(row.id), plain(row.title))), None)


def _tunable(text: str) -> Tunable | None:
    """By its whole key, in dots or slashes, or by an end of it that only one has."""
    wanted = re.sub(r"^/?(proc/)?sys/", "", text.strip()).replace("/", ".").lower()
    if wanted in tunables.BY_KEY:
        return tunables.BY_KEY[wanted]
    found = [row for row in TUNABLES if any(key.endswith("." + wanted) for key in row.keys)]
    if len(found) > 1:
        keys = [key for row in found for key in row.keys if key.endswith("." + wanted)]
        raise SockmonError(f"more than one sysctl ends in {_quoted(text)}", "which one: " + ", ".join(keys))
    return found[0] if found else None


def _symptom(text: str) -> Symptom | None:
    # nstat writes TcpExtListenOverflows.
    wanted = plain(re.sub(r"^(tcpext|tcp|ip)[.: ]*(?=[A-Z])", "", text.strip(), flags=re.IGNORECASE))
    for row in SYMPTOMS:
        if {plain(text), wanted} & {plain(name) for name in (row.name, *row.also)}:
            return row
    return None


def _inside(text: str) -> Symptom | None:
    """The symptom that a longer text speaks of, by the longest of its phrases."""
    said = plain(text)
    words = set(re.findall(r"\w+", text.lower()))
    found = [(len(phrase), row) for row in SYMPTOMS for phrase in _phrases(row) if phrase in said]
    found += [(len(row.name), row) for row in SYMPTOMS if row.kind == "errno" and row.name.lower() in words]
    return max(found, key=lambda item: item[0])[1] if found else None


def _phrases(row: Symptom) -> Iterable[str]:
    return (phrase for phrase in map(plain, (row.name, *row.also)) if len(phrase) >= PHRASE)


def _quoted(text: str) -> str:
    return f"`{clean(text, 60)}`"


def _suggest(text: str) -> str:
    wanted = plain(text)
    written = {plain(name): name for name in [*(row.title for row in CEILINGS), *names()]}
    written |= {plain(row.key.rpartition(".")[2]): row.key for row in TUNABLES}
    # A slip in one word of a name is found by that word.
    written |= {word: name for phrase, name in list(written.items()) for word in phrase.split() if len(word) > 3}
    inside = [name for word, name in written.items() if len(wanted) > 2 and wanted in word]
    close = [written[word] for word in get_close_matches(wanted, written, 4, 0.6)]
    of_that_word = [row.id for row in CEILINGS if wanted in plain(f"{row.id} {row.title}").split()]
    near = list(dict.fromkeys([*of_that_word, *close, *inside]))[:5]
    alone = "`sockmon explain` alone lists what it knows"
    return f"the nearest: {', '.join(near)}; {alone}" if near else alone
