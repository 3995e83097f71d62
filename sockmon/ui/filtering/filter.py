"""`/`: terms that narrow every table, as `port:>8080 src:10.0.0.0/8 !state:LISTEN proc:nginx "two words"`.

    filter = term *( space term )         every term must match
    term   = ["!"] ( word | field ":" value *( "," value ) | field ( ">" | ">=" | "<" | "<=" ) number )
    value  = text | number | low "-" high | ( ">" | ">=" | "<" | "<=" ) number | address | network

"!" negates its term; of several values one must match; quoted text is taken literally. A table ignores terms whose
field its rows lack, and names them next to its title: `port:` does not empty the table of processes.
Rows that `proc:` or `pid:` hides because their owner is not known are counted: `1 of 6 match, owner of 4 unknown`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sockmon.errors import FilterError
from sockmon.ui.filtering.fields import BY_NAME, Field
from sockmon.ui.filtering.term_values import Contains, Value

__all__ = [
    "ALL",
    "MAX_CHARACTERS",
    "OWNER_FIELDS",
    "Filter",
    "Filterable",
    "KnownFields",
    "RowValues",
    "parse",
    "parse_leniently",
]

MAX_CHARACTERS = 200
"""Maximum length of a filter; each letter filters every table again, terms times rows."""
ALL: tuple[str, ...] = ()
KnownFields = Mapping[str, tuple[str, ...]]
"""Field → the values that the rows of a table can distinguish; ALL for every value."""
RowValues = Mapping[str, Any]
"""Field → the value of a row: a text, a number, None if it is not known, or a tuple of those. A key that is not a
field of the filter (`text`) is searched by words only. An empty tuple as `proc` and `pid`: an unknown owner."""

OWNER_FIELDS = ("proc", "pid")

_TERM = re.compile(r"""(?P<space>\s+)|(?P<quoted>"[^"]*"?|'[^']*'?)|(?P<plain>[^\s"']+|["'])""")
_FIELD = re.compile(r"(?P<name>[A-Za-z_-]{2,20}|[qQ]):(?!:)")
_COMPARED = re.compile(r"(?P<name>[A-Za-z_]{1,20})(?P<rest>[<>]=?.*)", re.DOTALL)
"""`q>0`: the colon may be left out before a comparison with a number."""
_IPV6 = frozenset("0123456789abcdefABCDEF:.[]/%")


class Piece(NamedTuple):
    """A part of a term: quoted text has no syntax."""

    text: str
    quoted: bool


class Term(NamedTuple):
    """One condition; `field` is empty for a word, which can be anywhere in a row."""

    field: str
    values: tuple[Value, ...]
    negated: bool = False

    def matches(self, values: RowValues) -> bool:
        """Return whether a row with these values matches; unknown values match nothing."""
        found = any(value.matches(each) for value in self.values for each in self._parts(values))
        return found is not self.negated

    def owner_unknown(self, values: RowValues) -> bool:
        """Return whether the row fails this term only because its owner is not known."""
        asks_owner = not self.field or self.field in OWNER_FIELDS
        return asks_owner and values.get(self.field or "proc") == () and not self.matches(values)

    def _parts(self, values: RowValues) -> Sequence[Any]:
        if not self.field:
            return [_searched_text(values)]
        fact = values.get(self.field)
        return fact if isinstance(fact, tuple) else (fact,)


class Filter(NamedTuple):
    """A parsed filter."""

    terms: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    def known(self, known: KnownFields) -> Filter:
        """The terms that rows which know this much can be asked."""
        return Filter(tuple(term for term in self.terms if _applies(term, known)))

    def ignored_note(self, known: KnownFields) -> str:
        """Return the note for a table that ignores a term; empty if it uses all."""
        ignored = [term for term in self.terms if not _applies(term, known)]
        if not ignored or not known:
            return "not filtered" if ignored else ""
        if len(ignored) < len(self.terms):
            return f"not filtered by {_names(ignored)}"
        if lacking := [term for term in ignored if term.field not in known]:
            return f"not filtered: has no {_names(lacking)}"
        return f"not filtered: has only {', '.join(known[ignored[0].field])}"

    def matches(self, values: RowValues) -> bool:
        """Return whether a row with these values matches all terms."""
        return all(term.matches(values) for term in self.terms)

    def owner_unknown(self, values: RowValues) -> bool:
        """Return whether the row might match: it is hidden only because its owner is not known."""
        return not self.matches(values) and all(
            term.matches(values) or term.owner_unknown(values) for term in self.terms
        )


class Filterable(NamedTuple):
    """How the rows of a table are filtered."""

    known: KnownFields
    values_of: Callable[[Any], RowValues]


def _names(terms: Sequence[Term]) -> str:
    return ", ".join(dict.fromkeys(term.field for term in terms))


def _searched_text(values: RowValues) -> str:
    """Return all texts and ids of a row, to search for a word."""
    parts: list[str] = []
    for name, fact in values.items():
        searched = name not in BY_NAME or BY_NAME[name].searched
        if searched:
            every = fact if isinstance(fact, tuple) else (fact,)
            parts.extend(str(each) for each in every if each is not None)
    return "\n".join(parts)


def _applies(term: Term, known: KnownFields) -> bool:
    if not term.field:
        return bool(known)
    values = known.get(term.field)
    return values is not None and (values == ALL or any(term.values[0].matches(each) for each in values))


def parse(text: str) -> Filter:
    """Return the filter that was typed; raise FilterError with the wrong term and a hint."""
    found, error = parse_leniently(text)
    if error:
        raise error
    return found


def parse_leniently(text: str, fields: Collection[str] = tuple(BY_NAME)) -> tuple[Filter, FilterError | None]:
    """Return the valid terms, and what is wrong with the first invalid one; `fields`: those to choose from."""
    if len(text) > MAX_CHARACTERS:
        return Filter(), FilterError(f"filter: {len(text):,} characters, at most {MAX_CHARACTERS} are allowed")
    terms: list[Term] = []
    first: FilterError | None = None
    for pieces in _split(text):
        try:
            terms.extend(_term(pieces, fields))
        except FilterError as error:
            first = first or error
    return Filter(tuple(terms)), first


def _split(text: str) -> Iterator[list[Piece]]:
    """Yield the terms as plain and quoted pieces; a quote that is not closed reaches to the end."""
    pieces: list[Piece] = []
    for match in _TERM.finditer(text):
        if match.lastgroup == "space":
            if pieces:
                yield pieces
            pieces = []
        elif match.lastgroup == "quoted":
            quote = match[0][0]
            pieces.append(Piece(match[0][1:].removesuffix(quote), True))
        else:
            pieces.append(Piece(match[0], False))
    if pieces:
        yield pieces


def _term(pieces: list[Piece], fields: Collection[str]) -> Iterator[Term]:
    """Yield the term; nothing for an exclamation mark or empty quotes alone."""
    first, *rest = pieces
    negated = not first.quoted and first.text.startswith("!")
    if negated:
        first = Piece(first.text[1:], False)
    field = None if first.quoted else _field(first.text, fields)
    if field is None:
        word = "".join(piece.text for piece in (first, *rest))
        if word:
            yield Term("", (Contains(word.casefold()),), negated)
        return
    compared = _comparison(first.text)
    head = Piece(compared["rest"] if compared else first.text.partition(":")[2], False)
    values = tuple(field.read(text, quoted) for text, quoted in _values([head, *rest]) if text or quoted)
    if not values:
        raise FilterError(f"{field.name}: needs a value", field.usage, unfinished=True)
    yield Term(field.name, values, negated)


def _comparison(text: str) -> re.Match[str] | None:
    """Return field and comparison of `q>0`; None for everything else, such as a word that contains `>`."""
    match = _COMPARED.fullmatch(text)
    field = BY_NAME.get(match["name"].casefold()) if match else None
    return match if field and field.kind == "number" else None


def _values(pieces: list[Piece]) -> Iterator[Piece]:
    """Yield the values between commas outside quotes."""
    value, quoted = "", False
    for piece in pieces:
        if piece.quoted:
            value, quoted = value + piece.text, True
            continue
        head, *others = piece.text.split(",")
        value += head
        for other in others:
            yield Piece(value, quoted)
            value, quoted = other, False
    yield Piece(value, quoted)


def _field(text: str, fields: Collection[str]) -> Field | None:
    """Return the field that a term begins with; None for a word, such as an IPv6 address."""
    if compared := _comparison(text):
        return BY_NAME[compared["name"].casefold()]
    match = _FIELD.match(text)
    if match is None or (text.count(":") > 1 and _IPV6.issuperset(text)):
        return None
    name = match["name"].casefold()
    if name not in BY_NAME:
        raise FilterError(f"{name}: no such field", f"fields: {' '.join(fields)}")
    return BY_NAME[name]
